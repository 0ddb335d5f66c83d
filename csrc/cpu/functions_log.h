// log log2 log10 log1p, correctly rounded: docs/functions.md. In double, branch-free; one rounding to float32.
#pragma once

#include "functions_double.h"

// u = 2^k m with sqrt(1/2) <= m < sqrt(2), for a normal double u > 0.
struct isobit_log_parts {
    double k, m;
};

static inline isobit_log_parts isobit_log_split(double u) {
    const uint64_t bits = isobit_bits_of(u), one = 0x3ff0000000000000, half_root = 0x3fe6a09e667f3bcd;
    const uint64_t moved = bits - half_root + one;  // its exponent field is k + 1023
    const double k = isobit_double_of((moved >> 52) | 0x4330000000000000) - (0x1p52 + 1023.0);
    return {k, isobit_double_of(bits - (moved & 0xfff0000000000000) + one)};
}

// f - ln(1 + f) = f^2/2 - s (f^2/2 + z W(z)) with s = f / (2 + f), z = s^2: f itself is exact and carries the
// precision.
static inline double isobit_log_defect(double f) {
    const double s = f / (2.0 + f), z = s * s, half_square = 0.5 * f * f;
    return isobit_fma(-s, isobit_fma(z, isobit_polynomial(LOG, z), half_square), half_square);
}

// k ln(2) + ln(1 + f)
static inline double isobit_log_sum(double k, double f) {
    return isobit_fma(k, LN2[0], f - isobit_fma(-k, LN2[1], isobit_log_defect(f)));
}

// The limits of a logarithm whose argument (here or plus one) is u.
static inline float isobit_log_limits(float u, float y) {
    const float inf = __builtin_inff();
    const float below = u == 0.0f ? -inf : __builtin_nanf("");
    return u > 0.0f ? (u < inf ? y : inf) : below;
}

static inline float isobit_fn_log(float x) {
    const isobit_log_parts p = isobit_log_split(x);
    const float y = (float)isobit_log_sum(p.k, p.m - 1.0);
    return isobit_log_limits(x, isobit_step(LOG_TIES, x, y));
}

static inline float isobit_fn_log2(float x) {
    const isobit_log_parts p = isobit_log_split(x);
    const double f = p.m - 1.0, near_one = f - isobit_log_defect(f);
    return isobit_log_limits(x, (float)isobit_fma(near_one, LOG2E, p.k));
}

static inline float isobit_fn_log10(float x) {
    const isobit_log_parts p = isobit_log_split(x);
    const double f = p.m - 1.0, near_one = f - isobit_log_defect(f);
    const float y = (float)isobit_fma(p.k, LOG10_2[0], isobit_fma(p.k, LOG10_2[1], near_one * LOG10E));
    return isobit_log_limits(x, isobit_step(LOG10_TIES, x, y));
}

// 1 + x is exact wherever k is not 0 (it is rounded harmlessly from 2^53 on), and x itself is f where k is 0.
static inline float isobit_fn_log1p(float x) {
    const double d = x, u = 1.0 + d;
    const isobit_log_parts p = isobit_log_split(u);
    const float y = isobit_step(LOG1P_TIES, x, (float)isobit_log_sum(p.k, p.k == 0.0 ? d : p.m - 1.0));
    return x == 0.0f ? x : isobit_log_limits((float)u, y);  // u is 0, negative or infinite exactly where its float is
}
