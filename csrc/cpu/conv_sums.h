// What the convolutions of small groups multiply and add, exactly: pairs of int16 in int32 (narrow), float64 (wide).
//
// A sum is spilled before the terms since its last spill could reach LIMIT: its upper part moves to `high`. A chunk of
// MOST_TAPS taps always fits. Lanes past the end of a row may hold anything: they are not stored.
#pragma once

#include "conv_pixels.h"

namespace isobit::ISOBIT_ISA {

typedef float HalfFloats __attribute__((vector_size(LANES * 2)));

// The first `lanes` floats.
ISOBIT_INLINE void store_first(float *to, Floats values, int lanes) {
#if defined(__AVX512VNNI__)
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << lanes) - 1), values);
#else
    lanes == LANES ? store(to, values) : store_some(reinterpret_cast<int32_t *>(to), (Ints)values, lanes);
#endif
}

// 2^-s * 2^-t of one result.
struct Down {
    double factor = 0;
    float short_factor = 0;
    bool is_short = true;  // a normal float32 (or NaN): an integer of 24 bits times it is rounded once

    Down() = default;
    explicit Down(double value)
        : factor(value), short_factor(static_cast<float>(value)), is_short(!(value < 0x1p-126 || value > 0x1p127)) {}
    float scaled(float sum) const { return static_cast<float>(static_cast<double>(sum) * factor); }
};

// |q| <= 16383: 8 products stay below LIMIT, and a spill, to int32 again, leaves less than 2^16.
struct PairSums {
    using Element = int32_t;
    using Vector = Ints;
    static constexpr int WIDTH = LANES, MOST_TAPS = 4;
    static constexpr bool IS_PAIRED = true;
    static constexpr int64_t LIMIT = (int64_t{1} << 31) - (int64_t{1} << 16);

    static Element weight(int32_t first, int32_t second) {
        return static_cast<int32_t>(static_cast<uint32_t>(second) << 16 | (static_cast<uint32_t>(first) & 0xffff));
    }
    ISOBIT_INLINE Vector zeros() { return zero(); }
    ISOBIT_INLINE Vector loaded(const Element *p) { return load(p); }
    ISOBIT_INLINE Vector everywhere(Element weight) { return broadcast(weight); }
    ISOBIT_INLINE void stored(Element *to, Vector v) { store(to, v); }
    ISOBIT_INLINE Vector added(Vector sum, Vector a, Vector b) { return dot(sum, a, b); }
    ISOBIT_INLINE Vector spilled(Vector sum, Element *high) {
        store(high, dot(load(high), sum, broadcast(0x10000)));  // the pair (0, 1) adds the upper half
        return bit_and(sum, broadcast(0xffff));
    }
    ISOBIT_INLINE Floats rounded(Vector sum) { return to_floats(sum); }
    // high * 2^16 + low, both exact in float32: K is at most LONGEST_IN_HALVES, and low is what a spill left.
    ISOBIT_INLINE Floats joined(Vector low, const Element *high) {
        return add(multiply(to_floats(load(high)), broadcast(65536.0f)), to_floats(low));
    }
    ISOBIT_INLINE void store_scaled(Floats sum, float down, float *to, int lanes) {
        store_first(to, multiply(sum, broadcast(down)), lanes);
    }
    static __attribute__((noinline)) void finish_long(Vector low, const Element *high, bool has_spilled,
                                                      const Down &down, float *to, int lanes) {
        float sums[LANES];
        store(sums, has_spilled ? joined(low, high) : rounded(low));
        for (int i = 0; i < lanes; ++i) to[i] = down.scaled(sums[i]);
    }
};

// Terms of a sum whose upper half, spilled up to once every 8 terms, is a float32: K * 2^28 / 2^16 + K / 8 <= 2^24.
constexpr int64_t LONGEST_IN_HALVES = 4032;
static_assert(LONGEST_IN_HALVES * 4096 + LONGEST_IN_HALVES / 8 + 1 <= 1 << 24, "the upper half of a sum is a float32");

// |q| <= 8355711 < 2^23: 128 products stay below LIMIT. A spill leaves at most 2^25, and moves a multiple of 2^26.
struct DoubleSums {
    using Element = double;
    using Vector = Doubles;
    static constexpr int WIDTH = DOUBLES, MOST_TAPS = 7;
    static constexpr bool IS_PAIRED = false;
    static constexpr int64_t LIMIT = (int64_t{1} << 53) - (int64_t{1} << 26);
    static constexpr double PART = 0x1p26;

    static Element weight(int32_t first, int32_t) { return first; }
    ISOBIT_INLINE Vector zeros() { return Doubles{}; }
    ISOBIT_INLINE Vector loaded(const Element *p) { return load_doubles(p); }
    ISOBIT_INLINE Vector everywhere(Element weight) { return weight - Doubles{}; }
    ISOBIT_INLINE void stored(Element *to, Vector v) { std::memcpy(to, &v, sizeof v); }
    ISOBIT_INLINE Vector added(Vector sum, Vector a, Vector b) { return multiply_add(sum, a, b); }
    ISOBIT_INLINE Vector spilled(Vector sum, Element *high) {
        const Vector rounder = everywhere(0x1.8p52 * PART);  // a sum with it is a multiple of 2^26, the nearest
        const Vector part = sum + rounder - rounder;
        stored(high, loaded(high) + part);
        return sum - part;
    }
    ISOBIT_INLINE HalfFloats rounded(Vector sum) {
#if defined(__AVX512VNNI__)
        return _mm512_cvtpd_ps(sum);
#else
        return __builtin_convertvector(sum, HalfFloats);
#endif
    }
    static __attribute__((noinline)) HalfFloats joined(Vector low, const Element *high) {
        HalfFloats sums;
        for (int i = 0; i < DOUBLES; ++i) sums[i] = static_cast<float>(whole(high[i], low[i]));
        return sums;
    }
    ISOBIT_INLINE void store_scaled(HalfFloats sum, float down, float *to, int lanes) {
        sum *= down;
#if defined(__AVX512VNNI__)
        _mm256_mask_storeu_ps(to, static_cast<__mmask8>((1u << lanes) - 1), sum);
#else
        if (lanes == DOUBLES)
            std::memcpy(to, &sum, sizeof sum);
        else
            for (int i = 0; i < lanes; ++i) to[i] = sum[i];
#endif
    }
    static __attribute__((noinline)) void finish_long(Vector low, const Element *high, bool has_spilled,
                                                      const Down &down, float *to, int lanes) {
        const HalfFloats sums = has_spilled ? joined(low, high) : rounded(low);
        for (int i = 0; i < lanes; ++i) to[i] = down.scaled(sums[i]);
    }

  private:
    static int64_t whole(double high, double low) {  // both and their sum fit int64 (where no NaN takes its place)
        return static_cast<int64_t>(static_cast<uint64_t>(static_cast<int64_t>(high)) +
                                    static_cast<uint64_t>(static_cast<int64_t>(low)));
    }
};

}  // namespace isobit::ISOBIT_ISA
