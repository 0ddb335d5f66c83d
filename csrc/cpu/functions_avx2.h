// Sixteen floats of AVX2, and what functions_pairs.h does with them.
#pragma once

#include <immintrin.h>

#include "functions_tables_avx2.h"

namespace {

typedef __m256 Vector;
typedef int32_t Integers __attribute__((vector_size(32)));
typedef uint32_t Naturals __attribute__((vector_size(32)));  // these wrap where signed integers may not

constexpr int64_t LANES = 16;
constexpr int ENTRIES = 8;  // of a table
constexpr float ROUGH_ERROR = 0x1.8p-32f;
constexpr uint32_t EVERY = 0xffff;  // a bit for each lane
struct Floats {
    Vector first, second;
};

static inline Vector broadcast(float x) { return _mm256_set1_ps(x); }
static inline Vector load(const float *x) { return _mm256_loadu_ps(x); }
static inline void store(float *x, Vector y) { _mm256_storeu_ps(x, y); }
static inline Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vector less(Vector a, Vector b, Vector c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b

// The entry of the index's low three bits.
static inline Vector entry(const float (&table)[ENTRIES], Vector index) {
    return _mm256_permutevar8x32_ps(load(table), (__m256i)index);
}

static inline Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
static inline Vector smaller(Vector a, Vector b) { return _mm256_min_ps(a, b); }  // b where one is NaN

// x 2^floor(k) for an integer n = 8 k, which stands in the low bits of n's float; x and the result are normal.
static inline Vector scaled(Vector x, Vector, Vector n) {
    return (Vector)((Naturals)x + (((Naturals)n << 20) & 0xff800000u));
}

// An estimate of 1 / sqrt(x) with a relative error below 1.5 * 2^-12
static inline Vector near_rsqrt(Vector x) { return _mm256_rsqrt_ps(x); }

static inline uint32_t mask_of(uint32_t first, uint32_t second) { return first | second << 8; }
static inline uint32_t at_most_mask(Vector a, Vector b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)); }
static inline uint32_t equal_mask(Vector a, Vector b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }

// Whether x is positive, normal and finite: on the bits, less 2^-126's.
static inline uint32_t normal_mask(Vector x) {
    const Naturals above = (Naturals)x - 0x00800000u;
    return _mm256_movemask_ps(
        (__m256)_mm256_cmpeq_epi32((__m256i)above, _mm256_min_epu32((__m256i)above, _mm256_set1_epi32(0x7effffff))));
}

}  // namespace
