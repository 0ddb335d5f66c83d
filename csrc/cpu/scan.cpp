// argmax and cumsum along one axis (docs/numerics.md, Reductions).
#include <cstring>
#include <type_traits>

#include "fixed_point.h"
#include "groups.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int SUM_BITS = 46;

int axis_of(const isobit_call &call) {
    want_inputs(call, 1);
    AttributeReader attributes(call);
    const int axis = static_cast<int>(attributes.next_in("axis", 0, call.inputs[0].rank - 1));
    attributes.end();
    if (call.inputs[0].dtype > INT32) invalid("got %s, want float32, int64 or int32", show(call.inputs[0]).text);
    return axis;
}

static inline int32_t key_of(float x) { return order_key(x); }
static inline int32_t key_of(int32_t x) { return x; }
static inline int64_t key_of(int64_t x) { return x; }

template <class T>
int64_t first_largest(const T *x, int64_t n, int64_t stride) {
    auto largest = key_of(x[0]);
    if (stride == 1)
        for (int64_t i = 0; i < n; ++i) largest = std::max(largest, key_of(x[i]));
    else
        for (int64_t i = 0; i < n; ++i) largest = std::max(largest, key_of(x[i * stride]));
    for (int64_t i = 0; i < n; ++i)
        if (key_of(x[i * stride]) == largest) return i;
    return 0;
}

template <class T>
void first_largest_of_columns(const T *x, int64_t n, int64_t stride, int64_t columns, int64_t *out) {
    using Key = decltype(key_of(T{}));
    Key best[PANEL];
    for (int64_t i = 0; i < columns; ++i) best[i] = key_of(x[i]), out[i] = 0;
    for (int64_t row = 1; row < n; ++row) {
        const T *here = x + row * stride;
#pragma GCC ivdep
        for (int64_t i = 0; i < columns; ++i) {
            const Key key = key_of(here[i]);
            const bool better = key > best[i];
            out[i] = better ? row : out[i];
            best[i] = better ? key : best[i];
        }
    }
}

template <class T>
void argmax(const isobit_call &call, const Groups &groups) {
    const T *x = data_of<const T>(call.inputs[0]);
    int64_t *out = data_of<int64_t>(*call.output);
    const int64_t stride = groups.reduced.inner_stride(), columns = groups.columns();
    const int64_t width = panel_width(groups, call.threads);
    const int64_t panels = (columns + width - 1) / width;
    parallel_for(call.threads, groups.outputs / columns * panels, REDUCTION_GRAIN / (groups.size * width) + 1,
                 [&](int64_t begin, int64_t end) {
                     for (int64_t task = begin; task < end; ++task) {
                         const int64_t first = task % panels * width, output = task / panels * columns + first;
                         const T *here = x + Walk(groups.kept, output).offset();
                         if (groups.by_columns)
                             first_largest_of_columns(here, groups.size, stride, std::min(width, columns - first),
                                                      out + output);
                         else
                             out[output] = first_largest(here, groups.size, stride);
                     }
                 });
}

template <class T>
void wrapping_sums(T *x, int64_t n, int64_t stride, int64_t columns) {
    using U = std::make_unsigned_t<T>;
    for (int64_t row = 1; row < n; ++row)
        for (int64_t i = 0; i < columns; ++i) {
            T *here = x + row * stride + i;
            *here = static_cast<T>(static_cast<U>(here[-stride]) + static_cast<U>(*here));
        }
}

constexpr int64_t PIECE = 512;

// In place, one contiguous row: its scale from the whole row, then piece by piece to integers, their sums, and back.
void float_sums_of_row(float *x, int64_t n) {
    int32_t maximum = 0;
    for (int64_t i = 0; i < n; ++i) maximum = std::max(maximum, magnitude(x[i]));
    const FixedPoint scale = fixed_point(maximum, SUM_BITS);
    uint64_t totals[PIECE], total = 0;
    for (int64_t at = 0; at < n; at += PIECE) {
        const int64_t count = std::min(PIECE, n - at);
        for (int64_t i = 0; i < count; ++i) totals[i] = biased_integer(x[at + i], scale.into) - ROUNDER_BITS;
        for (int64_t i = 0; i < count; ++i) totals[i] = total += totals[i];
        for (int64_t i = 0; i < count; ++i) x[at + i] = canonical(store(static_cast<int64_t>(totals[i]), scale));
    }
}

// In place, columns side by side.
void float_sums_of_columns(float *x, int64_t n, int64_t stride, int64_t columns) {
    int32_t maxima[PANEL] = {};
    uint64_t totals[PANEL] = {};
    double into[PANEL], back[PANEL];
    for (int64_t row = 0; row < n; ++row)
        for (int64_t i = 0; i < columns; ++i) maxima[i] = std::max(maxima[i], magnitude(x[row * stride + i]));
    for (int64_t i = 0; i < columns; ++i) {
        const FixedPoint scale = fixed_point(maxima[i], SUM_BITS);
        into[i] = scale.into, back[i] = scale.back;
    }
    for (int64_t row = 0; row < n; ++row) {
        float *here = x + row * stride;
#pragma GCC ivdep
        for (int64_t i = 0; i < columns; ++i) {
            totals[i] += biased_integer(here[i], into[i]) - ROUNDER_BITS;
            here[i] = canonical(store(static_cast<int64_t>(totals[i]), {into[i], back[i]}));
        }
    }
}

void float_sums(float *x, int64_t n, int64_t stride, int64_t columns) {
    if (stride == 1)
        float_sums_of_row(x, n);
    else
        float_sums_of_columns(x, n, stride, columns);
}

template <class T>
void cumsum(const isobit_call &call, int axis) {
    const isobit_tensor &output = *call.output;
    int64_t inner = 1;
    for (int i = axis + 1; i < output.rank; ++i) inner *= output.shape[i];
    const int64_t n = output.shape[axis], width = std::min(inner, PANEL), panels = (inner + width - 1) / width;
    const int64_t tasks = element_count(output) / (n * inner) * panels;
    T *out = data_of<T>(output);
    parallel_for(call.threads, tasks, REDUCTION_GRAIN / (n * width) + 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) {
            const int64_t first = task % panels * width, columns = std::min(width, inner - first);
            T *here = out + task / panels * n * inner + first;
            if constexpr (std::is_same_v<T, float>)
                float_sums(here, n, inner, columns);
            else
                wrapping_sums(here, n, inner, columns);
        }
    });
}

}  // namespace

void op_argmax(const isobit_call &call) {
    const int axis = axis_of(call);
    const isobit_tensor &x = call.inputs[0];
    bool is_reduced[8] = {};
    is_reduced[axis] = true;
    int64_t shape[8];
    int rank;
    const Groups groups = make_groups(x, is_reduced, shape, &rank);
    want_output(call, INT64, rank, shape);
    if (groups.size == 0) invalid("got %s, want an axis of 1 element or more", show(x).text);
    if (x.dtype == FLOAT32)
        argmax<float>(call, groups);
    else if (x.dtype == INT64)
        argmax<int64_t>(call, groups);
    else
        argmax<int32_t>(call, groups);
}

void op_cumsum(const isobit_call &call) {
    const int axis = axis_of(call);
    const isobit_tensor &x = call.inputs[0];
    want_output(call, x.dtype, x.rank, x.shape);
    if (x.dtype == FLOAT32 && x.shape[axis] > 65536) invalid("got %s, want at most 65536 along the axis", show(x).text);
    if (element_count(x) == 0) return;
    int64_t stride[8], next = 1;
    for (int i = x.rank - 1; i >= 0; --i) stride[i] = next, next *= x.shape[i];
    copy_view(item_size(x.dtype), x.rank, x.shape, x.data, x.stride, call.output->data, stride, call.threads);
    if (x.dtype == FLOAT32)
        cumsum<float>(call, axis);
    else if (x.dtype == INT64)
        cumsum<int64_t>(call, axis);
    else
        cumsum<int32_t>(call, axis);
}

}  // namespace isobit::ISOBIT_ISA
