// The correctly rounded float32 functions of the law (docs/numerics.md, docs/functions.md), for one value
// (isobit_fn_NAME) and for a run of n (isobit_block_NAME; x and y may be the same array, but not overlap otherwise).
// Needs IEEE mode, -ffp-contract=off, -fno-math-errno and -fno-trapping-math (to vectorise); NaN is always 0x7fc00000.
#pragma once

#include "functions_double.h"
#include "functions_exp.h"
#include "functions_log.h"
#include "functions_trig.h"

// x, or the law's only NaN.
static inline float isobit_canonical(float x) { return isobit_unless_nan(x, x); }

static inline float isobit_fn_sqrt(float x) { return isobit_canonical(__builtin_sqrtf(x)); }

// One Newton step of third order in double from the float32 estimate; y * y is exact, and so the residue nearly so.
static inline float isobit_fn_rsqrt(float x) {
    const float estimate = 1.0f / __builtin_sqrtf(x);
    const double y = estimate, residue = isobit_fma(-(double)x, y * y, 1.0);
    const float refined = (float)isobit_fma(y * residue, isobit_fma(residue, 0.375, 0.5), y);
    const bool regular = x > 0.0f && x < __builtin_inff();
    return regular ? refined : isobit_canonical(estimate);
}

// erf(a) = a P(a^2) for a = |x|; from 3.92 on it rounds to 1.
static inline float isobit_fn_erf(float x) {
    const double a = isobit_magnitude(x, 3.925f), v = isobit_fma(a, a, -7.75);
    return isobit_unless_nan(x, isobit_with_sign((float)(a * isobit_polynomial(ERF, v)), x));
}

// Fetches what is read and written 512 elements from here on: the processor itself does so only up to the next page.
static inline void isobit_fetch(const float *x, const float *y, int64_t n) {
    constexpr int64_t ahead = 512, line = 16;
    for (int64_t i = ahead; i < ahead + n; i += line) __builtin_prefetch(x + i), __builtin_prefetch(y + i);
}

#define ISOBIT_BLOCK(NAME, FUNCTION)                                                                                   \
    static inline void NAME(const float *x, float *y, int64_t n) {                                                     \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = FUNCTION(x[i]);                                    \
    }

ISOBIT_BLOCK(isobit_block_sqrt, isobit_fn_sqrt)
ISOBIT_BLOCK(isobit_block_exp2, isobit_fn_exp2)
ISOBIT_BLOCK(isobit_block_expm1, isobit_fn_expm1)
ISOBIT_BLOCK(isobit_block_log2, isobit_fn_log2)
ISOBIT_BLOCK(isobit_block_log10, isobit_fn_log10)
ISOBIT_BLOCK(isobit_block_log1p, isobit_fn_log1p)

#if defined(__AVX2__) && defined(__FMA__)
#define ISOBIT_PAIRS
#include "functions_pairs.h"
#define ISOBIT_FAST_BLOCK(NAME, FAST, FUNCTION)                                                                        \
    static inline void NAME(const float *x, float *y, int64_t n) { isobit_block_fast<FAST, FUNCTION>(x, y, n); }
#else
#define ISOBIT_FAST_BLOCK(NAME, FAST, FUNCTION) ISOBIT_BLOCK(NAME, FUNCTION)
#endif

ISOBIT_FAST_BLOCK(isobit_block_exp, isobit_fast_exp, isobit_fn_exp)
ISOBIT_FAST_BLOCK(isobit_block_erf, isobit_fast_erf, isobit_fn_erf)
ISOBIT_FAST_BLOCK(isobit_block_log, isobit_fast_log, isobit_fn_log)
ISOBIT_FAST_BLOCK(isobit_block_sigmoid, isobit_fast_sigmoid, isobit_fn_sigmoid)
ISOBIT_FAST_BLOCK(isobit_block_rsqrt, isobit_fast_rsqrt, isobit_fn_rsqrt)
#if defined(__AVX512DQ__)
ISOBIT_FAST_BLOCK(isobit_block_tanh, isobit_fast_tanh, isobit_fn_tanh)
#else
ISOBIT_BLOCK(isobit_block_tanh, isobit_fn_tanh)
#endif

static inline bool isobit_trig_all_small(const float *x, int64_t n) {
    int large = 0;
    for (int64_t i = 0; i < n; i++) large |= !(isobit_abs(x[i]) < ISOBIT_TRIG_BOUND);
    return !large;
}

// Large, infinite and NaN arguments are rare: a run of 256 that holds one is done one by one.
#define ISOBIT_TRIG_BLOCK(NAME, SMALL, ANY)                                                                            \
    static inline void NAME(const float *x, float *y, int64_t n) {                                                     \
        for (int64_t start = 0; start < n; start += 256) {                                                             \
            const int64_t stop = start + 256 < n ? start + 256 : n;                                                    \
            isobit_fetch(x + start, y + start, 256);                                                                   \
            if (isobit_trig_all_small(x + start, stop - start)) {                                                      \
                _Pragma("GCC ivdep") for (int64_t i = start; i < stop; i++) y[i] = SMALL(x[i]);                        \
            } else {                                                                                                   \
                for (int64_t i = start; i < stop; i++) y[i] = ANY(x[i]);                                               \
            }                                                                                                          \
        }                                                                                                              \
    }

ISOBIT_TRIG_BLOCK(isobit_block_sin, isobit_sin_small, isobit_fn_sin)
ISOBIT_TRIG_BLOCK(isobit_block_cos, isobit_cos_small, isobit_fn_cos)
