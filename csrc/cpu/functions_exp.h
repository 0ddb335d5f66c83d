// exp exp2 expm1 sigmoid tanh, correctly rounded: docs/functions.md. In double, branch-free; one rounding to float32.
#pragma once

#include "functions_double.h"

// Beyond it every function here is at its limit, and up to it 2^k stays a normal double.
#define ISOBIT_EXP_BOUND 104.5f

// x = k * ln(2) + r with |r| <= ln(2)/2; the first step is exact and the second rounds r once, since |k| < 2^8.
struct isobit_exp_parts {
    double scale;  // 2^k
    double r;
};

static inline isobit_exp_parts isobit_exp_split(double x) {
    const double shifted = isobit_fma(x, LOG2E, ISOBIT_ROUND + 1023.0);
    const double k = shifted - (ISOBIT_ROUND + 1023.0);
    const double r = isobit_fma(-k, LN2[1], isobit_fma(-k, LN2[0], x));
    return {isobit_double_of(isobit_bits_of(shifted) << 52), r};  // the low bits are the biased exponent k + 1023
}

// 2^k + 2^k r (1 + r Q(r))
static inline double isobit_exp_double(double x) {
    const isobit_exp_parts e = isobit_exp_split(x);
    const double quotient = isobit_fma(e.r, isobit_polynomial(EXP, e.r), 1.0);
    return isobit_fma(e.scale * e.r, quotient, e.scale);
}

// e^x - 1 = 2^k (e^r - 1) + (2^k - 1); where k = 0 the last term is zero and the relative error stays that of r.
static inline double isobit_expm1_double(double x) {
    const isobit_exp_parts e = isobit_exp_split(x);
    const double below = isobit_fma(e.r * e.r, isobit_polynomial(EXP, e.r), e.r);
    return isobit_fma(e.scale, below, e.scale - 1.0);
}

static inline float isobit_fn_exp(float x) {
    return isobit_unless_nan(x, (float)isobit_exp_double(isobit_limit(x, ISOBIT_EXP_BOUND)));
}

static inline float isobit_fn_exp2(float x) {
    const double d = isobit_limit(x, 151.0f), shifted = d + (ISOBIT_ROUND + 1023.0);
    const double r = d - (shifted - (ISOBIT_ROUND + 1023.0)), scale = isobit_double_of(isobit_bits_of(shifted) << 52);
    const float y = (float)isobit_fma(scale * r, isobit_polynomial(EXP2, r), scale);
    return isobit_unless_nan(x, isobit_step(EXP2_TIES, x, y));
}

static inline float isobit_fn_expm1(float x) {
    const float y = (float)isobit_expm1_double(isobit_limit(x, ISOBIT_EXP_BOUND));
    return x == 0.0f ? x : isobit_unless_nan(x, y);  // keeps the zero's sign
}

static inline float isobit_fn_sigmoid(float x) {
    const double general = 1.0 / (1.0 + isobit_exp_double(-isobit_limit(x, ISOBIT_EXP_BOUND)));
    // Near 0 the value 1/2 + x/4 - x^3/48 + ... lies just inside 1/2 + x/4, which is often a tie: a slope smaller by
    // 2^-26 rounds to the same side, and is below the distance of x/4 from every tie that it does not meet.
    const double small = isobit_fma((double)x, 0x0.ffffffcp-2, 0.5);
    const float y = (float)(isobit_abs(x) < 0x1p-13f ? small : general);
    return isobit_unless_nan(x, isobit_step(SIGMOID_TIES, x, y));
}

// tanh(a) = -q / (2 + q) with q = e^-2a - 1, for a = |x|; from a = 9.1 on it rounds to 1.
static inline float isobit_fn_tanh(float x) {
    const double q = isobit_expm1_double(-2.0 * (double)isobit_magnitude(x, 10.0f));
    return isobit_unless_nan(x, isobit_with_sign((float)(q / (2.0 + q)), x));
}
