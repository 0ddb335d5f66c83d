// The groups of a reduction: which elements belong together, and the order that reads them fastest.
//
// No order can change a result (docs/numerics.md), so the reduced axes are walked from the largest stride to the least.
#pragma once

#include <algorithm>
#include <cstdint>

#include "strided.h"
#include "tensor.h"

namespace isobit::ISOBIT_ISA {

struct Groups {
    Strided kept;     // one position per output, in the output's order
    Strided reduced;  // the positions of one group
    int64_t outputs = 1;
    int64_t size = 1;         // elements per group
    bool by_columns = false;  // neighbouring outputs lie side by side: read rows, keep one accumulator per column

    int64_t columns() const { return by_columns ? kept.inner() : 1; }
};

// The groups of x when these axes are removed. `shape` and `rank` receive the output's shape.
static inline Groups make_groups(const isobit_tensor &x, const bool *is_reduced, int64_t *shape, int *rank) {
    int64_t kept_stride[8], reduced_shape[8], reduced_stride[8];
    int kept = 0, reduced = 0;
    Groups groups;
    for (int axis = 0; axis < x.rank; ++axis) {
        if (is_reduced[axis]) {
            groups.size *= x.shape[axis];
            int at = reduced++;
            for (; at > 0 && reduced_stride[at - 1] < x.stride[axis]; --at)
                reduced_shape[at] = reduced_shape[at - 1], reduced_stride[at] = reduced_stride[at - 1];
            reduced_shape[at] = x.shape[axis], reduced_stride[at] = x.stride[axis];
        } else {
            groups.outputs *= x.shape[axis];
            shape[kept] = x.shape[axis], kept_stride[kept++] = x.stride[axis];
        }
    }
    *rank = kept;
    groups.kept = merge_axes(kept, shape, kept_stride);
    groups.reduced = merge_axes(reduced, reduced_shape, reduced_stride);
    groups.by_columns =
        groups.kept.inner_stride() == 1 && groups.kept.inner() > 1 && groups.reduced.inner_stride() != 1;
    return groups;
}

// run(offset, count, stride) over the runs of the group that starts at `origin`.
template <class Run>
static inline void for_runs(const Groups &groups, int64_t origin, const Run &run) {
    const Strided &reduced = groups.reduced;
    if (groups.size == 0) return;
    if (reduced.rank == 1) return run(origin, reduced.shape[0], reduced.stride[0]);
    Walk walk(reduced, 0);
    for (int64_t left = groups.size; left > 0; left -= reduced.inner()) {
        run(origin + walk.offset(), reduced.inner(), reduced.inner_stride());
        walk.advance(reduced.inner());
    }
}

// The elements of a group from the first to the one before the last; of groups side by side, the rows.
struct Rows {
    int64_t first, last;
};

// row(offset) over those elements of the group that starts at `origin`.
template <class Row>
static inline void for_rows(const Groups &groups, int64_t origin, const Rows &rows, const Row &row) {
    if (rows.first >= rows.last) return;
    Walk walk(groups.reduced, rows.first);
    const int64_t stride = groups.reduced.inner_stride();
    for (int64_t left = rows.last - rows.first; left > 0;) {
        const int64_t count = std::min(left, walk.left_in_run());
        for (int64_t i = 0; i < count; ++i) row(origin + walk.offset() + i * stride);
        walk.advance(count), left -= count;
    }
}

template <class Row>
static inline void for_rows(const Groups &groups, int64_t origin, const Row &row) {
    for_rows(groups, origin, {0, groups.size}, row);
}

constexpr int64_t PANEL = 1024;  // columns that share a pass, at most
constexpr int64_t REDUCTION_GRAIN = 32768;

// Rows are read once, so panels are wide; but each thread has one.
static inline int64_t panel_width(const Groups &groups, int threads) {
    const int64_t shared = (groups.columns() / threads + 31) / 32 * 32;
    return std::min(groups.columns(), std::clamp<int64_t>(shared, 32, PANEL));
}

}  // namespace isobit::ISOBIT_ISA
