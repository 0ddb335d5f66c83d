// One vector of 32-bit lanes per instruction set, with the few operations that the exact products need.
//
// A lane of integers is a pair of int16, the elements k and k + 1 of one line (a row of a, a column of b).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // gcc 12 means its own _mm512_undefined_epi32
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

#define ISOBIT_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#include "product_lanes_512.h"
#endif

namespace isobit::ISOBIT_ISA {

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#elif defined(__AVX2__)

constexpr int LANES = 8, TILE_ROWS = 6, TILE_UNROLL = 1;
using Ints = __m256i;
using Floats = __m256;

ISOBIT_INLINE Ints load(const int32_t *p) { return _mm256_loadu_si256(reinterpret_cast<const Ints *>(p)); }
ISOBIT_INLINE void store(int32_t *p, Ints v) { _mm256_storeu_si256(reinterpret_cast<Ints *>(p), v); }
ISOBIT_INLINE Ints broadcast(int32_t v) { return _mm256_set1_epi32(v); }
ISOBIT_INLINE Ints zero() { return _mm256_setzero_si256(); }
ISOBIT_INLINE Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
ISOBIT_INLINE Ints subtract(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
ISOBIT_INLINE Ints bit_and(Ints a, Ints b) { return _mm256_and_si256(a, b); }
ISOBIT_INLINE Ints bit_xor(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
template <int BITS>
ISOBIT_INLINE Ints shift_left(Ints v) {
    return _mm256_slli_epi32(v, BITS);
}
template <int BITS>
ISOBIT_INLINE Ints shift_right(Ints v) {
    return _mm256_srai_epi32(v, BITS);
}
ISOBIT_INLINE Ints pair(Ints even, Ints odd) { return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa); }
ISOBIT_INLINE Ints multiply_pairs(Ints a, Ints b) { return _mm256_madd_epi16(a, b); }
ISOBIT_INLINE Ints dot(Ints c, Ints a, Ints b) { return _mm256_add_epi32(c, _mm256_madd_epi16(a, b)); }
ISOBIT_INLINE Floats load(const float *p) { return _mm256_loadu_ps(p); }
ISOBIT_INLINE Floats broadcast(float v) { return _mm256_set1_ps(v); }
ISOBIT_INLINE Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
ISOBIT_INLINE Ints nearest(Floats v) { return _mm256_cvtps_epi32(v); }
ISOBIT_INLINE Floats to_floats(Ints v) { return _mm256_cvtepi32_ps(v); }
ISOBIT_INLINE Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
ISOBIT_INLINE Floats maximum(Floats a, Floats b) { return _mm256_max_ps(a, b); }
ISOBIT_INLINE void store(float *p, Floats v) { _mm256_storeu_ps(p, v); }
ISOBIT_INLINE Ints maximum(Ints a, Ints b) { return _mm256_max_epi32(a, b); }
ISOBIT_INLINE Ints first_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
ISOBIT_INLINE Floats load_some(const float *p, int n) { return _mm256_maskload_ps(p, first_lanes(n)); }
ISOBIT_INLINE Ints load_some(const int32_t *p, int n) { return _mm256_maskload_epi32(p, first_lanes(n)); }
ISOBIT_INLINE void store_some(int32_t *p, Ints v, int n) { _mm256_maskstore_epi32(p, first_lanes(n), v); }
ISOBIT_INLINE Ints pack(Ints a, Ints b) { return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8); }
ISOBIT_INLINE Ints pack_unordered(Ints a, Ints b) { return _mm256_packs_epi32(a, b); }
ISOBIT_INLINE void transpose(Ints *v) {
    Ints t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; ++j) {
            u[i + 2 * j] = _mm256_unpacklo_epi64(t[i + j], t[i + j + 2]);
            u[i + 2 * j + 1] = _mm256_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
    for (int i = 0; i < 4; ++i) {
        v[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
        v[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
    }
}

#elif defined(__SSE2__)

constexpr int LANES = 4, TILE_ROWS = 4, TILE_UNROLL = 1;
using Ints = __m128i;
using Floats = __m128;

ISOBIT_INLINE Ints load(const int32_t *p) { return _mm_loadu_si128(reinterpret_cast<const Ints *>(p)); }
ISOBIT_INLINE void store(int32_t *p, Ints v) { _mm_storeu_si128(reinterpret_cast<Ints *>(p), v); }
ISOBIT_INLINE Ints broadcast(int32_t v) { return _mm_set1_epi32(v); }
ISOBIT_INLINE Ints zero() { return _mm_setzero_si128(); }
ISOBIT_INLINE Ints add(Ints a, Ints b) { return _mm_add_epi32(a, b); }
ISOBIT_INLINE Ints subtract(Ints a, Ints b) { return _mm_sub_epi32(a, b); }
ISOBIT_INLINE Ints bit_and(Ints a, Ints b) { return _mm_and_si128(a, b); }
ISOBIT_INLINE Ints bit_xor(Ints a, Ints b) { return _mm_xor_si128(a, b); }
template <int BITS>
ISOBIT_INLINE Ints shift_left(Ints v) {
    return _mm_slli_epi32(v, BITS);
}
template <int BITS>
ISOBIT_INLINE Ints shift_right(Ints v) {
    return _mm_srai_epi32(v, BITS);
}
ISOBIT_INLINE Ints pair(Ints even, Ints odd) {
    return _mm_or_si128(_mm_and_si128(even, _mm_set1_epi32(0xffff)), _mm_slli_epi32(odd, 16));
}
ISOBIT_INLINE Ints multiply_pairs(Ints a, Ints b) { return _mm_madd_epi16(a, b); }
ISOBIT_INLINE Ints dot(Ints c, Ints a, Ints b) { return _mm_add_epi32(c, _mm_madd_epi16(a, b)); }
ISOBIT_INLINE Floats load(const float *p) { return _mm_loadu_ps(p); }
ISOBIT_INLINE Floats broadcast(float v) { return _mm_set1_ps(v); }
ISOBIT_INLINE Floats multiply(Floats a, Floats b) { return _mm_mul_ps(a, b); }
ISOBIT_INLINE Ints nearest(Floats v) { return _mm_cvtps_epi32(v); }
ISOBIT_INLINE Floats to_floats(Ints v) { return _mm_cvtepi32_ps(v); }
ISOBIT_INLINE Floats add(Floats a, Floats b) { return _mm_add_ps(a, b); }
ISOBIT_INLINE Floats maximum(Floats a, Floats b) { return _mm_max_ps(a, b); }
ISOBIT_INLINE void store(float *p, Floats v) { _mm_storeu_ps(p, v); }
ISOBIT_INLINE Ints maximum(Ints a, Ints b) {
    const Ints above = _mm_cmpgt_epi32(a, b);
    return _mm_or_si128(_mm_and_si128(above, a), _mm_andnot_si128(above, b));
}
ISOBIT_INLINE Floats load_some(const float *p, int n) {
    float lanes[4] = {0, 0, 0, 0};
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return load(lanes);
}
ISOBIT_INLINE Ints load_some(const int32_t *p, int n) {
    int32_t lanes[4] = {0, 0, 0, 0};
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return load(lanes);
}
ISOBIT_INLINE void store_some(int32_t *p, Ints v, int n) {
    int32_t lanes[4];
    store(lanes, v);
    for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
ISOBIT_INLINE Ints pack(Ints a, Ints b) { return _mm_packs_epi32(a, b); }
ISOBIT_INLINE Ints pack_unordered(Ints a, Ints b) { return pack(a, b); }
ISOBIT_INLINE void transpose(Ints *v) {
    const Ints a = _mm_unpacklo_epi32(v[0], v[1]), b = _mm_unpackhi_epi32(v[0], v[1]);
    const Ints c = _mm_unpacklo_epi32(v[2], v[3]), d = _mm_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm_unpacklo_epi64(a, c), v[1] = _mm_unpackhi_epi64(a, c);
    v[2] = _mm_unpacklo_epi64(b, d), v[3] = _mm_unpackhi_epi64(b, d);
}

#else

constexpr int LANES = 4, TILE_ROWS = 4, TILE_UNROLL = 1;
typedef int32_t Ints __attribute__((vector_size(16)));
typedef float Floats __attribute__((vector_size(16)));

template <class V, class T>
ISOBIT_INLINE V load_lanes(const T *p) {
    V v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
ISOBIT_INLINE Ints load(const int32_t *p) { return load_lanes<Ints>(p); }
ISOBIT_INLINE void store(int32_t *p, Ints v) { std::memcpy(p, &v, sizeof v); }
ISOBIT_INLINE Ints broadcast(int32_t v) { return Ints{v, v, v, v}; }
ISOBIT_INLINE Ints zero() { return Ints{}; }
// Sums wrap: an accumulator is only read where its bound says that it did not.
ISOBIT_INLINE Ints add(Ints a, Ints b) {
    typedef uint32_t Wrapping __attribute__((vector_size(16)));
    return (Ints)((Wrapping)a + (Wrapping)b);
}
ISOBIT_INLINE Ints subtract(Ints a, Ints b) {
    typedef uint32_t Wrapping __attribute__((vector_size(16)));
    return (Ints)((Wrapping)a - (Wrapping)b);
}
ISOBIT_INLINE Ints bit_and(Ints a, Ints b) { return a & b; }
ISOBIT_INLINE Ints bit_xor(Ints a, Ints b) { return a ^ b; }
template <int BITS>
ISOBIT_INLINE Ints shift_left(Ints v) {
    typedef uint32_t Wrapping __attribute__((vector_size(16)));
    return (Ints)((Wrapping)v << BITS);
}
template <int BITS>
ISOBIT_INLINE Ints shift_right(Ints v) {
    return v >> BITS;
}
ISOBIT_INLINE Ints pair(Ints even, Ints odd) {
    typedef uint32_t Wrapping __attribute__((vector_size(16)));
    return (even & 0xffff) | (Ints)((Wrapping)odd << 16);
}
ISOBIT_INLINE Ints multiply_pairs(Ints a, Ints b) {
    typedef uint32_t Wrapping __attribute__((vector_size(16)));
    const Ints a_even = (Ints)((Wrapping)a << 16) >> 16, b_even = (Ints)((Wrapping)b << 16) >> 16;
    return add(a_even * b_even, (a >> 16) * (b >> 16));
}
ISOBIT_INLINE Ints dot(Ints c, Ints a, Ints b) { return add(c, multiply_pairs(a, b)); }
ISOBIT_INLINE Floats load(const float *p) { return load_lanes<Floats>(p); }
ISOBIT_INLINE Floats broadcast(float v) { return Floats{v, v, v, v}; }
ISOBIT_INLINE Floats multiply(Floats a, Floats b) { return a * b; }
ISOBIT_INLINE Floats to_floats(Ints v) { return __builtin_convertvector(v, Floats); }
ISOBIT_INLINE Floats add(Floats a, Floats b) { return a + b; }
ISOBIT_INLINE Floats maximum(Floats a, Floats b) { return a > b ? a : b; }
ISOBIT_INLINE void store(float *p, Floats v) { std::memcpy(p, &v, sizeof v); }
ISOBIT_INLINE Ints maximum(Ints a, Ints b) { return a > b ? a : b; }
ISOBIT_INLINE Ints nearest(Floats v) {
    Ints q;
    for (int lane = 0; lane < LANES; ++lane)  // outside the range of int32 only where the output is NaN anyway
        q[lane] = std::fabs(v[lane]) < 1e9f ? static_cast<int32_t>(std::nearbyint(v[lane])) : 0;
    return q;
}
ISOBIT_INLINE Floats load_some(const float *p, int n) {
    float lanes[4] = {0, 0, 0, 0};
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return load(lanes);
}
ISOBIT_INLINE Ints load_some(const int32_t *p, int n) {
    int32_t lanes[4] = {0, 0, 0, 0};
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return load(lanes);
}
ISOBIT_INLINE void store_some(int32_t *p, Ints v, int n) {
    int32_t lanes[4];
    store(lanes, v);
    for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
ISOBIT_INLINE Ints pack(Ints a, Ints b) { return pair(Ints{a[0], a[2], b[0], b[2]}, Ints{a[1], a[3], b[1], b[3]}); }
ISOBIT_INLINE Ints pack_unordered(Ints a, Ints b) { return pack(a, b); }
ISOBIT_INLINE void transpose(Ints *v) {
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < i; ++j) {
            const int32_t swapped = v[i][j];
            v[i][j] = v[j][i];
            v[j][i] = swapped;
        }
}

#endif

#if defined(__AVX512F__)
ISOBIT_INLINE float largest_lane(Floats v) { return _mm512_reduce_max_ps(v); }
ISOBIT_INLINE int32_t largest_lane(Ints v) { return _mm512_reduce_max_epi32(v); }
ISOBIT_INLINE int64_t sum_of_lanes(Ints v) {
    return _mm512_reduce_add_epi64(_mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(v)),
                                                    _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(v, 1))));
}
#else
ISOBIT_INLINE int64_t sum_of_lanes(Ints v) {
    int32_t lanes[LANES];
    store(lanes, v);
    int64_t sum = 0;
    for (int lane = 0; lane < LANES; ++lane) sum += lanes[lane];
    return sum;
}
ISOBIT_INLINE float largest_lane(Floats v) {
    float lanes[LANES];
    store(lanes, v);
    for (int lane = 1; lane < LANES; ++lane) lanes[0] = lanes[0] > lanes[lane] ? lanes[0] : lanes[lane];
    return lanes[0];
}
ISOBIT_INLINE int32_t largest_lane(Ints v) {
    int32_t lanes[LANES];
    store(lanes, v);
    for (int lane = 1; lane < LANES; ++lane) lanes[0] = lanes[0] > lanes[lane] ? lanes[0] : lanes[lane];
    return lanes[0];
}
#endif

// The bits of a float32 but its sign: they order as the magnitudes do, NaN above all.
ISOBIT_INLINE Ints magnitudes(Floats v) { return bit_and((Ints)v, broadcast(0x7fffffff)); }

constexpr int TILE_COLUMNS = 2 * LANES;

}  // namespace isobit::ISOBIT_ISA
