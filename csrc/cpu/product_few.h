// Products of many lines with few: each of the many is quantised twice from the cache and never packed.
#pragma once

#include "product_band.h"

namespace isobit::ISOBIT_ISA {

// One line that lies along memory, with each of the few. `next` is the line that comes after it: while this one is
// computed, it is fetched.
template <bool WIDE, int FEW>
static void multiply_along(const float *x, const float *next, int64_t K, const Range &range, const FewLines &few,
                           int used, float *out, int64_t step) {
    const Scale scale = scale_of(static_cast<uint32_t>(largest_along(x, K)), range);
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    FewSums<WIDE, FEW> sums;
    sums.clear();
    int64_t since = 0;
    const auto add_pairs = [&](int64_t k, Ints q, Ints r) __attribute__((always_inline)) {
        for (int plane = 0; plane < (WIDE ? 3 : 1); ++plane) {
            const Ints pairs = pack(digit<WIDE>(q, plane), digit<WIDE>(r, plane));
            for (int f = 0; f < FEW; ++f) sums.add(plane, f, pairs, load(few.line(plane, FEW, f) + k / 2));
        }
        if (++since == few.interval) sums.spill(), since = 0;
    };
    int64_t k = 0;
    for (; k + 2 * LANES <= K; k += 2 * LANES) {
        for (int i = 0; i < 2 * LANES; i += 16) __builtin_prefetch(next + k + i, 0, 2);
        add_pairs(k, quantised(load(x + k), up0, up1), quantised(load(x + k + LANES), up0, up1));
    }
    if (k < K) {
        const int first = static_cast<int>(std::min<int64_t>(LANES, K - k)), second = static_cast<int>(K - k) - first;
        add_pairs(k, quantised(load_some(x + k, first), up0, up1),
                  second ? quantised(load_some(x + k + LANES, second), up0, up1) : zero());
    }
    for (int f = 0; f < used; ++f) out[f * step] = rounded_sum(sums.total(f), scale.down, few.down[f]);
}

// out[line * line_step + index * step] for the many lines and the few of index.
template <bool WIDE, int FEW>
static void multiply_few(const View &many, const View &few_view, const Range &range, float *out, int64_t line_step,
                         int64_t step, int threads) {
    static thread_local Scratch scratch;
    const FewLines few = quantise_few<WIDE>(few_view, range, FEW, many.is_along(), scratch);
    const int used = static_cast<int>(few_view.lines);
    const int64_t share = (many.lines + 4 * threads - 1) / (4 * threads);
    const int64_t widest = many.is_along() ? 64 : BAND / (FEW * (WIDE ? 3 : 1));
    const bool is_shared = threads > 1 && !many.is_along();
    const int64_t least = is_shared ? std::clamp<int64_t>(share, std::min<int64_t>(widest, 512), widest) : widest;
    const int64_t lines = (least + LANES - 1) / LANES * LANES;
    for_each_unit(threads, (many.lines + lines - 1) / lines, [&](int64_t unit) {
        const int64_t begin = unit * lines, end = std::min(begin + lines, many.lines);
        if (!many.is_along())
            return multiply_band<WIDE, FEW>({many.x + begin, end - begin, many.K, 1, many.k_stride}, range, few, used,
                                            out + begin * line_step, line_step, step);
        for (int64_t line = begin; line < end; ++line) {
            const float *x = many.x + line * many.line_stride, *next = line + 1 < end ? x + many.line_stride : x;
            multiply_along<WIDE, FEW>(x, next, many.K, range, few, used, out + line * line_step, step);
        }
    });
    scratch.release();
}

static inline void multiply_few(const View &many, const View &few, const Range &range, float *out, int64_t line_step,
                                int64_t step, int threads) {
    const auto choose = [&](auto count) {
        constexpr int FEW = decltype(count)::value;
        range.wide ? multiply_few<true, FEW>(many, few, range, out, line_step, step, threads)
                   : multiply_few<false, FEW>(many, few, range, out, line_step, step, threads);
    };
    if (few.lines == 1) return choose(std::integral_constant<int, 1>());
    if (few.lines <= 4) return choose(std::integral_constant<int, 4>());
    choose(std::integral_constant<int, MOST_FEW>());
}

}  // namespace isobit::ISOBIT_ISA
