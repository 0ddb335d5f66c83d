// add_rows and scatter_add: exact sums of the elements that share an index (docs/numerics.md, Indexing).
#include <optional>
#include <vector>

#include "fixed_point.h"
#include "index.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int64_t GRAIN = 16384;
constexpr int64_t PANEL = 1024;  // accumulators of one pass

// The scale of a whole source whose indices meet at most n times: |sum of q| <= n * 2^(62 - bitlength(n)) <= 2^62.
FixedPoint source_scale(const float *source, int64_t count, int64_t n, int threads) {
    std::atomic<int32_t> maximum{0};
    parallel_for(threads, count, 32768, [&](int64_t begin, int64_t end) {
        int32_t largest = 0;
        for (int64_t i = begin; i < end; ++i) largest = std::max(largest, magnitude(source[i]));
        int32_t before = maximum.load();
        while (largest > before && !maximum.compare_exchange_weak(before, largest)) {
        }
    });
    const int length = n ? 64 - __builtin_clzll(static_cast<uint64_t>(n)) : 0;
    return fixed_point(maximum, std::min(46, 62 - length));
}

void set_scaled(uint64_t *totals, const float *x, double into, int64_t n) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) totals[i] = biased_integer(x[i], into) - ROUNDER_BITS;
}

void add_scaled(uint64_t *totals, const float *x, double into, int64_t n) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) totals[i] += biased_integer(x[i], into) - ROUNDER_BITS;
}

void add_stored(const float *base, const uint64_t *totals, const FixedPoint &scale, float *out, int64_t n) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = canonical(base[i] + store(static_cast<int64_t>(totals[i]), scale));
}

void add_zero(const float *base, float *out, int64_t n) {  // the sum of no rows is +0, and -0 + 0 is +0
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = canonical(base[i] + 0.0f);
}

void all_nan(const isobit_call &call) {
    std::fill_n(data_of<float>(*call.output), element_count(*call.output), float_of(CANONICAL_NAN));
}

// The base in rows of `width`. One number everywhere, as a gradient's zeros are, is one row that stands for all.
class BaseRows {
  public:
    BaseRows(const isobit_tensor &base, int64_t width, int threads) {
        if (is_one_number(base)) {
            row_.assign(width, *data_of<const float>(base));
            first_ = row_.data();
        } else {
            all_.emplace(base, threads);
            first_ = all_->get(), step_ = 1;
        }
    }

    // From an element of the base on, to the end of its row.
    const float *at(int64_t element) const { return first_ + element * step_; }

  private:
    static bool is_one_number(const isobit_tensor &base) {
        for (int axis = 0; axis < base.rank; ++axis)
            if (base.shape[axis] > 1 && base.stride[axis] != 0) return false;
        return true;
    }

    std::vector<float> row_;
    std::optional<RowMajor<float>> all_;
    const float *first_ = nullptr;
    int64_t step_ = 0;
};

// The positions of each id, in lists one after another: list v is places[first[v]] to places[first[v + 1]].
struct Lists {
    std::vector<int64_t> first, places;
};

Lists list_by_id(const int64_t *ids, int64_t count, int64_t rows) {
    Lists lists{std::vector<int64_t>(rows + 1), std::vector<int64_t>(count)};
    for (int64_t i = 0; i < count; ++i) ++lists.first[ids[i] + 1];
    for (int64_t v = 0; v < rows; ++v) lists.first[v + 1] += lists.first[v];
    std::vector<int64_t> next(lists.first.begin(), lists.first.end() - 1);
    for (int64_t i = 0; i < count; ++i) lists.places[next[ids[i]]++] = i;
    return lists;
}

void add_list(const Lists &lists, int64_t v, int64_t width, const BaseRows &base, const float *rows,
              const FixedPoint &scale, float *out) {
    if (lists.first[v] == lists.first[v + 1]) return add_zero(base.at(v * width), out + v * width, width);
    uint64_t totals[PANEL];
    for (int64_t at = 0; at < width; at += PANEL) {
        const int64_t n = std::min(PANEL, width - at);
        set_scaled(totals, rows + lists.places[lists.first[v]] * width + at, scale.into, n);
        for (int64_t i = lists.first[v] + 1; i < lists.first[v + 1]; ++i)
            add_scaled(totals, rows + lists.places[i] * width + at, scale.into, n);
        add_stored(base.at(v * width + at), totals, scale, out + v * width + at, n);
    }
}

void add_rows(const isobit_call &call) {
    const isobit_tensor &base = call.inputs[0], &ids = call.inputs[1];
    const int64_t count = element_count(ids), rows = base.shape[0];
    const RowMajor<int64_t> index(ids, call.threads);
    check_index(index.get(), count, rows, call.threads);
    if (element_count(base) == 0) return;
    const RowMajor<float> source(call.inputs[2], call.threads);
    const int64_t width = element_count(base) / rows;
    const BaseRows from(base, width, call.threads);
    const FixedPoint scale = source_scale(source.get(), count * width, count, call.threads);
    if (!scale.finite()) return all_nan(call);
    const Lists lists = list_by_id(index.get(), count, rows);
    float *out = data_of<float>(*call.output);
    parallel_for(call.threads, rows, GRAIN / width + 1, [&](int64_t begin, int64_t end) {
        for (int64_t v = begin; v < end; ++v) add_list(lists, v, width, from, source.get(), scale, out);
    });
}

// Columns [first, first + n) of one outer position.
void scatter_columns(const Along &to, int64_t entries, const int64_t *index, const float *source, const BaseRows &base,
                     int64_t at, const FixedPoint &scale, float *out, uint64_t *totals, int64_t n) {
    std::fill_n(totals, to.size * n, 0);
    if (to.inner == 1) {
        for (int64_t j = 0; j < entries; ++j) totals[index[j]] += biased_integer(source[j], scale.into) - ROUNDER_BITS;
        return add_stored(base.at(at), totals, scale, out, to.size);
    }
    for (int64_t j = 0; j < entries; ++j)
        for (int64_t i = 0; i < n; ++i)
            totals[index[j * to.inner + i] * n + i] +=
                biased_integer(source[j * to.inner + i], scale.into) - ROUNDER_BITS;
    for (int64_t k = 0; k < to.size; ++k)
        add_stored(base.at(at + k * to.inner), totals + k * n, scale, out + k * to.inner, n);
}

void scatter_add(const isobit_call &call, int axis) {
    const isobit_tensor &base = call.inputs[0];
    const Along to = along(base, axis);
    const int64_t entries = call.inputs[1].shape[axis], count = element_count(call.inputs[1]);
    const RowMajor<int64_t> index(call.inputs[1], call.threads);
    check_index(index.get(), count, to.size, call.threads);
    if (element_count(base) == 0) return;
    const RowMajor<float> source(call.inputs[2], call.threads);
    const BaseRows from(base, std::max(to.inner, to.inner == 1 ? to.size : 1), call.threads);
    const FixedPoint scale = source_scale(source.get(), count, entries, call.threads);
    if (!scale.finite()) return all_nan(call);
    const int64_t width = std::clamp<int64_t>(16 * PANEL / to.size, 1, to.inner),
                  panels = (to.inner + width - 1) / width;
    float *out = data_of<float>(*call.output);
    parallel_for(call.threads, to.outer * panels, GRAIN / (to.size * width) + 1, [&](int64_t begin, int64_t end) {
        std::vector<uint64_t> totals(to.size * width);
        for (int64_t task = begin; task < end; ++task) {
            const int64_t first = task % panels * width, outer = task / panels;
            const int64_t at = outer * to.size * to.inner + first, entry = outer * entries * to.inner + first;
            scatter_columns(to, entries, index.get() + entry, source.get() + entry, from, at, scale, out + at,
                            totals.data(), std::min(width, to.inner - first));
        }
    });
}

}  // namespace

void op_add_rows(const isobit_call &call) {
    want_inputs(call, 3), want_attributes(call, 0);
    const isobit_tensor &base = call.inputs[0], &ids = call.inputs[1], &rows = call.inputs[2];
    want_dtype("base", base, FLOAT32, "float32");
    want_dtype("ids", ids, INT64, "int64");
    want_dtype("rows", rows, FLOAT32, "float32");
    bool fits = base.rank >= 1 && rows.rank == ids.rank + base.rank - 1;
    for (int i = 0; fits && i < rows.rank; ++i)
        fits = rows.shape[i] == (i < ids.rank ? ids.shape[i] : base.shape[i - ids.rank + 1]);
    if (!fits)
        invalid("got base %s, ids %s and rows %s, want rows.shape == ids.shape + base.shape[1:]", show(base).text,
                show(ids).text, show(rows).text);
    want_output(call, FLOAT32, base.rank, base.shape);
    add_rows(call);
}

void op_scatter_add(const isobit_call &call) {
    want_inputs(call, 3);
    const isobit_tensor &base = call.inputs[0], &index = call.inputs[1], &source = call.inputs[2];
    want_dtype("base", base, FLOAT32, "float32");
    want_dtype("index", index, INT64, "int64");
    want_dtype("source", source, FLOAT32, "float32");
    AttributeReader attributes(call);
    const int axis = static_cast<int>(attributes.next_in("axis", 0, base.rank - 1));
    attributes.end();
    want_same_but_along(base, index, axis);
    want_same_shape("source", source, index);
    want_output(call, FLOAT32, base.rank, base.shape);
    scatter_add(call, axis);
}

}  // namespace isobit::ISOBIT_ISA
