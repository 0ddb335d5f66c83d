// Float32 arithmetic over blocks. On AVX-512 one instruction makes every NaN the law's, where a comparison and a
// selection would cost more than the operator.
#pragma once

#include "blocks.h"
#include "float_bits.h"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace isobit::ISOBIT_ISA {

#if defined(__AVX512F__)

static inline __m512 canonical(__m512 x) {
    const __m512i rows = _mm512_set1_epi32(0x11111100);  // for each class of x, NaNs first: 0 the first operand, 1 x
    return _mm512_fixupimm_ps(_mm512_set1_ps(float_of(CANONICAL_NAN)), x, rows, 0);
}

template <class F, bool FIRST, bool SECOND>
static inline void float_loop(const float *a, const float *b, float *out, int64_t n) {
    const __m512 first = _mm512_set1_ps(*a), second = _mm512_set1_ps(*b);
    int64_t i = 0;
#pragma GCC unroll 4
    for (; i + 16 <= n; i += 16) {
        const __m512 x = FIRST ? first : _mm512_loadu_ps(a + i), y = SECOND ? second : _mm512_loadu_ps(b + i);
        _mm512_storeu_ps(out + i, canonical(F::lanes(x, y)));
    }
    if (i == n) return;
    const __mmask16 rest = static_cast<__mmask16>((1u << (n - i)) - 1);
    const __m512 x = FIRST ? first : _mm512_maskz_loadu_ps(rest, a + i);
    const __m512 y = SECOND ? second : _mm512_maskz_loadu_ps(rest, b + i);
    _mm512_mask_storeu_ps(out + i, rest, canonical(F::lanes(x, y)));
}

// Division of many by one divisor b. Let y = RN(1 / b), e = 1 - b y (exact) and q = RN(a y + RN(a RN(e y))): the sum
// errs by less than 2^-47 of itself, so q is one of the two floats around a / b, and r = a - b q is exact. Then
// q + r y = a / b + (a / b - q) e, where |e| <= B 2^-48 for b's significand B < 2^24: off by at most
// (1 + 2^-22) B 2^-49 units in the last place of q. No quotient lies nearer than 1 / (2 B) units to a tie, which is
// more where B^2 (1 + 2^-22) < 2^48. So RN(q + r y) is RN(a / b), as long as nothing over- or underflows.
struct Divisor {
    explicit Divisor(float divisor) {
        const uint32_t bits = bits_of(divisor), exponent = bits >> 23 & 0xff;
        is_easy = exponent - 67 < 120 && (bits & 0x7ffc00) != 0x7ffc00;
        b = _mm512_set1_ps(divisor);
        y = _mm512_set1_ps(1.0f) / b;
        rest = _mm512_fnmadd_ps(b, y, _mm512_set1_ps(1.0f)) * y;
    }

    __m512 quotient(__m512 a) const {
        const __m512 q = _mm512_fmadd_ps(a, y, a * rest);
        return _mm512_fmadd_ps(_mm512_fnmadd_ps(b, q, a), y, q);
    }

    // Whether 2^-60 <= |a| < 2^60 in every lane: no step of a quotient then leaves the normal numbers.
    static bool are_easy(__m512 a, __m512 b, __m512 c, __m512 d) {
        const Bits most = larger(larger(above(a), above(b)), larger(above(c), above(d)));
        return _mm512_cmpge_epu32_mask((__m512i)most, _mm512_set1_epi32(120 << 24)) == 0;
    }

    bool is_easy;
    __m512 b, y, rest;

  private:
    typedef uint32_t Bits __attribute__((vector_size(64)));
    static Bits above(__m512 x) { return (Bits)x + (Bits)x - (67u << 24); }  // twice the magnitude's, from 2^-60 on
    static Bits larger(Bits a, Bits b) { return a > b ? a : b; }
};

// The quotients of four vectors, which replace them.
static inline void divide_four(__m512 &a, __m512 &b, __m512 &c, __m512 &d, const Divisor &by) {
    if (by.is_easy && Divisor::are_easy(a, b, c, d)) {
        a = by.quotient(a), b = by.quotient(b), c = by.quotient(c), d = by.quotient(d);
    } else {
        a = canonical(a / by.b), b = canonical(b / by.b), c = canonical(c / by.b), d = canonical(d / by.b);
    }
}

static inline int64_t divide_by_one(const float *a, float divisor, float *out, int64_t n) {
    const Divisor by(divisor);
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512 x[4];
        for (int j = 0; j < 4; ++j) x[j] = _mm512_loadu_ps(a + i + 16 * j);
        divide_four(x[0], x[1], x[2], x[3], by);
        for (int j = 0; j < 4; ++j) _mm512_storeu_ps(out + i + 16 * j, x[j]);
    }
    return i;
}

// As pair<F, float, float>.
template <class F>
static void float_pair(const void *const *inputs, void *output, int64_t n, uint32_t repeated) {
    const float *a = static_cast<const float *>(inputs[0]), *b = static_cast<const float *>(inputs[1]);
    float *out = static_cast<float *>(output);
    switch (repeated) {
        case 0: return float_loop<F, false, false>(a, b, out, n);
        case 1: return float_loop<F, true, false>(a, b, out, n);
        case 2: {
            const float value = *b;
            const int64_t done = F::IS_DIVISION && n >= 64 ? divide_by_one(a, value, out, n) : 0;
            return done < n ? float_loop<F, false, true>(a + done, &value, out + done, n - done) : void();
        }
        default: return float_loop<F, true, true>(a, b, out, n);
    }
}

#define ISOBIT_LANES(SIGN)                                                                                             \
    static constexpr bool IS_DIVISION = #SIGN[0] == '/';                                                               \
    static __m512 lanes(__m512 a, __m512 b) { return a SIGN b; }

#else

template <class F>
static void float_pair(const void *const *inputs, void *output, int64_t n, uint32_t repeated) {
    pair<F, float, float>(inputs, output, n, repeated);
}

#define ISOBIT_LANES(SIGN)

#endif

template <class F>
constexpr Blocks float_arithmetic() {
    return {without_repeats<float_pair<F>>, float_pair<F>};
}

}  // namespace isobit::ISOBIT_ISA
