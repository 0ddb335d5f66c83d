// Sums of float32 as exact integers: one power-of-two scale, one rounding in, one rounding out (docs/numerics.md, sum).
#pragma once

#include <cstdint>
#include <cstring>

#include "float_bits.h"

namespace isobit::ISOBIT_ISA {

static inline int32_t magnitude(float x) { return static_cast<int32_t>(bits_of(x) & 0x7fffffffu); }

static inline uint64_t bits_of(double x) {
    uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double double_of(uint64_t bits) {
    double x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

struct FixedPoint {
    double into;  // 2^s
    double back;  // 2^-s; NaN where the group holds a NaN or an infinity, so that every result is NaN

    bool finite() const { return back == back; }
};

// The scale 2^(bits - e) that leaves |q| <= 2^bits, where max|x| = f * 2^e with 1/2 <= f < 1. Without branches: a
// float32's subnormals are normal in float64, so its exponent field there is e + 1022. An all-zero group may have any
// scale.
static inline FixedPoint fixed_point(int32_t maximum, int bits) {
    const uint64_t field = bits_of(static_cast<double>(float_of(static_cast<uint32_t>(maximum)))) >> 52;
    const uint64_t into = static_cast<uint64_t>(2045 + bits) - field;
    const bool finite = maximum < static_cast<int32_t>(INFINITY_BITS);
    const double back = double_of((2046 - into) << 52);
    const bool zero = maximum == 0;
    return {zero ? 1.0 : double_of(into << 52), zero ? 1.0 : finite ? back : double_of(0x7ff8000000000000u)};
}

// rne(x * 2^s) stands in the low bits of the float64 sum with 1.5 * 2^52, as |q| <= 2^46 < 2^51. The sums below keep
// the constant's bits and take them off once at the end, modulo 2^64.
constexpr double ROUNDER = 0x1.8p52;
constexpr uint64_t ROUNDER_BITS = 0x4338000000000000u;

static inline uint64_t biased_integer(float x, double into) {
#ifdef __FMA__
    return bits_of(__builtin_fma(static_cast<double>(x), into, ROUNDER));  // the product is exact: the same bits
#else
    return bits_of(static_cast<double>(x) * into + ROUNDER);
#endif
}

// store(S, s): the conversion rounds to 24 bits; the product is exact in float64; the last rounding is the subnormals'.
static inline float store(int64_t sum, const FixedPoint &scale) {
    return static_cast<float>(static_cast<double>(static_cast<float>(sum)) * scale.back);
}

}  // namespace isobit::ISOBIT_ISA
