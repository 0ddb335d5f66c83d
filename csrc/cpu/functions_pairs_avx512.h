// What functions_pairs.h does another way on AVX-512: tables of 32 floats, which are two registers, and the processor's
// estimates of inverses.
#pragma once

#include "functions_pairs.h"

namespace {

static inline Floats exponent(Floats x) { return {exponent(x.first), exponent(x.second)}; }
static inline Floats significand(Floats x) { return {significand(x.first), significand(x.second)}; }
static inline Vector upper_bits(Vector m) { return (Vector)((Naturals)m >> 18); }  // the low five: of the significand

// r is exact, |r| <= ln(2)/64.
static inline isobit_power isobit_power_of(Floats x) {
    const Floats round = all(0x1.8p18f), n = fma(x, all((float)LOG2E), round), k = n - round;  // k is n's low bits / 32
    const Floats r = less(k, all(LN2_HIGH), x), low = less(k, all(LN2_LOW), entry(POWER_REST, n));
    const Floats near = r + low, square = near * near;
    const Floats q = fma(near, fma(near, all(POWER_POLYNOMIAL[2]), all(POWER_POLYNOMIAL[1])), all(POWER_POLYNOMIAL[0]));
    return {entry(POWER, n), k, n, r, square, fma(square, q, low)};
}

static inline isobit_power isobit_rough_power_of(Floats x) { return isobit_power_of(x); }

// x = 2^k m, m c = 1 + r with r exact and c from a table: k ln 2 - ln c + (r - r^2/2) + r^3 Q(r), the bracket as an
// exact pair. An x that is not positive and finite leaves a NaN.
struct isobit_fast_log {
    static isobit_rounded value(Floats x) {
        const Floats k = exponent(x), m = significand(x);
        const Floats index = {upper_bits(m.first), upper_bits(m.second)}, r = fma(m, entry(INVERSE, index), all(-1.0f));
        const Floats whole = fma(k, all(LN2_COARSE), entry(INVERSE_LOG, index));  // exact
        const Floats rest = fma(k, all(LN2_FINE), entry(INVERSE_LOG_REST, index));
        const Floats half = all(-0.5f) * r, bent = fma(half, r, r), bent_low = fma(half, r, r - bent);
        Floats q = all(INVERSE_POLYNOMIAL[3]);
        for (int i = 2; i >= 0; i--) q = fma(q, r, all(INVERSE_POLYNOMIAL[i]));
        const Floats tail = fma(r * r * r, q, bent_low + rest);
        const Floats high = whole + bent, low = (bent - (high - whole)) + tail;
        return isobit_round_pair<10>(high, low);
    }
};

struct isobit_pair {
    Floats high, low;
};

// a / b, where the low parts are below 2^-13 of b: relative error 2^-37. The inverse may err by 2^-23, as the rest is
// taken from what it gives.
static inline isobit_pair isobit_quotient(isobit_pair a, isobit_pair b) {
    const Floats near = {near_inverse(b.high.first), near_inverse(b.high.second)};
    const Floats inverse = fma(near, less(b.high, near, all(1.0f)), near), y = a.high * inverse;
    const Floats rest = less(y, b.low, less(y, b.high, a.high) + a.low);
    return {y, rest * less(inverse, b.low * inverse, inverse)};
}

// (1 - e^-2a) / (1 + e^-2a) for a = |x|, which rounds to 1 from 9.1 on
struct isobit_fast_tanh {
    static isobit_rounded value(Floats x) {
        const Floats a = at_most(magnitude(x), 10.0f), one = all(1.0f), two = all(2.0f);
        const isobit_power p = isobit_power_of(all(-2.0f) * a);
        const Floats power = scaled(p.power, p), part = power * p.r;
        const Floats part_low = fma(power, p.rest, fma(power, p.r, -part));
        const Floats gap = one - power, top = gap - part;  // 1 - e^-2a = top + top_low
        const Floats top_low = (((gap - top) - part) + ((one - gap) - power)) - part_low;
        const Floats sum = two - top, sum_low = ((two - sum) - top) - top_low;
        const isobit_pair y = isobit_quotient({top, top_low}, {sum, sum_low});
        isobit_rounded result = isobit_round_pair(y.high, y.low, fma(p.square, all(0x1p-23f), y.high * all(0x1p-35f)));
        result.y = with_sign(result.y, x);
        return result;
    }
};

// y (1 + e/2 + 3/8 e^2 + 5/16 e^3) for an estimate y with a relative error below 2^-14, and e = 1 - x y^2
struct isobit_fast_rsqrt {
    static isobit_rounded value(Floats x) {
        const Floats y = {near_rsqrt(x.first), near_rsqrt(x.second)};
        const Floats t = x * y, e = less(fma(x, y, -t), y, less(t, y, all(1.0f)));
        return isobit_round_pair<10>(y, y * e * fma(e, fma(e, all(0.3125f), all(0.375f)), all(0.5f)));
    }
};

// erf(c + r) for the multiple c of 1/8 nearest to |x|; from 3.925 on it rounds to 1
struct isobit_fast_erf {
    static isobit_rounded value(Floats x) {
        const Floats a = at_most(magnitude(x), 3.93f), round = all(0x1.8p20f), i = a + round;
        const Floats r = a - (i - round), start = entry(ERF_0, i), slope = entry(ERF_1, i), square = r * r;
        Floats q = fma(entry(ERF_6, i), r, entry(ERF_5, i));
        q = fma(fma(fma(q, r, entry(ERF_4, i)), r, entry(ERF_3, i)), r, entry(ERF_2, i));
        const Floats high = fma(slope, r, start), rest = fma(slope, r, start - high) + entry(ERF_0_REST, i);
        const Floats bend = square * q, low = fma(entry(ERF_1_REST, i), r, rest) + bend;
        return isobit_rounded_erf(x, high, low, bend);
    }
};

}  // namespace
