// sum, amax, amin and the maxima of scale groups, over any axes (docs/numerics.md, Reductions).
#include <type_traits>

#include "column_sums.h"

namespace isobit::ISOBIT_ISA {
namespace {

// How one element enters an accumulator. `from` is the element's type, `state` the accumulator's.
struct MaximumOfMagnitudes {
    using from = float;
    using state = int32_t;
    using result = uint32_t;
    static constexpr state start = 0;
    static state join(state a, float x) { return std::max(a, magnitude(x)); }
    static uint32_t finish(state a) { return static_cast<uint32_t>(a); }
};

template <class T>
struct WrappingSum {
    using from = T;
    using state = std::make_unsigned_t<T>;
    using result = T;
    static constexpr state start = 0;
    static state join(state a, T x) { return a + static_cast<state>(x); }
    static T finish(state a) { return static_cast<T>(a); }
};

template <class T>
struct Largest {
    using from = T;
    using state = T;
    using result = T;
    static constexpr state start = std::is_signed_v<T> ? T(T{1} << (8 * sizeof(T) - 1)) : T{0};
    static state join(state a, T x) { return std::max(a, x); }
    static T finish(state a) { return a; }
};

template <>
struct Largest<float> {
    using from = float;
    using state = int32_t;
    using result = float;
    static constexpr state start = INT32_MIN;
    static state join(state a, float x) { return std::max(a, rising_key(x)); }
    static float finish(state a) { return from_rising_key(a); }
};

template <class T>
struct Least {
    using from = T;
    using state = T;
    using result = T;
    static constexpr state start = static_cast<T>(~Largest<T>::start);
    static state join(state a, T x) { return std::min(a, x); }
    static T finish(state a) { return a; }
};

template <>
struct Least<float> {
    using from = float;
    using state = int32_t;
    using result = float;
    static constexpr state start = INT32_MAX;
    static state join(state a, float x) { return std::min(a, falling_key(x)); }
    static float finish(state a) { return from_falling_key(a); }
};

template <class Reducer>
typename Reducer::state join_run(typename Reducer::state total, const typename Reducer::from *x, int64_t n,
                                 int64_t stride) {
    if (stride == 1)
        for (int64_t i = 0; i < n; ++i) total = Reducer::join(total, x[i]);
    else
        for (int64_t i = 0; i < n; ++i) total = Reducer::join(total, x[i * stride]);
    return total;
}

template <class Reducer>
void join_columns(typename Reducer::state *totals, const typename Reducer::from *x, int64_t n) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) totals[i] = Reducer::join(totals[i], x[i]);
}

template <class Reducer>
typename Reducer::state join_group(const Groups &groups, const typename Reducer::from *x, int64_t origin) {
    typename Reducer::state total = Reducer::start;
    for_runs(groups, origin, [&](int64_t offset, int64_t n, int64_t stride) {
        total = join_run<Reducer>(total, x + offset, n, stride);
    });
    return total;
}

template <class Reducer>
void join_panel(const Groups &groups, const typename Reducer::from *x, int64_t origin, typename Reducer::state *totals,
                int64_t n) {
    std::fill_n(totals, n, Reducer::start);
    for_rows(groups, origin, [&](int64_t offset) { join_columns<Reducer>(totals, x + offset, n); });
}

// one(origin, output) for each group, or panel(origin, output, columns) for neighbouring groups read by rows.
template <class One, class Panel>
void for_groups(const Groups &groups, int threads, const One &one, const Panel &panel) {
    if (!groups.by_columns) {
        parallel_for(threads, groups.outputs, REDUCTION_GRAIN / std::max<int64_t>(groups.size, 1) + 1,
                     [&](int64_t begin, int64_t end) {
                         Walk walk(groups.kept, begin);
                         for (int64_t output = begin; output < end; ++output, walk.advance(1))
                             one(walk.offset(), output);
                     });
        return;
    }
    const int64_t columns = groups.columns(), width = panel_width(groups, threads);
    const int64_t panels = (columns + width - 1) / width;
    const int64_t grain = REDUCTION_GRAIN / (std::max<int64_t>(groups.size, 1) * width) + 1;
    parallel_for(threads, groups.outputs / columns * panels, grain, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) {
            const int64_t first = task % panels * width, output = task / panels * columns + first;
            panel(Walk(groups.kept, output).offset(), output, std::min(width, columns - first));
        }
    });
}

template <class Reducer>
void reduce(const isobit_call &call, const Groups &groups) {
    using State = typename Reducer::state;
    const auto *x = data_of<const typename Reducer::from>(call.inputs[0]);
    auto *out = data_of<typename Reducer::result>(*call.output);
    for_groups(
        groups, call.threads,
        [&](int64_t origin, int64_t output) { out[output] = Reducer::finish(join_group<Reducer>(groups, x, origin)); },
        [&](int64_t origin, int64_t output, int64_t n) {
            State totals[PANEL];
            join_panel<Reducer>(groups, x, origin, totals, n);
            for (int64_t i = 0; i < n; ++i) out[output + i] = Reducer::finish(totals[i]);
        });
}

int64_t sum_run(const float *x, int64_t n, int64_t stride, double into) {
    if (stride == 1) return sum_of_integers<true>(x, n, into, x + n);
    uint64_t total = 0;
    for (int64_t i = 0; i < n; ++i) total += biased_integer(x[i * stride], into);
    return static_cast<int64_t>(total - ROUNDER_BITS * static_cast<uint64_t>(n));
}

float sum_group(const Groups &groups, const float *x, int64_t origin) {
    const FixedPoint scale = fixed_point(join_group<MaximumOfMagnitudes>(groups, x, origin), SUM_BITS);
    if (!scale.finite()) return float_of(CANONICAL_NAN);
    int64_t total = 0;
    for_runs(groups, origin,
             [&](int64_t offset, int64_t n, int64_t stride) { total += sum_run(x + offset, n, stride, scale.into); });
    return store(total, scale);
}

void sum_floats(const isobit_call &call, const Groups &groups) {
    if (groups.size > MOST_SUMMANDS)
        invalid("got groups of %lld elements, want at most %lld", (long long)groups.size, (long long)MOST_SUMMANDS);
    const float *x = data_of<const float>(call.inputs[0]);
    float *out = data_of<float>(*call.output);
    constexpr int64_t MANY_ROWS = 1024;  // of each thread
    const bool is_one_panel = groups.by_columns && groups.outputs == groups.columns() && groups.outputs <= PANEL;
    const int64_t threads = std::min<int64_t>(call.threads, groups.size / MANY_ROWS);
    if (is_one_panel && threads > 1 && groups.outputs >= 64)
        return sum_columns_by_rows(groups, x, 0, out, groups.outputs, static_cast<int>(threads));
    for_groups(
        groups, call.threads, [&](int64_t origin, int64_t output) { out[output] = sum_group(groups, x, origin); },
        [&](int64_t origin, int64_t output, int64_t n) { sum_columns(groups, x, origin, out + output, n); });
}

// The groups of the call, after checking its axes and its output; `dtype` is the output's, -1 for the operand's.
Groups groups_of(const isobit_call &call, int32_t dtype, bool empty_allowed) {
    want_inputs(call, 1);
    const isobit_tensor &x = call.inputs[0];
    AttributeReader attributes(call);
    int64_t axes[8], shape[8];
    bool is_reduced[8] = {};
    const int count = attributes.next_list("axes", axes);
    attributes.end();
    for (int i = 0; i < count; ++i) {
        if (axes[i] < 0 || axes[i] >= x.rank || (i && axes[i] <= axes[i - 1]))
            invalid("got axis %lld of %s, want ascending axes within its rank", (long long)axes[i], show(x).text);
        is_reduced[axes[i]] = true;
    }
    int rank;
    const Groups groups = make_groups(x, is_reduced, shape, &rank);
    want_output(call, dtype < 0 ? x.dtype : dtype, rank, shape);
    if (!empty_allowed && groups.size == 0) invalid("got %s, want groups of 1 element or more", show(x).text);
    return groups;
}

[[noreturn]] void refuse_dtype(const isobit_call &call) {
    invalid("got %s, want another dtype", show(call.inputs[0]).text);
}

template <template <class> class Reducer>
void reduce_any(const isobit_call &call) {
    const Groups groups = groups_of(call, -1, false);
    switch (call.inputs[0].dtype) {
        case FLOAT32: return reduce<Reducer<float>>(call, groups);
        case INT64: return reduce<Reducer<int64_t>>(call, groups);
        case INT32: return reduce<Reducer<int32_t>>(call, groups);
        case UINT32: return reduce<Reducer<uint32_t>>(call, groups);
        default: return reduce<Reducer<uint8_t>>(call, groups);
    }
}

}  // namespace

void op_sum(const isobit_call &call) {
    const Groups groups = groups_of(call, -1, true);
    switch (call.inputs[0].dtype) {
        case FLOAT32: return sum_floats(call, groups);
        case INT64: return reduce<WrappingSum<int64_t>>(call, groups);
        case INT32: return reduce<WrappingSum<int32_t>>(call, groups);
        default: refuse_dtype(call);
    }
}

void op_amax(const isobit_call &call) { reduce_any<Largest>(call); }
void op_amin(const isobit_call &call) { reduce_any<Least>(call); }

void op_group_maxima(const isobit_call &call) {
    const Groups groups = groups_of(call, UINT32, true);
    if (call.inputs[0].dtype != FLOAT32) refuse_dtype(call);
    reduce<MaximumOfMagnitudes>(call, groups);
}

}  // namespace isobit::ISOBIT_ISA
