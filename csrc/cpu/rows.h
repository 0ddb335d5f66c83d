// Sums and extrema of rows that lie side by side; every order gives the same bits (docs/numerics.md, Reductions).
#pragma once

#include <algorithm>
#include <cstdint>

#include "lane_sums.h"

namespace isobit::ISOBIT_ISA {

constexpr int SUM_BITS = 46;              // with at most 2^16 elements: |sum| <= 2^62
constexpr int64_t MOST_SUMMANDS = 65536;  // the elements of one sum

// The largest magnitude's bits.
static inline int32_t largest_magnitude(const float *x, int64_t n) {
    int32_t most = 0;
    for (int64_t i = 0; i < n; ++i) most = std::max(most, magnitude(x[i]));
    return most;
}

// The least and the largest of some values; both NaN where one of them is.
struct Ends {
    float low, high;

    // The largest magnitude's bits: that of a NaN lies above an infinity's.
    int32_t largest() const { return std::max(magnitude(low), magnitude(high)); }
};

// Floats without a sign are ordered as their bits are, below the NaN; those with one the other way around.
static inline Ends ends_of_row(const float *x, int64_t n) {
    int32_t most = INT32_MIN;
    uint32_t top = 0;
    for (int64_t i = 0; i < n; ++i)
        most = std::max(most, static_cast<int32_t>(bits_of(x[i]))), top = std::max(top, bits_of(x[i]));
    if (most > static_cast<int32_t>(INFINITY_BITS)) return {float_of(CANONICAL_NAN), float_of(CANONICAL_NAN)};
    const bool is_mixed = most >= 0 && static_cast<int32_t>(top) < 0;
    if (is_mixed) return {float_of(top), float_of(static_cast<uint32_t>(most))};
    uint32_t least = UINT32_MAX;
    for (int64_t i = 0; i < n; ++i) least = std::min(least, bits_of(x[i]));
    return most >= 0 ? Ends{float_of(least), float_of(top)} : Ends{float_of(top), float_of(least)};
}

// The sum at a scale that is its own.
template <bool FETCHES>
static inline float sum_row(const float *x, int64_t n, const FixedPoint &scale, const float *fetched = nullptr) {
    if (!scale.finite()) return float_of(CANONICAL_NAN);
    return store(sum_of_integers<FETCHES>(x, n, scale.into, fetched), scale);
}

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
