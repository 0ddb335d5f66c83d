// erf exp log sigmoid (with AVX-512 also rsqrt, tanh) for many values at once, correctly rounded (docs/functions.md, In
// pairs of float32): a value is found as high + low within a bound; where the rounding of high + low is not certain, or
// a value is not normal, it is done again in double.
//
// Two vectors alternate in every step: one alone would wait for itself, as each step needs the one before.
#pragma once

#include "functions_tables.h"
#if defined(__AVX512DQ__)
#include "functions_avx512.h"
#else
#include "functions_avx2.h"
#endif

namespace {

constexpr float LN2_HIGH = 0x1.62e430p-1f, LN2_LOW = -0x1.05c610p-29f;  // 24 bits, and the rest
constexpr float LN2_COARSE = 0x1.62e4p-1f, LN2_FINE = 0x1.7f7d1cp-20f;  // 16 bits, and the rest

static inline Floats all(float x) { return {broadcast(x), broadcast(x)}; }
static inline Floats operator+(Floats a, Floats b) { return {a.first + b.first, a.second + b.second}; }
static inline Floats operator-(Floats a, Floats b) { return {a.first - b.first, a.second - b.second}; }
static inline Floats operator*(Floats a, Floats b) { return {a.first * b.first, a.second * b.second}; }
static inline Floats operator/(Floats a, Floats b) { return {a.first / b.first, a.second / b.second}; }
static inline Floats operator-(Floats a) { return {-a.first, -a.second}; }
static inline Floats fma(Floats a, Floats b, Floats c) {
    return {fma(a.first, b.first, c.first), fma(a.second, b.second, c.second)};
}
static inline Floats less(Floats a, Floats b, Floats c) {
    return {less(a.first, b.first, c.first), less(a.second, b.second, c.second)};
}
static inline Floats entry(const float (&table)[32], Floats index) {
    return {entry(table, index.first), entry(table, index.second)};
}
static inline Floats larger(Floats a, Floats b) { return {larger(a.first, b.first), larger(a.second, b.second)}; }
static inline Floats smaller(Floats a, Floats b) { return {smaller(a.first, b.first), smaller(a.second, b.second)}; }
static inline Floats at_most(Floats x, float bound) { return smaller(all(bound), x); }  // keeps a NaN

static inline Vector magnitude(Vector x) { return (Vector)((Integers)x & INT32_MAX); }
static inline Floats magnitude(Floats x) { return {magnitude(x.first), magnitude(x.second)}; }
static inline Vector with_sign(Vector y, Vector sign) { return (Vector)((Integers)y | ((Integers)sign & INT32_MIN)); }
static inline Floats with_sign(Floats y, Floats sign) {
    return {with_sign(y.first, sign.first), with_sign(y.second, sign.second)};
}
static inline Floats exponent(Floats x) { return {exponent(x.first), exponent(x.second)}; }
static inline Floats significand(Floats x) { return {significand(x.first), significand(x.second)}; }
static inline Vector upper_bits(Vector m) { return (Vector)((Naturals)m >> 18); }  // the low five: of the significand
static inline Vector without(Vector y, Vector x, float bound) {                    // 0 where x <= bound
    return (Vector)((Integers)y & ~(Integers)(x <= broadcast(bound)));
}

// A bit for each lane where x <= y, or x == y.
static inline uint32_t are_at_most(Floats x, Floats y) {
    return mask_of(at_most_mask(x.first, y.first), at_most_mask(x.second, y.second));
}
static inline uint32_t are_equal(Floats x, Floats y) {
    return mask_of(equal_mask(x.first, y.first), equal_mask(x.second, y.second));
}

// A value, and the lanes where it is certain.
struct isobit_rounded {
    Floats y;
    uint32_t sure;
};

// high + low rounded; an error up to 2^-BITS of half a unit in its last place (of a quarter, at a power of two) must
// not change that: what the rounding left, stretched by so much, rounds away too.
template <int BITS>
static inline isobit_rounded isobit_round_pair(Floats high, Floats low) {
    const Floats y = high + low, left = low - (y - high);
    return {y, are_equal(fma(left, all(1.0f + 1.0f / (1 << BITS)), y), y)};
}

// The same where an error up to the bound must not.
static inline isobit_rounded isobit_round_pair(Floats high, Floats low, Floats bound) {
    const Floats above = high + (low + bound), below = high + (low - bound);
    return {above, are_equal(above, below)};
}

// e^x = power (1 + r + rest) 2^exponent (the power below times 2^floor(k)): r is exact, |r| <= ln(2)/64.
struct isobit_power {
    Floats power, k, n, r, square, rest;
};

static inline isobit_power isobit_power_of(Floats x) {
    const Floats round = all(0x1.8p18f), n = fma(x, all((float)LOG2E), round), k = n - round;  // k is n's low bits / 32
    const Floats r = less(k, all(LN2_HIGH), x), low = less(k, all(LN2_LOW), entry(POWER_REST, n));
    const Floats near = r + low, square = near * near;
    const Floats q = fma(near, fma(near, all(POWER_POLYNOMIAL[2]), all(POWER_POLYNOMIAL[1])), all(POWER_POLYNOMIAL[0]));
    return {entry(POWER, n), k, n, r, square, fma(square, q, low)};
}

static inline Floats scaled(Floats x, const isobit_power &p) {
    return {scaled(x.first, p.k.first, p.n.first), scaled(x.second, p.k.second, p.n.second)};
}

struct isobit_fast_exp {
    static isobit_rounded value(Floats x) {
        const isobit_power p = isobit_power_of(x);
        const Floats high = fma(p.power, p.r, p.power), low = fma(p.power, p.rest, fma(p.power, p.r, p.power - high));
        isobit_rounded result = isobit_round_pair(high, low, all(0x1p-35f));
        result.y = scaled(result.y, p);
        result.sure &= are_at_most(magnitude(x), all(87.33f));
        if (__builtin_expect(result.sure != EVERY, 0)) {  // masked attention is full of -inf
            const uint32_t vanished = are_at_most(x, all(-104.0f));
            result.y = {without(result.y.first, x.first, -104.0f), without(result.y.second, x.second, -104.0f)};
            result.sure |= vanished;
        }
        return result;
    }
};

// 1 / (1 + e^-x), with the larger of 1 and e^-x first, so that what their sum leaves is exact.
struct isobit_fast_sigmoid {
    static isobit_rounded value(Floats x) {
        const isobit_power p = isobit_power_of(-at_most(x, 87.0f));
        const Floats power = scaled(p.power, p), one = all(1.0f);
        const Floats high = fma(power, p.r, power), low = fma(power, p.rest, fma(power, p.r, power - high));
        const Floats most = larger(one, high), least = smaller(one, high);
        const Floats sum = most + least, sum_low = (least - (sum - most)) + low;
        const Floats inverse = one / sum, rest = less(inverse, sum_low, less(inverse, sum, one));
        isobit_rounded result = isobit_round_pair<10>(inverse, rest * less(inverse, sum_low * inverse, inverse));
        result.sure &= are_at_most(all(-69.0f), x);  // else a residue would underflow
        return result;
    }
};

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
        isobit_rounded result = isobit_round_pair<10>(high, low);
        result.sure &= are_split(x);
        return result;
    }
};

#if defined(__AVX512DQ__)
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
#endif

// erf(c + r) for the multiple c of 1/8 nearest to |x|; from 3.925 on it rounds to 1
struct isobit_fast_erf {
    static isobit_rounded value(Floats x) {
        const Floats a = at_most(magnitude(x), 3.93f), round = all(0x1.8p20f), i = a + round;
        const Floats r = a - (i - round), start = entry(ERF_0, i), slope = entry(ERF_1, i), square = r * r;
        Floats q = fma(entry(ERF_6, i), r, entry(ERF_5, i));
        q = fma(fma(fma(q, r, entry(ERF_4, i)), r, entry(ERF_3, i)), r, entry(ERF_2, i));
        const Floats high = fma(slope, r, start), rest = fma(slope, r, start - high) + entry(ERF_0_REST, i);
        const Floats bend = square * q, low = fma(entry(ERF_1_REST, i), r, rest) + bend;
        const Floats bound = less(bend, all(0x1p-22f), high * all(0x1p-36f));  // the bend is negative
        isobit_rounded result = isobit_round_pair(high, low, bound);
        result.y = with_sign(result.y, x);
        result.sure &= are_at_most(all(0x1p-90f), a);  // else a residue would underflow
        return result;
    }
};

// The arguments of a block that are not sure wait here for the double functions until there are many: one of them would
// take as long as sixteen.
template <float (*F)(float)>
class isobit_waiting {
  public:
    __attribute__((noinline)) void add(const float *x, uint32_t lanes, float *y) {
        for (; lanes; lanes &= lanes - 1, ++count_)
            x_[count_] = x[__builtin_ctz(lanes)], y_[count_] = y + __builtin_ctz(lanes);
    }

    bool is_full() const { return count_ > ROOM - LANES; }

    void finish() {
        if (count_) compute();
        count_ = 0;
    }

  private:
    __attribute__((noinline)) void compute() {
        for (int i = 0; i < (count_ + 15) / 16 * 16; i++) x_[i] = F(x_[i]);
        for (int i = 0; i < count_; i++) *y_[i] = x_[i];
    }

    static constexpr int64_t ROOM = 128;
    int64_t count_ = 0;
    float x_[ROOM + LANES] = {};
    float *y_[ROOM + LANES];
};

}  // namespace

// F over a block, where Fast gives F of most values.
template <class Fast, float (*F)(float)>
static inline void isobit_block_fast(const float *x, float *y, int64_t n) {
    isobit_waiting<F> waiting;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        isobit_fetch(x + i, y + i, LANES);
        const isobit_rounded result = Fast::value({load(x + i), load(x + i + LANES / 2)});
        if (__builtin_expect(result.sure != EVERY, 0)) waiting.add(x + i, result.sure ^ EVERY, y + i);
        store(y + i, result.y.first), store(y + i + LANES / 2, result.y.second);
        if (__builtin_expect(waiting.is_full(), 0)) waiting.finish();
    }
    if (i < n) {
        float last[LANES] = {};
        std::memcpy(last, x + i, (n - i) * sizeof(float));
        const isobit_rounded result = Fast::value({load(last), load(last + LANES / 2)});
        waiting.add(last, (result.sure ^ EVERY) & ((1u << (n - i)) - 1), y + i);
        std::memcpy(y + i, &result.y, (n - i) * sizeof(float));
    }
    waiting.finish();
}
