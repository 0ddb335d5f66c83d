// Thirty-two floats of AVX-512, and what functions_pairs.h does with them.
#pragma once

#include <immintrin.h>

#include "functions_tables.h"

namespace {

typedef __m512 Vector;
typedef int32_t Integers __attribute__((vector_size(64)));
typedef uint32_t Naturals __attribute__((vector_size(64)));  // these wrap where signed integers may not

constexpr int64_t LANES = 32;
constexpr int ENTRIES = 32;  // of a table
constexpr float ROUGH_ERROR = 0x1p-35f;
constexpr uint32_t EVERY = UINT32_MAX;  // a bit for each lane
struct Floats {
    Vector first, second;
};

static inline Vector broadcast(float x) { return _mm512_set1_ps(x); }
static inline Vector load(const float *x) { return _mm512_loadu_ps(x); }
static inline void store(float *x, Vector y) { _mm512_storeu_ps(x, y); }
static inline Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
static inline Vector less(Vector a, Vector b, Vector c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b

// The entry of the index's low five bits.
static inline Vector entry(const float (&table)[ENTRIES], Vector index) {
    return _mm512_permutex2var_ps(load(table), (__m512i)index, load(table + 16));
}

// The unmasked intrinsics of these make GCC 12 warn of a value not set.
static inline Vector larger(Vector a, Vector b) { return _mm512_mask_max_ps(a, 0xffff, a, b); }
static inline Vector smaller(Vector a, Vector b) { return _mm512_mask_min_ps(a, 0xffff, a, b); }  // b where one is NaN

// x 2^floor(k) for an integer n = 32 k, which stands in the low bits of n's float.
static inline Vector scaled(Vector x, Vector k, Vector) { return _mm512_mask_scalef_ps(x, 0xffff, x, k); }

// x = 2^k m with 1 <= m < 2; m is NaN for a negative x, k an infinity for zeros and infinities.
static inline Vector exponent(Vector x) { return _mm512_maskz_getexp_ps(0xffff, x); }
static inline Vector significand(Vector x) {
    return _mm512_maskz_getmant_ps(0xffff, x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_nan);
}

static inline uint32_t mask_of(uint32_t first, uint32_t second) { return _mm512_kunpackw(second, first); }
static inline uint32_t at_most_mask(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static inline uint32_t equal_mask(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }

// 1 / x, 1 / sqrt(x) with relative errors below 2^-14
static inline Vector near_inverse(Vector x) { return _mm512_maskz_rcp14_ps(0xffff, x); }
static inline Vector near_rsqrt(Vector x) { return _mm512_maskz_rsqrt14_ps(0xffff, x); }

}  // namespace
