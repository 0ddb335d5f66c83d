// sin cos, correctly rounded: docs/functions.md. Both are a sine on [-pi/2, pi/2] after reduction by pi.
#pragma once

#include "functions_double.h"

// Up to here n * PI[0] is exact under fma, and two doubles of pi leave enough bits of the remainder.
#define ISOBIT_TRIG_BOUND 0x1p22f

// (-1)^n sin(r); the lowest bit of `parity` is that of n.
static inline double isobit_sine(double r, uint64_t parity) {
    const double z = r * r, y = isobit_fma(r * z, isobit_polynomial(SIN, z), r);
    return isobit_double_of(isobit_bits_of(y) ^ (parity << 63));
}

// sin(x) = (-1)^n sin(x - n pi), for |x| < 2^22.
static inline float isobit_sin_small(float x) {
    const double d = x, shifted = isobit_fma(d, INV_PI, ISOBIT_ROUND), n = shifted - ISOBIT_ROUND;
    const double r = isobit_fma(-n, PI[1], isobit_fma(-n, PI[0], d));
    const float y = isobit_step(SIN_TIES, isobit_abs(x), (float)isobit_sine(r, isobit_bits_of(shifted)));
    return x == 0.0f ? x : y;  // keeps the zero's sign
}

// cos(x) = (-1)^n sin((n + 1/2) pi - |x|), for |x| < 2^22.
static inline float isobit_cos_small(float x) {
    const double a = isobit_abs(x), shifted = isobit_fma(a, INV_PI, -0.5) + ISOBIT_ROUND;
    const double h = (shifted - ISOBIT_ROUND) + 0.5;
    const double r = isobit_fma(h, PI[1], isobit_fma(h, PI[0], -a));
    return (float)isobit_sine(r, isobit_bits_of(shifted));
}

// sin(|x| + half * pi/2) for finite |x| >= 2^22, half 0 or 1 (Payne and Hanek): |x| = m 2^e with an integer m < 2^24;
// only 128 bits of 1/pi matter to |x|/pi modulo 2, and they leave the fraction with an error below 2^-103.
static inline double isobit_sine_of_large(float x, uint64_t half) {
    const uint64_t bits = isobit_bits_of((double)isobit_abs(x)), m = ((bits >> 29) & 0x7fffff) | 0x800000;
    const uint64_t offset = (bits >> 52) - 1023 - 23 + 31;
    uint64_t product[4], carry = 0;
    for (int i = 3; i >= 0; i--) {
        const uint64_t at = offset + 32 * (uint64_t)i, word = at / 32;
        const uint64_t pair = ((uint64_t)INV_PI_BITS[word] << 32) | INV_PI_BITS[word + 1];
        const uint64_t sum = m * ((pair << (at % 32)) >> 32) + carry;
        product[i] = sum & 0xffffffff;
        carry = sum >> 32;
    }
    const uint64_t turns =
        ((product[0] << 32) | product[1]) + (half << 62);  // |x|/pi + half/2 in units of 2^-63, mod 2
    const uint64_t fraction = (turns << 1) | (product[2] >> 31), rest = product[2] & 0x7fffffff;
    const uint64_t parity = (turns >> 63) + (fraction >> 63);  // to the nearest n
    const double high = (double)(int64_t)(fraction & ~(uint64_t)0x7ff);
    const double low = (double)(fraction & 0x7ff) + (double)rest * 0x1p-31;
    const double r = isobit_fma(high, PI[0], isobit_fma(high, PI[1], low * PI[0])) * 0x1p-64;
    return isobit_sine(r, parity);
}

static inline float isobit_sin_large(float x) {
    const float y = (float)isobit_sine_of_large(x, 0);
    return x < 0.0f ? -y : y;
}

static inline float isobit_cos_large(float x) {
    return isobit_step(COS_TIES, isobit_abs(x), (float)isobit_sine_of_large(x, 1));
}

static inline float isobit_fn_sin(float x) {
    if (isobit_abs(x) < ISOBIT_TRIG_BOUND) return isobit_sin_small(x);
    return isobit_abs(x) < __builtin_inff() ? isobit_sin_large(x) : __builtin_nanf("");
}

static inline float isobit_fn_cos(float x) {
    if (isobit_abs(x) < ISOBIT_TRIG_BOUND) return isobit_cos_small(x);
    return isobit_abs(x) < __builtin_inff() ? isobit_cos_large(x) : __builtin_nanf("");
}
