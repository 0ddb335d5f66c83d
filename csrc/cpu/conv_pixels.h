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

// Writes the plane x[H, W] into its padding, which is left as it is.
static inline void fill_pixels(const float *x, int64_t H, int64_t W, const Scale &scale, const PixelImage &image,
                               double *out) {
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    for (int64_t h = 0; h < H; ++h, x += W) {
        double *row = out + image.offset(h + image.low[0], 0);
        int64_t phase = image.low[1] % image.step[1], column = image.low[1] / image.step[1];
        for (int64_t w = 0; w < W; w += LANES) {
            const int count = static_cast<int>(std::min<int64_t>(LANES, W - w));
            int32_t q[LANES];
            store(q, quantised(load_some(x + w, count), up0, up1));
            if (image.step[1] == 1) {
                for (int i = 0; i < count; ++i) row[image.low[1] + w + i] = q[i];
                continue;
            }
            for (int i = 0; i < count; ++i) {
                row[phase * image.rows * image.columns + column] = q[i];
                if (++phase == image.step[1]) phase = 0, ++column;
            }
        }
    }
}

// One element of a filter; 0 where the scale is no number, so that the sum is one.
static inline double filter_integer(float w, const Scale &scale) {
    return std::isnan(scale.down) ? 0 : std::nearbyint(w * scale.up[0] * scale.up[1]);
}

// Elements of the filter: where each meets the image of pixel 0, and its integer.
struct Taps {
    std::vector<int64_t> offsets;
    std::vector<double> weights;

    void add(int64_t offset, double weight) {
        offsets.push_back(offset);
        weights.push_back(weight);
    }
};

// out[i] = rounded sum over the taps of weight * image[offset + i], for i below count and to the end of a block.
static inline void correlate(const double *image, const Taps &taps, int64_t count, double down, float *out) {
    for (int64_t begin = 0; begin < count; begin += PIXELS) {
        Doubles sums[PIXEL_VECTORS] = {};
        for (size_t tap = 0; tap < taps.offsets.size(); ++tap) {
            const double *at = image + begin + taps.offsets[tap];
            const Doubles weight = taps.weights[tap] - Doubles{};
            for (int v = 0; v < PIXEL_VECTORS; ++v)
                sums[v] = multiply_add(sums[v], load_doubles(at + v * DOUBLES), weight);
        }
        double whole[PIXELS];
        std::memcpy(whole, sums, sizeof whole);
        for (int i = 0; i < PIXELS; ++i)
            out[begin + i] = static_cast<float>(static_cast<double>(static_cast<float>(whole[i])) * down);
    }
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
