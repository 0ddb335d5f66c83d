// What the functions share: a true fma, bit casts, polynomials. Internal linkage throughout, since each instruction set
// compiles these under its own flags.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "functions_coefficients.h"

#if defined(__FAST_MATH__)
#error "functions.h: -ffast-math changes results"
#endif

// Added to a double below 2^51, it leaves the nearest integer in the low bits.
#define ISOBIT_ROUND 0x1.8p52

static inline double isobit_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

static inline uint64_t isobit_bits_of(double x) {
    uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double isobit_double_of(uint64_t bits) {
    double x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float isobit_float_of(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float isobit_abs(float x) { return __builtin_fabsf(x); }

static inline float isobit_with_sign(float magnitude, float sign) { return __builtin_copysignf(magnitude, sign); }

// A NaN passes through.
static inline float isobit_clamp(float x, float low, float high) {
    const float above = x < low ? low : x;
    return above > high ? high : above;
}

// The law's only NaN: 0x7fc00000.
static inline float isobit_canonical(float x) { return x == x ? x : __builtin_nanf(""); }

template <size_t N, size_t... I>
static inline double isobit_horner(const double (&c)[N], double x, std::index_sequence<I...>) {
    double y = c[N - 1];
    ((y = isobit_fma(y, x, c[N - 2 - I])), ...);
    return y;
}

// c[0] + c[1] x + ... by Horner's rule.
template <size_t N>
static inline double isobit_polynomial(const double (&c)[N], double x) {
    return isobit_horner(c, x, std::make_index_sequence<N - 1>());
}
