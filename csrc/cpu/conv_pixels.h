// Convolutions of small groups, depthwise among them: a vector holds neighbouring pixels, and nothing is packed.
//
// The integers lie in float64, which is exact: every product and every partial sum is an integer below 2^53, so neither
// a multiplication nor an addition rounds, fused or not.
#pragma once

#include "conv_image.h"

namespace isobit::ISOBIT_ISA {

constexpr int DOUBLES = LANES / 2, PIXEL_VECTORS = 4, PIXELS = DOUBLES * PIXEL_VECTORS;
typedef double Doubles __attribute__((vector_size(LANES * 4)));

// The most terms of a sum that stays below 2^53: 16383^2 < 2^28, 8355711^2 < 2^46.
static inline int64_t most_terms(const Range &range) { return range.wide ? 128 : int64_t{1} << 25; }

ISOBIT_INLINE Doubles load_doubles(const double *p) {
    Doubles v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

// sum + a * b, exact by its bound.
ISOBIT_INLINE Doubles multiply_add(Doubles sum, Doubles a, Doubles b) {
#if defined(__AVX512VNNI__)
    return _mm512_fmadd_pd(a, b, sum);
#elif defined(__FMA__)
    return _mm256_fmadd_pd(a, b, sum);
#else
    return sum + a * b;
#endif
}

// Padded planes of quantised pixels, each [phase][rows][columns] as in PairedImage: a stride becomes steps of 1.
struct PixelImage {
    int64_t step[2], low[2], rows, columns;

    int64_t plane() const { return step[0] * step[1] * rows * columns; }
    int64_t size(int64_t planes) const { return planes * plane() + 2 * PIXELS; }
    int64_t offset(int64_t row, int64_t column) const {
        return ((row % step[0] * step[1] + column % step[1]) * rows + row / step[0]) * columns + column / step[1];
    }
};

// to[i] = q[i * step] for i below count.
template <int STEP>
static inline void widen(const int32_t *q, int64_t step, int64_t count, double *to) {
    for (int64_t i = 0; i < count; ++i) to[i] = q[i * (STEP ? STEP : step)];
}

// Writes the plane x[H, W] into its padding, which is left as it is.
static inline void fill_pixels(const float *x, int64_t H, int64_t W, const Scale &scale, const PixelImage &image,
                               double *out) {
    static thread_local Scratch scratch;
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    int32_t *const q = scratch.get<int32_t>(H * W + LANES);
    for (int64_t i = 0; i < H * W; i += LANES)
        store(q + i, quantised(load_some(x + i, static_cast<int>(std::min<int64_t>(LANES, H * W - i))), up0, up1));
    const int64_t step = image.step[1];
    for (int64_t w = 0; w < std::min(W, step); ++w) {  // a phase
        const int64_t count = (W - w + step - 1) / step;
        double *to = out + image.offset(image.low[0], w + image.low[1]);
        for (int64_t h = 0; h < H; ++h) {
            const int32_t *const from = q + h * W + w;
            if (image.step[0] > 1) to = out + image.offset(h + image.low[0], w + image.low[1]);
            if (step == 1)
                widen<1>(from, 1, count, to);
            else if (step == 2)
                widen<2>(from, 2, count, to);
            else
                widen<0>(from, step, count, to);
            to += image.columns;
        }
    }
    scratch.release();
}

// Rows of `count` floats, `pitch` from each other, one after another.
static inline void copy_rows(const float *from, int64_t pitch, int64_t rows, int64_t count, float *to) {
    for (int64_t row = 0; row < rows; ++row, from += pitch, to += count)
        for (int64_t i = 0; i < count; i += LANES) {
            const int some = static_cast<int>(std::min<int64_t>(LANES, count - i));
            store_some(reinterpret_cast<int32_t *>(to + i), (Ints)load_some(from + i, some), some);
        }
}

// One element of a filter; 0 where the scale is no number, so that the sum is one.
static inline double filter_integer(float w, const Scale &scale) {
    return std::isnan(scale.down) ? 0 : std::nearbyint(w * scale.up[0] * scale.up[1]);
}

// Elements of filters that share an image: where each meets the image of pixel 0, and its integer in every filter,
// [filter][element].
struct Taps {
    std::vector<int64_t> offsets;
    std::vector<double> weights;

    int64_t count() const { return static_cast<int64_t>(offsets.size()); }
};

constexpr int MOST_OUTPUTS = LANES == 16 ? 4 : 2;  // whose sums stay in registers

// out[o * pitch + i] = rounded sum over the taps of weights[o][tap] * image[offset + i], for i below count and to the
// end of a block.
template <int OUTPUTS>
static inline void correlate(const double *image, const Taps &taps, int64_t first, int64_t count, const double *down,
                             float *out, int64_t pitch) {
    const double *const weights = taps.weights.data() + first * taps.count();
    for (int64_t begin = 0; begin < count; begin += PIXELS) {
        Doubles sums[OUTPUTS][PIXEL_VECTORS] = {};
        for (int64_t tap = 0; tap < taps.count(); ++tap) {
            Doubles pixels[PIXEL_VECTORS];
            for (int v = 0; v < PIXEL_VECTORS; ++v)
                pixels[v] = load_doubles(image + begin + taps.offsets[tap] + v * DOUBLES);
            for (int o = 0; o < OUTPUTS; ++o) {
                const Doubles weight = weights[o * taps.count() + tap] - Doubles{};
                for (int v = 0; v < PIXEL_VECTORS; ++v) sums[o][v] = multiply_add(sums[o][v], pixels[v], weight);
            }
        }
        for (int o = 0; o < OUTPUTS; ++o) {
            double whole[PIXELS];
            std::memcpy(whole, sums[o], sizeof whole);
            for (int i = 0; i < PIXELS; ++i)
                out[o * pitch + begin + i] =
                    static_cast<float>(static_cast<double>(static_cast<float>(whole[i])) * down[o]);
        }
    }
}

// Filters [first, first + outputs), for outputs up to MOST_OUTPUTS.
static inline void correlate(const double *image, const Taps &taps, int64_t first, int outputs, int64_t count,
                             const double *down, float *out, int64_t pitch) {
    if (outputs == 4) return correlate<4>(image, taps, first, count, down, out, pitch);
    for (int o = 0; o < outputs; o += 2)
        (outputs - o > 1 ? correlate<2> : correlate<1>)(image, taps, first + o, count, down + o, out + o * pitch,
                                                        pitch);
}

constexpr int TAPS_AT_ONCE = 9;

// totals[tap] += sum over i below count of g[i] * image[offset + i], for up to TAPS_AT_ONCE taps; g is 0 past count.
// Exact: a lane adds at most `longest` terms in float64 before it moves to int64, where all terms fit.
static inline void multiply_planes(const double *g, const double *image, const int64_t *offsets, int taps,
                                   int64_t count, int64_t longest, int64_t *totals) {
    for (int64_t begin = 0; begin < count; begin += longest * DOUBLES) {
        const int64_t end = std::min(begin + longest * DOUBLES, count);
        Doubles sums[TAPS_AT_ONCE] = {};
        for (int64_t i = begin; i < end; i += DOUBLES) {
            const Doubles gradient = load_doubles(g + i);
            for (int tap = 0; tap < TAPS_AT_ONCE; ++tap)
                sums[tap] = multiply_add(sums[tap], gradient, load_doubles(image + i + offsets[tap]));
        }
        for (int tap = 0; tap < taps; ++tap)
            for (int lane = 0; lane < DOUBLES; ++lane) totals[tap] += static_cast<int64_t>(sums[tap][lane]);
    }
}

}  // namespace isobit::ISOBIT_ISA
