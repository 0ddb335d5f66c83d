// Products of many lines with few: each of the many is quantised twice from the cache and never packed.
#pragma once

#include "product_guess.h"

namespace isobit::ISOBIT_ISA {

constexpr int64_t ALONG = 64, ALONG_FLOATS = 2048;  // lines, and what of them stays in the first cache

// largest_along, which fetches the first quarter of the line that comes next.
static inline int32_t largest_fetching(const float *x, const float *next, int64_t K) {
    Ints largest[4] = {zero(), zero(), zero(), zero()};
    int64_t k = 0;
    for (; k + 4 * LANES <= K; k += 4 * LANES, next += LANES) {
        __builtin_prefetch(next, 0, 2);
        for (int i = 0; i < 4; ++i) largest[i] = maximum(largest[i], magnitudes(load(x + k + i * LANES)));
    }
    const int32_t rest = largest_along(x + k, K - k);
    return std::max(rest, largest_lane(maximum(maximum(largest[0], largest[1]), maximum(largest[2], largest[3]))));
}

// One line that lies along memory, with each of the few, as the sums of sums[few][ALONG]. The other three quarters of
// the line that comes next are fetched.
template <bool WIDE, int FEW, bool MODERATE>
static void multiply_along(const float *x, float up_first, float up_second, const float *next, int64_t K,
                           const FewLines &few, int64_t *out) {
    const Floats up0 = broadcast(up_first), up1 = broadcast(up_second);
    const auto integers = [&](Floats v) __attribute__((always_inline)) {
        return MODERATE ? nearest(multiply(v, up0)) : quantised(v, up0, up1);  // up1 is 1
    };
    FewSums<WIDE, FEW> sums;
    sums.clear();
    int64_t since = 0;
    const auto add_pairs = [&](int64_t k, Ints q, Ints r) __attribute__((always_inline)) {
        for (int plane = 0; plane < (WIDE ? 3 : 1); ++plane) {
            const Ints pairs = pack_unordered(digit<WIDE>(q, plane), digit<WIDE>(r, plane));
            for (int f = 0; f < FEW; ++f) sums.add(plane, f, pairs, load(few.line(plane, FEW, f) + k / 2));
        }
        if (++since == few.interval) sums.spill(), since = 0;
    };
    int64_t k = 0;
    const float *fetched = next + K / 4;
    for (; k + 2 * LANES <= K; k += 2 * LANES, fetched += 2 * LANES / 4 * 3) {
        for (int i = 0; i < 2 * LANES; i += 16) __builtin_prefetch(fetched + i, 0, 2);
        add_pairs(k, integers(load(x + k)), integers(load(x + k + LANES)));
    }
    if (k < K) {
        const int first = static_cast<int>(std::min<int64_t>(LANES, K - k)), second = static_cast<int>(K - k) - first;
        add_pairs(k, integers(load_some(x + k, first)), second ? integers(load_some(x + k + LANES, second)) : zero());
    }
    for (int f = 0; f < FEW; ++f) out[f * ALONG] = sums.total(f);
}

// Lines that lie along memory, from `begin` on: some kilobytes of them are read for their scales, and again from the
// first cache to be multiplied, while the ones that come next are fetched: memory is read once.
template <bool WIDE, int FEW>
static void multiply_lines(const View &many, int64_t begin, int64_t end, const Range &range, const FewLines &few,
                           int used, float *out, int64_t line_step, int64_t step) {
    const int64_t block = std::clamp<int64_t>(ALONG_FLOATS / many.K, 1, ALONG);
    float up0[ALONG], up1[ALONG], moderate_down[ALONG];
    double down[ALONG];
    Scales scales{{up0, up1}, moderate_down, down, true};
    for (int64_t first = begin; first < end; first += block) {
        const int64_t count = std::min(block, end - first);
        const auto line = [&](int64_t i) { return many.x + std::min(i, end - 1) * many.line_stride; };
        int32_t largest[ALONG];
        for (int64_t i = first; i < first + count; ++i)
            largest[i - first] = largest_fetching(line(i), line(i + block), many.K);
        const bool is_moderate = set_scales(largest, count, range, 0, scales);
        int64_t sums[FEW * ALONG];
        for (int64_t i = 0; i < count; ++i) {
            const auto multiply = is_moderate ? multiply_along<WIDE, FEW, true> : multiply_along<WIDE, FEW, false>;
            multiply(line(first + i), up0[i], up1[i], line(first + i + block), many.K, few, sums + i);
        }
        for (int f = 0; f < used; ++f)
            for (int64_t i = 0; i < count; ++i)
                out[(first + i) * line_step + f * step] = rounded_sum(sums[f * ALONG + i], down[i], few.down[f]);
    }
}

// out[line * line_step + index * step] for the many lines and the few of index.
template <bool WIDE, int FEW>
static void multiply_few(const View &many, const View &few_view, const Range &range, float *out, int64_t line_step,
                         int64_t step, int threads) {
    static thread_local Scratch scratch;
    const FewLines few = quantise_few<WIDE, FEW>(few_view, range, many.is_along(), scratch);
    const int used = static_cast<int>(few_view.lines);
    const bool is_guessed = FEW == 1 && !many.is_along() && many.K >= LEAST_GUESSED && many.K * many.lines >= CACHED;
    const int64_t pieces = is_guessed ? threads : 4 * threads, share = (many.lines + pieces - 1) / pieces;
    const int64_t widest = many.is_along() ? ALONG : is_guessed ? GUESSED_LINES : BAND / (FEW * (WIDE ? 3 : 1));
    const bool is_shared = threads > 1 && !many.is_along();
    const int64_t least = is_shared ? std::clamp<int64_t>(share, std::min<int64_t>(widest, 512), widest) : widest;
    const int64_t lines = (least + LANES - 1) / LANES * LANES;
    for_each_unit(threads, (many.lines + lines - 1) / lines, [&](int64_t unit) {
        const int64_t begin = unit * lines, end = std::min(begin + lines, many.lines);
        const View band{many.x + begin, end - begin, many.K, 1, many.k_stride};
        if (is_guessed) return multiply_guessed<WIDE>(band, range, few, out + begin * line_step, line_step);
        if (!many.is_along())
            return multiply_band<WIDE, FEW>(band, range, few, used, out + begin * line_step, line_step, step);
        multiply_lines<WIDE, FEW>(many, begin, end, range, few, used, out, line_step, step);
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
