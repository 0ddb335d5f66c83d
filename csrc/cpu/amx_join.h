// From the sums of a tile's digits to its results: joined exactly, rounded once to float32.
#pragma once

#include "amx_operand.h"

namespace isobit::ISOBIT_ISA {

// The powers of two of sixteen columns.
struct TileScales {
    const float *moderate_down;
    const double *down;
};

// What a tile's rows are rounded with, as round_row has it: sum * 2^-s * 2^-t; is_moderate: |s| <= 60 in every scale.
struct Join {
    const float *moderate_down = nullptr;  // of the rows
    const double *down = nullptr;
    TileScales columns = {};
    Floats moderate = {};  // of the columns
    int count = 0;
    bool is_moderate = false;

    Join() = default;
    Join(const Scales &rows, int64_t line, int count_, const TileScales &columns_, bool is_moderate_)
        : moderate_down(rows.moderate_down + line),
          down(rows.down + line),
          columns(columns_),
          moderate(load(columns_.moderate_down)),
          count(count_),
          is_moderate(is_moderate_) {}
};

// Sixteen sums of a row, high * 2^32 + low, low without a sign.
struct Halves {
    Ints high, low;
};

// The sums of narrow digits: high * 2^16 + low, 0 <= low < 2^16. The carries stay within int32 by LONGEST_NARROW.
ISOBIT_INLINE Halves carried(const int32_t *sums) {
    const Ints s0 = load(sums), s1 = add(load(sums + TILE), shift_right<8>(s0));
    const Ints upper = _mm512_maskz_slli_epi16(0x55555555u, s1, 8);
    return {add(load(sums + 2 * TILE), shift_right<8>(s1)),
            _mm512_ternarylogic_epi32(s0, broadcast(0xff), upper, 0xea)};  // (s0 & 0xff) | upper
}

template <bool WIDE>
ISOBIT_INLINE Halves joined(const int32_t *sums) {
    if (!WIDE) {
        const Halves half = carried(sums);
        return {shift_right<16>(half.high), _mm512_or_si512(_mm512_slli_epi32(half.high, 16), half.low)};
    }
    const Ints s0 = load(sums), s1 = add(load(sums + TILE), shift_right<8>(s0));
    const Ints s2 = add(load(sums + 2 * TILE), shift_right<8>(s1));
    const Ints s3 = add(load(sums + 3 * TILE), shift_right<8>(s2));
    const Ints b1 = _mm512_maskz_slli_epi16(0x55555555u, s1, 8), b3 = _mm512_slli_epi32(s3, 24);
    const Ints lower = _mm512_ternarylogic_epi32(s0, broadcast(0xff), b1, 0xea);
    const Ints upper = _mm512_ternarylogic_epi32(_mm512_slli_epi32(s2, 16), broadcast(0xff0000), b3, 0xea);
    return {add(load(sums + 4 * TILE), shift_right<8>(s3)), _mm512_or_si512(lower, upper)};
}

// The same of few integers of a wide product, from pairs of neighbouring sums: |s0 + 2^8 s1| and |s2 + 2^8 s3| with the
// carry fit int32 for K up to LONGEST_PAIRED.
ISOBIT_INLINE Halves joined_pairs(const int32_t *sums) {
    const Ints lower = add(load(sums), shift_left<8>(load(sums + TILE)));
    const Ints upper = add(load(sums + 2 * TILE), shift_left<8>(load(sums + 3 * TILE)));
    const Ints middle = add(upper, shift_right<16>(lower));
    return {add(load(sums + 4 * TILE), shift_right<16>(middle)),
            _mm512_mask_blend_epi16(0xaaaaaaaau, lower, shift_left<16>(middle))};
}

// The sums as int64: first those of the lanes 0, 1, 4, 5, 8, 9, 12, 13, then the others.
struct RowSums {
    __m512i part[2];
};

ISOBIT_INLINE RowSums wholes(const Halves &halves) {
    return {{_mm512_unpacklo_epi32(halves.low, halves.high), _mm512_unpackhi_epi32(halves.low, halves.high)}};
}

// The conversion of an int64 rounds to 24 bits.
ISOBIT_INLINE Floats nearest_floats(const RowSums &row) {
    const Ints order = _mm512_setr_epi32(0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23);
    return _mm512_permutex2var_ps(_mm512_castps256_ps512(_mm512_cvtepi64_ps(row.part[0])), order,
                                  _mm512_castps256_ps512(_mm512_cvtepi64_ps(row.part[1])));
}

template <bool MODERATE>
ISOBIT_INLINE Floats scaled(Floats sum, const Join &join, int row) {
    if (MODERATE || join.is_moderate) return multiply(multiply(sum, broadcast(join.moderate_down[row])), join.moderate);
    const __m512d down = _mm512_set1_pd(join.down[row]);
    const auto half = [&](__m256 values, const double *columns) __attribute__((always_inline)) {
        return _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_cvtps_pd(values), _mm512_mul_pd(down, _mm512_loadu_pd(columns))));
    };
    const __m256 first = half(_mm512_castps512_ps256(sum), join.columns.down),
                 second = half(_mm512_extractf32x8_ps(sum, 1), join.columns.down + 8);
    return _mm512_insertf32x8(_mm512_castps256_ps512(first), second, 1);
}

// One row of a tile, written to its place; MODERATE: join.is_moderate is known. Both halves of the sum are exact as
// float32, so one fused multiply-add rounds it once: |high| <= 2^24 for K up to LONGEST_SHORT.
template <bool MODERATE, class Writer>
ISOBIT_INLINE void join_short(const int32_t *sums, int row, const Join &join, const Writer &writer) {
    const Halves half = carried(sums + row * SIDE);
    const Floats sum = _mm512_fmadd_ps(to_floats(half.high), broadcast(65536.0f), to_floats(half.low));
    writer(row, scaled<MODERATE>(sum, join, row));
}

template <class Writer>
ISOBIT_INLINE void join_paired(const int32_t *sums, int row, const Join &join, const Writer &writer) {
    writer(row, scaled<true>(nearest_floats(wholes(joined_pairs(sums + row * SIDE))), join, row));
}

template <bool WIDE, bool MODERATE, class Writer>
ISOBIT_INLINE void join_long(const int32_t *sums, int row, const Join &join, const Writer &writer) {
    writer(row, scaled<MODERATE>(nearest_floats(wholes(joined<WIDE>(sums + row * SIDE))), join, row));
}

// Adds what one stretch of K has left to the totals: below 2^63 in the whole, so wrapping in the parts is right.
template <bool WIDE, class Writer>
ISOBIT_INLINE void add_totals(const int32_t *sums, int row, int64_t *totals, bool is_first, bool is_last,
                              const Join &join, const Writer &writer) {
    RowSums whole = wholes(joined<WIDE>(sums + row * SIDE));
    for (int part = 0; part < 2; ++part) {
        int64_t *const total = totals + row * SIDE + part * SIDE / 2;
        if (!is_first) whole.part[part] = _mm512_add_epi64(whole.part[part], _mm512_loadu_si512(total));
        if (!is_last) _mm512_storeu_si512(total, whole.part[part]);
    }
    if (is_last) writer(row, scaled<false>(nearest_floats(whole), join, row));
}

// A whole tile; totals: where several stretches of K add up, or null. is_short: K is at most LONGEST_SHORT.
template <bool WIDE, class Writer>
static void join_tile(const int32_t *sums, int64_t *totals, bool is_short, bool is_first, bool is_last,
                      const Join &join, const Writer &writer) {
    for (int row = 0; row < join.count; ++row) {
        if (totals)
            add_totals<WIDE>(sums, row, totals, is_first, is_last, join, writer);
        else if (!WIDE && is_short)
            join_short<false>(sums, row, join, writer);
        else
            join_long<WIDE, false>(sums, row, join, writer);
    }
}

}  // namespace isobit::ISOBIT_ISA
