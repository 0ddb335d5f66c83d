// Sixteen floats of AVX2, and what functions_pairs.h does with them.
#pragma once

#include <immintrin.h>

namespace {

typedef __m256 Vector;
typedef int32_t Integers __attribute__((vector_size(32)));
typedef uint32_t Naturals __attribute__((vector_size(32)));  // these wrap where signed integers may not

constexpr int64_t LANES = 16;
constexpr uint32_t EVERY = 0xffff;  // a bit for each lane
struct Floats {
    Vector first, second;
};

static inline Vector broadcast(float x) { return _mm256_set1_ps(x); }
static inline Vector load(const float *x) { return _mm256_loadu_ps(x); }
static inline void store(float *x, Vector y) { _mm256_storeu_ps(x, y); }
static inline Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vector less(Vector a, Vector b, Vector c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b

// The entry of the index's low five bits.
static inline Vector entry(const float (&table)[32], Vector index) {
    return _mm256_i32gather_ps(table, (__m256i)((Integers)index & 31), 4);
}

static inline Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
static inline Vector smaller(Vector a, Vector b) { return _mm256_min_ps(a, b); }  // b where one is NaN

// x 2^floor(k) for an integer n = 32 k, which stands in the low bits of n's float; x and the result are normal.
static inline Vector scaled(Vector x, Vector, Vector n) {
    return (Vector)((Naturals)x + (((Naturals)n << 18) & 0xff800000u));
}

// x = 2^k m with 1 <= m < 2, for a normal x > 0.
static inline Vector exponent(Vector x) {
    return __builtin_convertvector((Integers)((Naturals)x - 0x3f800000u) >> 23, Vector);
}
static inline Vector significand(Vector x) { return (Vector)(((Naturals)x & 0x7fffffu) | 0x3f800000u); }

static inline uint32_t mask_of(uint32_t first, uint32_t second) { return first | second << 8; }
static inline uint32_t at_most_mask(Vector a, Vector b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)); }
static inline uint32_t equal_mask(Vector a, Vector b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }

static inline uint32_t split_mask(Vector x) {
    return at_most_mask(broadcast(0x1p-126f), x) & at_most_mask(x, broadcast(0x1.fffffep127f));
}
static inline uint32_t are_split(Floats x) { return mask_of(split_mask(x.first), split_mask(x.second)); }

}  // namespace
