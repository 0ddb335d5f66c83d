// Planes of quantised pixels for convolutions of small groups: a vector holds neighbouring pixels, nothing is packed.
#pragma once

#include "conv_image.h"

namespace isobit::ISOBIT_ISA {

constexpr int DOUBLES = LANES / 2;
typedef double Doubles __attribute__((vector_size(LANES * 4)));

ISOBIT_INLINE Doubles load_doubles(const double *p) {
    Doubles v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

// sum + a * b, exact where the caller's bound keeps every product and sum below 2^53. As assembly: gcc 12 would load an
// operand again for each use.
ISOBIT_INLINE Doubles multiply_add(Doubles sum, Doubles a, Doubles b) {
#if defined(__AVX512VNNI__)
    asm("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
#elif defined(__FMA__)
    asm("vfmadd231pd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
#else
    return sum + a * b;
#endif
}

// A padded plane of elements, [phase][rows][columns] as in BundledImage: a stride becomes steps of 1.
struct PixelImage {
    int64_t step[2], low[2], rows, columns;

    int64_t phase_size() const { return rows * columns; }
    int64_t plane() const { return step[0] * step[1] * phase_size(); }
    int64_t offset(int64_t row, int64_t column) const {
        return (row % step[0] * step[1] + column % step[1]) * phase_size() + row / step[0] * columns + column / step[1];
    }
};

// How far from its first integer the second one of a pair lies, in planes, padded rows and padded columns.
struct Neighbour {
    int64_t planes, rows, columns;
};

// The integers of planes before they are laid out as an image: rows with their padding, which is 0 from the start.
struct PaddedIntegers {
    int64_t low[2], rows, pitch;

    PaddedIntegers(const PixelImage &image, const Neighbour &neighbour)
        : low{image.low[0], image.low[1]},
          rows(image.rows * image.step[0] + neighbour.rows),
          pitch(image.columns * image.step[1] + neighbour.columns) {}
    int64_t plane() const { return rows * pitch; }
    int64_t size(int64_t planes) const { return planes * plane() + 4 * LANES; }
};

// Writes the plane x[H, W] between its padding. Stores whole vectors: past the last column of a row they hold zeros.
static inline void quantise_plane(const float *x, int64_t H, int64_t W, const Scale &scale,
                                  const PaddedIntegers &integers, int32_t *out) {
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    out += integers.low[0] * integers.pitch + integers.low[1];
    for (int64_t h = 0; h < H; ++h, x += W, out += integers.pitch) {
        int64_t w = 0;
        for (; w + LANES <= W; w += LANES) store(out + w, quantised(load(x + w), up0, up1));
        if (w < W) store(out + w, quantised(load_some(x + w, static_cast<int>(W - w)), up0, up1));
    }
}

// Stores LANES elements: pairs of int16, or doubles of the first integers alone.
ISOBIT_INLINE void store_elements(Ints first, Ints second, int32_t *to) { store(to, pair(first, second)); }
ISOBIT_INLINE void store_elements(Ints first, Ints, double *to) {
#if defined(__AVX512VNNI__)
    _mm512_storeu_pd(to, _mm512_cvtepi32_pd(_mm512_castsi512_si256(first)));
    _mm512_storeu_pd(to + DOUBLES, _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(first, 1)));
#elif defined(__AVX2__)
    _mm256_storeu_pd(to, _mm256_cvtepi32_pd(_mm256_castsi256_si128(first)));
    _mm256_storeu_pd(to + DOUBLES, _mm256_cvtepi32_pd(_mm256_extracti128_si256(first, 1)));
#else
    int32_t lanes[LANES];
    store(lanes, first);
    for (int lane = 0; lane < LANES; ++lane) to[lane] = lanes[lane];
#endif
}

// One row of elements right from the rows of floats that they pair, either of which may be missing. PLAIN: up[1] is 1.
// Stores whole vectors: past the last column they hold zeros.
template <bool PLAIN, class Element>
static inline void quantise_row(const float *first, const float *second, int64_t W, const Scale &scale, Element *to) {
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    const auto integers = [&](const float *x, int64_t w) __attribute__((always_inline)) {
        if (!x) return zero();
        const Floats values = W - w >= LANES ? load(x + w) : load_some(x + w, static_cast<int>(W - w));
        return PLAIN ? nearest(multiply(values, up0)) : quantised(values, up0, up1);
    };
    for (int64_t w = 0; w < W; w += LANES) store_elements(integers(first, w), integers(second, w), to + w);
}

// q[i * step] for i below `some`; STEP: the step where it is known. Reads up to 2 * LANES integers where it is.
template <int STEP>
ISOBIT_INLINE Ints take_spaced(const int32_t *q, [[maybe_unused]] int64_t step, [[maybe_unused]] int some) {
    if (STEP == 1) return load(q);
#if defined(__AVX512VNNI__)
    if (STEP == 2) {
        const Ints even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        return _mm512_permutex2var_epi32(load(q), even, load(q + LANES));
    }
#endif
    int32_t lanes[LANES] = {};
    for (int lane = 0; lane < (STEP ? LANES : some); ++lane) lanes[lane] = q[lane * (STEP ? STEP : step)];
    return load(lanes);
}

// Lays planes of integers out as elements of an image: pairs of int16 with the integers `second` further on, or doubles
// of the first ones alone. Only the phases that a filter meets. Ascending, as whole vectors are stored.
template <int STEP, class Element>
static void lay_out(const int32_t *first, int64_t second, int64_t pitch, const PixelImage &image,
                    const std::vector<bool> &is_met, Element *out) {
    for (int64_t phase = 0; phase < image.step[0] * image.step[1]; ++phase) {
        if (!is_met[phase]) continue;
        const int32_t *from = first + phase / image.step[1] * pitch + phase % image.step[1];
        Element *to = out + phase * image.phase_size();
        for (int64_t row = 0; row < image.rows; ++row, from += image.step[0] * pitch, to += image.columns)
            for (int64_t i = 0; i < image.columns; i += LANES) {
                const int some = static_cast<int>(std::min<int64_t>(LANES, image.columns - i));
                const int32_t *const at = from + i * image.step[1];
                const Ints other =
                    std::is_same_v<Element, double> ? zero() : take_spaced<STEP>(at + second, image.step[1], some);
                store_elements(take_spaced<STEP>(at, image.step[1], some), other, to + i);
            }
    }
}

template <class Element>
static void lay_out(const int32_t *first, int64_t second, int64_t pitch, const PixelImage &image,
                    const std::vector<bool> &is_met, Element *out) {
    const int64_t step = image.step[1];
    const auto lay = step == 1 ? lay_out<1, Element> : step == 2 ? lay_out<2, Element> : lay_out<0, Element>;
    lay(first, second, pitch, image, is_met, out);
}

}  // namespace isobit::ISOBIT_ISA
