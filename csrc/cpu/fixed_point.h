// Sums of float32 as exact integers: one power-of-two scale, one rounding in, one rounding out (docs/numerics.md, sum).
#pragma once

#include <cstdint>
#include <cstring>

#include "float_bits.h"

namespace isobit::ISOBIT_ISA {

static inline int32_t magnitude(float x) { return static_cast<int32_t>(bits_of(x) & 0x7fffffffu); }

// max|x| = f * 2^e with 1/2 <= f < 1, from the bits of max|x|, which is finite and not 0.
static inline int exponent_of(int32_t maximum) {
    if (maximum >= 0x00800000) return (maximum >> 23) - 126;
    return -149 + 32 - __builtin_clz(static_cast<uint32_t>(maximum));
}

static inline double power_of_two(int exponent) {  // -1022 to 1023
    const uint64_t bits = static_cast<uint64_t>(exponent + 1023) << 52;
    double x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

struct FixedPoint {
    double into = 1.0;   // 2^s
    double back = 1.0;   // 2^-s
    bool finite = true;  // otherwise every result is NaN
};

// The scale 2^(bits - e) that leaves |q| <= 2^bits.
static inline FixedPoint fixed_point(int32_t maximum, int bits) {
    if (maximum >= static_cast<int32_t>(INFINITY_BITS)) return {0.0, 0.0, false};
    if (maximum == 0) return {};
    const int s = bits - exponent_of(maximum);
    return {power_of_two(s), power_of_two(-s), true};
}

// rne(x * 2^s) stands in the low bits of the float64 sum with 1.5 * 2^52, as |q| <= 2^46 < 2^51. The sums below keep the
// constant's bits and take them off once at the end, modulo 2^64.
constexpr double ROUNDER = 0x1.8p52;
constexpr uint64_t ROUNDER_BITS = 0x4338000000000000u;

static inline uint64_t biased_integer(float x, double into) {
    const double shifted = static_cast<double>(x) * into + ROUNDER;
    uint64_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    return bits;
}

// store(S, s): the conversion rounds to 24 bits; the product is exact in float64; the last rounding is the subnormals'.
static inline float store(int64_t sum, const FixedPoint &scale) {
    if (!scale.finite) return float_of(CANONICAL_NAN);
    return static_cast<float>(static_cast<double>(static_cast<float>(sum)) * scale.back);
}

}  // namespace isobit::ISOBIT_ISA
