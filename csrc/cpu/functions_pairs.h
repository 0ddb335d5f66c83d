// erf exp log rsqrt sigmoid (with AVX-512 also tanh) for many values at once, correctly rounded (docs/functions.md, In
// pairs of float32): a value is found as high + low within a bound; where the rounding of high + low is not certain, or
// a value is not normal, it is done again in double.
//
// Two vectors alternate in every step: one alone would wait for itself, as each step needs the one before.
#pragma once

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
static inline Floats entry(const float (&table)[ENTRIES], Floats index) {
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
static inline Vector without(Vector y, Vector x, float bound) {  // 0 where x <= bound
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

// erf(x), where erf(|x|) is high + low; the error is up to a share of the bend, which is negative, and one of high.
static inline isobit_rounded isobit_rounded_erf(Floats x, Floats high, Floats low, Floats bend) {
    isobit_rounded result = isobit_round_pair(high, low, less(bend, all(0x1p-22f), high * all(0x1p-36f)));
    result.y = with_sign(result.y, x);
    result.sure &= are_at_most(all(0x1p-90f), magnitude(x));  // else a residue would underflow
    return result;
}

// e^x = power (1 + r + rest) 2^exponent (the power below times 2^floor(k))
struct isobit_power {
    Floats power, k, n, r, square, rest;
};

static inline isobit_power isobit_power_of(Floats x);
static inline isobit_power isobit_rough_power_of(Floats x);  // with an error up to ROUGH_ERROR of the power

static inline Floats scaled(Floats x, const isobit_power &p) {
    return {scaled(x.first, p.k.first, p.n.first), scaled(x.second, p.k.second, p.n.second)};
}

struct isobit_fast_exp {
    static isobit_rounded value(Floats x) {
        const isobit_power p = isobit_rough_power_of(x);
        const Floats high = fma(p.power, p.r, p.power), low = fma(p.power, p.rest, fma(p.power, p.r, p.power - high));
        isobit_rounded result = isobit_round_pair(high, low, all(ROUGH_ERROR));
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

}  // namespace

#if defined(__AVX512DQ__)
#include "functions_pairs_avx512.h"
#else
#include "functions_pairs_avx2.h"
#endif

namespace {

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
