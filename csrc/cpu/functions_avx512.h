// erf exp log sigmoid tanh for sixteen values at once, correctly rounded (docs/functions.md, In pairs of float32): a
// value is found as high + low within a bound; where high + (low +- bound) round to two float32, or the value is not
// normal, the sixteen are done again in double.
#pragma once

#include <immintrin.h>

#include "functions_tables.h"

namespace {

constexpr float LN2_HIGH = 0x1.62e430p-1f, LN2_LOW = -0x1.05c610p-29f;  // 24 bits, and the rest
constexpr float LN2_COARSE = 0x1.62e4p-1f, LN2_FINE = 0x1.7f7d1cp-20f;  // 16 bits, and the rest

typedef int32_t Integers __attribute__((vector_size(64)));
typedef uint32_t Naturals __attribute__((vector_size(64)));  // these wrap where signed integers may not

static inline __m512 all(float x) { return _mm512_set1_ps(x); }
static inline __m512 fma(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
static inline __m512 less(__m512 a, __m512 b, __m512 c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b

static inline __m512 entry(const float (&table)[32], __m512i index) {
    return _mm512_permutex2var_ps(_mm512_loadu_ps(table), index, _mm512_loadu_ps(table + 16));
}

// The unmasked intrinsics of these two make GCC 12 warn of a value not set.
static inline __m512 scaled(__m512 x, __m512 k) { return _mm512_mask_scalef_ps(x, 0xffff, x, k); }  // x 2^floor(k)
static inline __m512 at_most(__m512 x, __m512 bound) { return _mm512_mask_min_ps(x, 0xffff, bound, x); }  // keeps a NaN

static inline __m512 magnitude(__m512 x) { return (__m512)((Integers)x & 0x7fffffff); }

static inline __m512 with_sign(__m512 y, __m512 sign) { return (__m512)((Integers)y | ((Integers)sign & INT32_MIN)); }

// high + low rounded, and the lanes where an error up to the bound could change that.
struct isobit_rounded {
    __m512 y;
    __mmask16 unsure;
};

static inline isobit_rounded isobit_round_pair(__m512 high, __m512 low, __m512 bound) {
    const __m512 above = high + (low + bound), below = high + (low - bound);
    return {above, _mm512_cmp_ps_mask(above, below, _CMP_NEQ_UQ)};
}

struct isobit_pair {
    __m512 high, low;
};

// a / b, where the low parts are below 2^-13 of b: relative error 2^-37
static inline isobit_pair isobit_quotient(isobit_pair a, isobit_pair b) {
    const __m512 inverse = all(1.0f) / b.high, y = a.high * inverse;
    const __m512 rest = less(y, b.low, less(y, b.high, a.high) + a.low);
    return {y, rest * less(inverse, b.low * inverse, inverse)};
}

// e^x = power (1 + r + rest) 2^exponent (the power below times 2^floor(k)): r is exact, |r| <= ln(2)/64.
struct isobit_power {
    __m512 power, k, r, square, rest;
};

static inline isobit_power isobit_power_of(__m512 x) {
    const __m512 round = all(0x1.8p18f), shifted = fma(x, all((float)LOG2E), round), k = shifted - round;  // k = n / 32
    const __m512i n = (__m512i)shifted;
    const __m512 r = less(k, all(LN2_HIGH), x), low = less(k, all(LN2_LOW), entry(POWER_REST, n));
    const __m512 near = r + low, square = near * near;
    const __m512 q = fma(near, fma(near, all(POWER_POLYNOMIAL[2]), all(POWER_POLYNOMIAL[1])), all(POWER_POLYNOMIAL[0]));
    return {entry(POWER, n), k, r, square, fma(square, q, low)};
}

struct isobit_fast_exp {
    static isobit_rounded value(__m512 x) {
        const isobit_power p = isobit_power_of(x);
        const __m512 high = fma(p.power, p.r, p.power), low = fma(p.power, p.rest, fma(p.power, p.r, p.power - high));
        isobit_rounded result = isobit_round_pair(high, low, all(0x1p-35f));
        result.y = scaled(result.y, p.k);
        result.unsure |= _mm512_cmp_ps_mask(magnitude(x), all(87.33f), _CMP_NLE_UQ);
        if (__builtin_expect(result.unsure, 0)) {  // masked attention is full of -inf
            const __mmask16 vanished = _mm512_cmp_ps_mask(x, all(-104.0f), _CMP_LT_OQ);
            result.y = _mm512_mask_mov_ps(result.y, vanished, _mm512_setzero_ps()), result.unsure &= ~vanished;
        }
        return result;
    }
};

// 1 / (1 + e^-a) for a = |x|, times e^-a where x < 0
struct isobit_fast_sigmoid {
    static isobit_rounded value(__m512 x) {
        const isobit_power p = isobit_power_of(-at_most(magnitude(x), all(87.0f)));
        const __m512 power = scaled(p.power, p.k), one = all(1.0f);
        const __m512 high = fma(power, p.r, power), low = fma(power, p.rest, fma(power, p.r, power - high));
        const __m512 sum = one + high, sum_low = (high - (sum - one)) + low;
        const __mmask16 negative = _mm512_movepi32_mask((__m512i)x);
        const __m512 top = _mm512_mask_mov_ps(one, negative, high), top_low = _mm512_maskz_mov_ps(negative, low);
        const isobit_pair y = isobit_quotient({top, top_low}, {sum, sum_low});
        isobit_rounded result = isobit_round_pair(y.high, y.low, y.high * all(0x1p-35f));
        result.unsure |= _mm512_cmp_ps_mask(x, all(-69.0f), _CMP_LT_OQ);  // a residue would underflow
        return result;
    }
};

// (1 - e^-2a) / (1 + e^-2a) for a = |x|, which rounds to 1 from 9.1 on
struct isobit_fast_tanh {
    static isobit_rounded value(__m512 x) {
        const __m512 a = at_most(magnitude(x), all(10.0f)), one = all(1.0f), two = all(2.0f);
        const isobit_power p = isobit_power_of(all(-2.0f) * a);
        const __m512 power = scaled(p.power, p.k), part = power * p.r;
        const __m512 part_low = fma(power, p.rest, fma(power, p.r, -part));
        const __m512 gap = one - power, top = gap - part;  // 1 - e^-2a = top + top_low
        const __m512 top_low = (((gap - top) - part) + ((one - gap) - power)) - part_low;
        const __m512 sum = two - top, sum_low = ((two - sum) - top) - top_low;
        const isobit_pair y = isobit_quotient({top, top_low}, {sum, sum_low});
        isobit_rounded result = isobit_round_pair(y.high, y.low, fma(p.square, all(0x1p-23f), y.high * all(0x1p-35f)));
        result.y = with_sign(result.y, x);
        return result;
    }
};

// x = 2^k m, m c = 1 + r with r exact and c from a table: k ln 2 - ln c + r - r^2/2 + r^3 Q(r)
struct isobit_fast_log {
    static isobit_rounded value(__m512 x) {
        const Naturals bits = (Naturals)x;
        const Integers moved = (Integers)(bits - LOG_FIRST), exponent = moved >> 23;
        const __m512i index = (__m512i)(moved >> 18);
        const __m512 k = __builtin_convertvector(exponent, __m512), m = (__m512)(bits - ((Naturals)exponent << 23));
        const __m512 r = _mm512_fmsub_ps(m, entry(INVERSE, index), all(1.0f)), square = r * r;
        const __m512 whole = fma(k, all(LN2_COARSE), entry(INVERSE_LOG, index));  // exact
        const __m512 rest = fma(k, all(LN2_FINE), entry(INVERSE_LOG_REST, index));
        __m512 q = all(INVERSE_POLYNOMIAL[3]);
        for (int i = 2; i >= 0; i--) q = fma(q, r, all(INVERSE_POLYNOMIAL[i]));
        const __m512 tail = fma(square * r, q, less(square, all(0.5f), rest));
        const __m512 high = whole + r, low = (r - (high - whole)) + tail;
        const __m512 bound = fma(square, all(0x1p-23f), magnitude(high) * all(0x1p-36f));
        isobit_rounded result = isobit_round_pair(high, low, bound);
        result.unsure |= _mm512_cmpge_epu32_mask((__m512i)(bits - 0x00800000u), _mm512_set1_epi32(0x7f000000));
        return result;
    }
};

// erf(c + r) for the multiple c of 1/8 nearest to |x|; from 3.925 on it rounds to 1
struct isobit_fast_erf {
    static isobit_rounded value(__m512 x) {
        const __m512 a = at_most(magnitude(x), all(3.93f)), round = all(0x1.8p20f), shifted = a + round;
        const __m512i i = (__m512i)shifted;
        const __m512 r = a - (shifted - round), start = entry(ERF_0, i), slope = entry(ERF_1, i), square = r * r;
        __m512 q = fma(entry(ERF_6, i), r, entry(ERF_5, i));
        q = fma(fma(fma(q, r, entry(ERF_4, i)), r, entry(ERF_3, i)), r, entry(ERF_2, i));
        const __m512 high = fma(slope, r, start), rest = fma(slope, r, start - high) + entry(ERF_0_REST, i);
        const __m512 bend = square * q, low = fma(entry(ERF_1_REST, i), r, rest) + bend;
        const __m512 bound = less(bend, all(0x1p-22f), high * all(0x1p-36f));  // the bend is negative
        isobit_rounded result = isobit_round_pair(high, low, bound);
        result.y = with_sign(result.y, x);
        const __mmask16 nonzero = _mm512_test_epi32_mask((__m512i)a, (__m512i)a);
        result.unsure |= nonzero & _mm512_cmp_ps_mask(a, all(0x1p-90f), _CMP_LT_OQ);  // a residue would underflow
        return result;
    }
};

}  // namespace

template <float (*F)(float)>
__attribute__((noinline)) static __m512 isobit_sixteen_in_double(__m512 x) {
    float values[16];
    _mm512_storeu_ps(values, x);
    for (int i = 0; i < 16; i++) values[i] = F(values[i]);
    return _mm512_loadu_ps(values);
}

template <class Fast, float (*F)(float)>
static inline __m512 isobit_sixteen(__m512 x) {
    const isobit_rounded result = Fast::value(x);
    return __builtin_expect(result.unsure != 0, 0) ? isobit_sixteen_in_double<F>(x) : result.y;
}

// y = F(x), where Fast gives F of most values.
template <class Fast, float (*F)(float)>
static inline void isobit_block_fast(const float *x, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, isobit_sixteen<Fast, F>(_mm512_loadu_ps(x + i)));
    const __mmask16 rest = (__mmask16)((1u << (n - i)) - 1);
    if (rest) _mm512_mask_storeu_ps(y + i, rest, isobit_sixteen<Fast, F>(_mm512_mask_loadu_ps(all(1.0f), rest, x + i)));
}
