// Products of many lines that lie side by side with few: the rows are streamed twice, for maxima and to multiply.
#pragma once

#include <type_traits>

#include "product_few_sums.h"

namespace isobit::ISOBIT_ISA {

constexpr int64_t BAND = 4096;  // lines: their sums with one of the few stay in L1 or L2
constexpr int BAND_PAIRS = 4;   // rows are taken 8 at a time: sums are loaded and stored once for 4 terms

// The scales and sums of a band; sums: [plane][few][low, high][pitch].
struct Band {
    int64_t pitch;
    Scales scales;
    int32_t *largest, *sums;

    template <int FEW>
    static Band in(Scratch &scratch, int64_t lines, int planes) {
        Band band{};
        band.pitch = (lines + LANES - 1) / LANES * LANES;
        int32_t *at = scratch.get<int32_t>(band.pitch * (6 + 2 * FEW * planes));
        band.scales.down = reinterpret_cast<double *>(at);
        band.scales.up[0] = reinterpret_cast<float *>(at += 2 * band.pitch);
        band.scales.up[1] = band.scales.up[0] + band.pitch;
        band.scales.moderate_down = band.scales.up[1] + band.pitch;
        band.largest = at + 3 * band.pitch;
        band.sums = band.largest + band.pitch;
        std::memset(band.largest, 0, band.pitch * (1 + 2 * FEW * planes) * sizeof(int32_t));
        return band;
    }
};

// Adds the terms of COUNT rows from k on: an even number of rows, or the last one. Exact: by FewLines.interval, low
// stays within int32 between two spills, and high does as in FewSums.
template <bool WIDE, int FEW, int COUNT>
static void add_rows_of_band(const View &view, int64_t k, const FewLines &few, const Band &band, bool spills) {
    constexpr int PLANES = WIDE ? 3 : 1, PAIRS = (COUNT + 1) / 2;
    const float *x = view.x + k * view.k_stride;
    const Ints upper = broadcast(0x10000), mask = broadcast(0xffff);
    const auto take = [&](int64_t i, const auto &read) __attribute__((always_inline)) {
        const Floats up0 = load(band.scales.up[0] + i), up1 = load(band.scales.up[1] + i);
        const auto finish = [&](int32_t *to, Ints low) __attribute__((always_inline)) {
            if (spills) {
                store(to + band.pitch, dot(load(to + band.pitch), low, upper));
                low = bit_and(low, mask);
            }
            store(to, low);
        };
        if constexpr (IN_HALVES<WIDE, FEW>) {
            Ints low[PLANES];
            for (int plane = 0; plane < PLANES; ++plane) low[plane] = load(band.sums + 2 * plane * band.pitch + i);
            for (int r = 0; r < COUNT; ++r) {
                const Ints halves = halves_of(quantised(read(x + r * view.k_stride + i), up0, up1));
                for (int plane = 0; plane < PLANES; ++plane)
                    low[plane] = dot(low[plane], halves, broadcast(few.line(plane, 1, 0)[k + r]));
            }
            for (int plane = 0; plane < PLANES; ++plane) finish(band.sums + 2 * plane * band.pitch + i, low[plane]);
            return;
        }
        Ints pairs[PLANES][PAIRS];
        for (int p = 0; p < PAIRS; ++p) {
            const Ints q = quantised(read(x + 2 * p * view.k_stride + i), up0, up1);
            const Ints r = COUNT > 1 ? quantised(read(x + (2 * p + 1) * view.k_stride + i), up0, up1) : zero();
            for (int plane = 0; plane < PLANES; ++plane)
                pairs[plane][p] = pair(digit<WIDE>(q, plane), digit<WIDE>(r, plane));
        }
        for (int plane = 0; plane < PLANES; ++plane)
            for (int f = 0; f < FEW; ++f) {
                int32_t *to = band.sums + 2 * (plane * FEW + f) * band.pitch + i;
                const int32_t *line = few.line(plane, FEW, f) + k / 2;
                Ints low = load(to);
                for (int p = 0; p < PAIRS; ++p) low = dot(low, pairs[plane][p], broadcast(line[p]));
                finish(to, low);
            }
    };
    int64_t i = 0;
    for (; i + LANES <= view.lines; i += LANES)
        take(i, [](const float *p) __attribute__((always_inline)) { return load(p); });
    const int rest = static_cast<int>(view.lines - i);
    if (rest) take(i, [rest](const float *p) __attribute__((always_inline)) { return load_some(p, rest); });
}

// body(rows, k, spills) for all rows from k = 0 on: the most at a time, and whether sums then move their upper halves.
template <class Body>
static inline void for_each_rows(int64_t K, int64_t interval, const Body &body) {
    int64_t k = 0, since = 0;
    for (; k + 2 * BAND_PAIRS <= K; k += 2 * BAND_PAIRS) {
        const bool spills = (since += BAND_PAIRS) == interval;
        body(std::integral_constant<int, 2 * BAND_PAIRS>(), k, spills);
        if (spills) since = 0;
    }
    for (; k + 2 <= K; k += 2) body(std::integral_constant<int, 2>(), k, false);
    if (k < K) body(std::integral_constant<int, 1>(), k, false);
}

// high * 2^16 + low, high `pitch` behind low.
static inline uint64_t spilled_sum(const int32_t *low, int64_t pitch) {
    return (static_cast<uint64_t>(static_cast<int64_t>(low[pitch])) << 16) +
           static_cast<uint64_t>(static_cast<int64_t>(low[0]));
}

template <bool WIDE, int FEW>
static inline int64_t total_of_band(const uint64_t *sums) {
    return IN_HALVES<WIDE, FEW> ? FewSums<WIDE, FEW>::joined_halves(sums) : FewSums<WIDE, FEW>::joined(sums);
}

template <bool WIDE, int FEW>
static void multiply_band(const View &view, const Range &range, const FewLines &few, int used, float *out,
                          int64_t line_step, int64_t step) {
    static thread_local Scratch scratch;
    Band band = Band::in<FEW>(scratch, view.lines, WIDE ? 3 : 1);
    largest_side_by_side(view.x, view.lines, view.K, view.k_stride, band.largest);
    std::fill(band.largest + view.lines, band.largest + band.pitch, 1 << 29);  // any: what no line asks for
    set_scales(band.largest, band.pitch, range, 0, band.scales);
    for_each_rows(view.K, few.interval, [&](auto count, int64_t k, bool spills) {
        add_rows_of_band<WIDE, FEW, decltype(count)::value>(view, k, few, band, spills);
    });
    for (int f = 0; f < used; ++f)
        for (int64_t i = 0; i < view.lines; ++i) {
            uint64_t sums[3] = {};
            for (int plane = 0; plane < (WIDE ? 3 : 1); ++plane)
                sums[plane] = spilled_sum(band.sums + 2 * (plane * FEW + f) * band.pitch + i, band.pitch);
            out[i * line_step + f * step] =
                rounded_sum(total_of_band<WIDE, FEW>(sums), band.scales.down[i], few.down[f]);
        }
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
