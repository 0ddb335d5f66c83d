// Sums and extrema of rows that lie side by side; every order gives the same bits (docs/numerics.md, Reductions).
#pragma once

#include <algorithm>
#include <cstdint>
#if defined(__AVX512DQ__)
#include <immintrin.h>
#endif

#include "fixed_point.h"

namespace isobit::ISOBIT_ISA {

constexpr int SUM_BITS = 46;              // with at most 2^16 elements: |sum| <= 2^62
constexpr int64_t MOST_SUMMANDS = 65536;  // the elements of one sum

#if defined(__AVX512DQ__)
typedef float EightFloats __attribute__((vector_size(32)));
typedef double EightDoubles __attribute__((vector_size(64)));
typedef uint64_t EightIntegers __attribute__((vector_size(64)));

template <class Vector>
static inline Vector loaded(const void *from) {
    Vector x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

// As biased_integer, of eight neighbours. (GCC 12 makes two conversions of __builtin_convertvector, and the unmasked
// intrinsic warns of a value not set.)
static inline EightIntegers biased_integers(const float *x, EightDoubles into) {
    const __m512d wide = _mm512_maskz_cvtps_pd(0xff, (__m256)loaded<EightFloats>(x));
    return (EightIntegers)_mm512_fmadd_pd(wide, (__m512d)into, _mm512_set1_pd(ROUNDER));
}
#endif

// The largest magnitude's bits.
static inline int32_t largest_magnitude(const float *x, int64_t n) {
    int32_t most = 0;
    for (int64_t i = 0; i < n; ++i) most = std::max(most, magnitude(x[i]));
    return most;
}

// The sum of the biased integers, modulo 2^64. A sum reads its row twice; the memory, which would rest while it is read
// again, fetches as many elements from another place, if there is one.
template <bool FETCHES>
static inline uint64_t sum_of_integers(const float *x, int64_t n, double into,
                                       [[maybe_unused]] const float *fetched = nullptr) {
    uint64_t total = 0;
    int64_t i = 0;
#if defined(__AVX512DQ__)
    EightIntegers totals[4] = {};
    for (; i + 32 <= n; i += 32) {
        if (FETCHES) __builtin_prefetch(fetched + i), __builtin_prefetch(fetched + i + 16);
        for (int j = 0; j < 4; ++j) totals[j] += biased_integers(x + i + 8 * j, into - EightDoubles{});
    }
    const EightIntegers sum = totals[0] + totals[1] + (totals[2] + totals[3]);
    total = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
#endif
    for (; i < n; ++i) total += biased_integer(x[i], into);
    return total;
}

template <bool FETCHES>
static inline float sum_row(const float *x, int64_t n, const float *fetched = nullptr) {
    const FixedPoint scale = fixed_point(largest_magnitude(x, n), SUM_BITS);
    if (!scale.finite()) return float_of(CANONICAL_NAN);
    const uint64_t biased = sum_of_integers<FETCHES>(x, n, scale.into, fetched);
    const uint64_t total = biased - ROUNDER_BITS * static_cast<uint64_t>(n);
    return store(static_cast<int64_t>(total), scale);
}

// Floats without a sign are ordered as their bits are, below the NaN; those with one the other way around.
static inline float amax_row(const float *x, int64_t n) {
    int32_t most = INT32_MIN;
    uint32_t least = UINT32_MAX;
    for (int64_t i = 0; i < n; ++i) {
        const uint32_t bits = bits_of(x[i]);
        most = std::max(most, static_cast<int32_t>(bits)), least = std::min(least, bits);
    }
    return float_of(most >= 0 ? static_cast<uint32_t>(most) : least);
}

static inline float amin_row(const float *x, int64_t n) {
    int32_t least = INT32_MAX;
    for (int64_t i = 0; i < n; ++i) least = std::min(least, falling_key(x[i]));
    return from_falling_key(least);
}

}  // namespace isobit::ISOBIT_ISA
