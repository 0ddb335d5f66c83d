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

static inline uint32_t isobit_float_bits(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float isobit_float_of(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float isobit_abs(float x) { return __builtin_fabsf(x); }

static inline float isobit_with_sign(float magnitude, float sign) { return __builtin_copysignf(magnitude, sign); }

// |x|, at most the bound; on the bits, where the minimum of a vector is one instruction. A NaN becomes the bound.
static inline float isobit_magnitude(float x, float bound) {
    const uint32_t bits = isobit_float_bits(x) & 0x7fffffff, most = isobit_float_bits(bound);
    return isobit_float_of(bits < most ? bits : most);
}

// x with |x| at most the bound. A NaN becomes the bound with its sign.
static inline float isobit_limit(float x, float bound) { return isobit_with_sign(isobit_magnitude(x, bound), x); }

// y, or the law's only NaN, 0x7fc00000, where x is one.
static inline float isobit_unless_nan(float x, float y) { return x == x ? y : __builtin_nanf(""); }

template <size_t N, size_t... I>
static inline float isobit_step_all(const isobit_tie (&ties)[N], float x, float y, std::index_sequence<I...>) {
    const uint32_t bits = isobit_float_bits(x);
    const uint32_t step = ((bits == ties[I].x ? (uint32_t)ties[I].step : 0) + ...);
    return isobit_float_of(isobit_float_bits(y) + step);
}

// y, one step aside where x is among the ties.
template <size_t N>
static inline float isobit_step(const isobit_tie (&ties)[N], float x, float y) {
    return isobit_step_all(ties, x, y, std::make_index_sequence<N>());
}

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
