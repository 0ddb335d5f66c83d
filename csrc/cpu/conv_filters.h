// The filters of a convolution on their way into a product: taps outermost in K, channels innermost, panel by panel.
#pragma once

#include <vector>

#include "conv_geometry.h"
#include "product_operand.h"

namespace isobit::ISOBIT_ISA {

// p[i * step] for i below n, 0 in the other lanes.
ISOBIT_INLINE Floats load_spaced(const float *p, int64_t step, int n) {
#if defined(__AVX512F__)
    if (step < 1 << 26) {
        const Ints lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const Ints at = _mm512_mullo_epi32(lane, broadcast(static_cast<int32_t>(step)));
        return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), static_cast<__mmask16>((1u << n) - 1), at, p, 4);
    }
#endif
    float lanes[LANES] = {};
    for (int i = 0; i < n; ++i) lanes[i] = p[i * step];
    return load(lanes);
}

// to[t * pitch + i] = from[i * step + taps[t]] for i below count.
static inline void gather_taps(const float *from, int64_t count, int64_t step, const std::vector<int64_t> &taps,
                               float *to, int64_t pitch) {
    for (int64_t i = 0; i < count; i += LANES) {
        const int some = static_cast<int>(std::min<int64_t>(LANES, count - i));
        for (size_t t = 0; t < taps.size(); ++t) {
            const float *at = from + i * step + taps[t];
            const Floats x = step == 1 ? load_some(at, some) : load_spaced(at, step, some);
            store_some(reinterpret_cast<int32_t *>(to + static_cast<int64_t>(t) * pitch + i), (Ints)x, some);
        }
    }
}

// The filters w[groups * E, D, size] of a convolution, of whose `size` elements a channel only `taps` take part.
struct Filters {
    const float *w;
    int64_t groups, E, D, size;
    std::vector<int64_t> taps;

    int64_t count() const { return static_cast<int64_t>(taps.size()); }
};

// Output channels [first, first + used) of a group as lines: K is [tap][D, up to `channels`].
static inline View output_lines(const Filters &filters, int64_t group, int64_t first, int used, int64_t channels,
                                float *out) {
    const int64_t K = filters.count() * channels;
    if (filters.D < channels) std::fill_n(out, used * K, 0.0f);
    for (int64_t i = 0; i < used; ++i)
        gather_taps(filters.w + (group * filters.E + first + i) * filters.D * filters.size, filters.D, filters.size,
                    filters.taps, out + i * K, channels);
    return {out, first + used, K, K, 1, first};
}

// Input channels [first, first + used) of a group as lines side by side: K is [tap][E, up to `channels`].
static inline View input_lines(const Filters &filters, int64_t group, int64_t first, int used, int64_t channels,
                               float *out) {
    for (int64_t t = 0; t < filters.count() && filters.E < channels; ++t)
        std::fill_n(out + (t * channels + filters.E) * used, (channels - filters.E) * used, 0.0f);
    const int64_t row = filters.D * filters.size, span = std::min<int64_t>(used * filters.size, 1024);
    const float *from = filters.w + (group * filters.E * filters.D + first) * filters.size;
    constexpr int64_t AHEAD = 6;  // rows: they lie far apart, so nothing but this fetches them in time
    for (int64_t e = 0; e < filters.E; ++e, from += row) {
        if (e + AHEAD < filters.E)
            for (int64_t i = 0; i < span; i += 64 / sizeof(float)) __builtin_prefetch(from + AHEAD * row + i);
        gather_taps(from, used, filters.size, filters.taps, out + e * used, channels * used);
    }
    return {out, first + used, filters.count() * channels, 1, used, first};
}

}  // namespace isobit::ISOBIT_ISA
