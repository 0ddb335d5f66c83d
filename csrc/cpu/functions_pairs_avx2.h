// What functions_pairs.h does another way on AVX2: tables of 8 floats, which are one register, with larger remainders
// and longer polynomials, and for erf rows of memory, as a gather takes longer than eight loads and their
// transposition.
#pragma once

#include "functions_pairs.h"

namespace {

// The remainder r of x is exact, |r| <= ln(2)/16; r + r^2/2 = bent + bent_low exactly, and bent stands for r.
static inline isobit_power isobit_power_of(Floats x) {
    const Floats round = all(0x1.8p20f), n = fma(x, all((float)LOG2E), round), k = n - round;  // k is n's low bits / 8
    const Floats r = less(k, all(LN2_HIGH), x), low = less(k, all(LN2_LOW), entry(POWER_REST, n));
    const Floats half = all(0.5f) * r, bent = fma(half, r, r), bent_low = fma(half, r, r - bent), square = r * r;
    const Floats q = fma(r, fma(r, all(POWER_POLYNOMIAL[3]), all(POWER_POLYNOMIAL[2])), all(POWER_POLYNOMIAL[1]));
    return {entry(POWER, n), k, n, bent, square, fma(square * r, q, fma(low, bent, bent_low)) + low};
}

// The same with four instructions fewer, which save more than four times as many values in doubt cost; r is exact.
static inline isobit_power isobit_rough_power_of(Floats x) {
    const Floats round = all(0x1.8p20f), n = fma(x, all((float)LOG2E), round), k = n - round;
    const Floats r = less(k, all(LN2_HIGH), x), low = less(k, all(LN2_LOW), entry(POWER_REST, n));
    const Floats near = r + low, square = near * near;
    Floats q = all(POWER_POLYNOMIAL[3]);
    for (int i = 2; i >= 0; i--) q = fma(q, near, all(POWER_POLYNOMIAL[i]));
    return {entry(POWER, n), k, n, r, square, fma(square, q, low)};
}

struct isobit_split {
    Vector k, m, index;
};

// x = 2^k m with 31/32 <= m < 31/16, for a normal x > 0, and the eighth of that range that m lies in: its low three
// bits.
static inline isobit_split isobit_split_of(Vector x) {
    const Naturals above = (Naturals)x - 0x3f780000u;
    const Integers k = (Integers)above >> 23;
    return {__builtin_convertvector(k, Vector), (Vector)((Naturals)x - ((Naturals)k << 23)), (Vector)(above >> 20)};
}

// m c = 1 + r with r exact and c from a table: k ln 2 - ln c + (r - r^2/2) + r^3 Q(r), the bracket as an exact pair.
struct isobit_fast_log {
    static isobit_rounded value(Floats x) {
        const isobit_split a = isobit_split_of(x.first), b = isobit_split_of(x.second);
        const Floats k = {a.k, b.k}, m = {a.m, b.m}, index = {a.index, b.index};
        const Floats r = fma(m, entry(INVERSE, index), all(-1.0f));
        const Floats whole = fma(k, all(LN2_COARSE), entry(INVERSE_LOG, index));  // exact
        const Floats rest = fma(k, all(LN2_FINE), entry(INVERSE_LOG_REST, index));
        const Floats half = all(-0.5f) * r, bent = fma(half, r, r), bent_low = fma(half, r, r - bent), square = r * r;
        Floats q = all(INVERSE_POLYNOMIAL[5]);
        for (int i = 4; i >= 0; i--) q = fma(q, r, all(INVERSE_POLYNOMIAL[i]));
        const Floats tail = fma(square * r, q, bent_low + rest);
        const Floats high = whole + bent, low = (bent - (high - whole)) + tail;
        const Floats bound = fma(magnitude(high), all(0x1p-35f), square * all(0x1p-27f));
        isobit_rounded result = isobit_round_pair(high, low, bound);
        result.sure &= mask_of(normal_mask(x.first), normal_mask(x.second));
        return result;
    }
};

// One step of second order from the processor's estimate y leaves an error below 2^-21; then y (1 + e/2) with e exact.
struct isobit_fast_rsqrt {
    static isobit_rounded value(Floats x) {
        const Floats near = {near_rsqrt(x.first), near_rsqrt(x.second)}, one = all(1.0f);
        const Floats y = fma(all(0.5f) * near, less(x * near, near, one), near);
        const Floats t = x * y, e = less(fma(x, y, -t), y, less(t, y, one));
        return isobit_round_pair<10>(y, all(0.5f) * y * e);
    }
};

// The columns of eight rows of a table.
struct isobit_columns {
    Vector column[8];
};

// Row i and row i + 4, four columns of each.
static inline Vector isobit_half_rows(const float *const *row, int i, int column) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row[i] + column)),
                                _mm_loadu_ps(row[i + 4] + column), 1);
}

static inline isobit_columns isobit_columns_of(const float (*table)[8], Vector index) {
    alignas(32) int32_t places[8];
    _mm256_store_si256((__m256i *)places, (__m256i)((Integers)index & 63));
    const float *row[8];
    for (int i = 0; i < 8; i++) row[i] = table[places[i]];
    isobit_columns found;
    for (int half = 0; half < 2; half++) {
        Vector rows[4];
        for (int i = 0; i < 4; i++) rows[i] = isobit_half_rows(row, i, 4 * half);
        const Vector a = _mm256_unpacklo_ps(rows[0], rows[1]), b = _mm256_unpacklo_ps(rows[2], rows[3]);
        const Vector c = _mm256_unpackhi_ps(rows[0], rows[1]), d = _mm256_unpackhi_ps(rows[2], rows[3]);
        found.column[4 * half] = _mm256_shuffle_ps(a, b, 0x44),
                         found.column[4 * half + 1] = _mm256_shuffle_ps(a, b, 0xee);
        found.column[4 * half + 2] = _mm256_shuffle_ps(c, d, 0x44);
        found.column[4 * half + 3] = _mm256_shuffle_ps(c, d, 0xee);
    }
    return found;
}

// erf(c + r) for the multiple c of 1/16 nearest to |x|; from 3.925 on it rounds to 1
struct isobit_fast_erf {
    static isobit_rounded value(Floats x) {
        const Floats a = at_most(magnitude(x), 3.93f), round = all(0x1.8p19f), i = a + round, r = a - (i - round);
        const isobit_columns first = isobit_columns_of(ERF_ROWS, i.first),
                             second = isobit_columns_of(ERF_ROWS, i.second);
        const auto column = [&](int at) { return Floats{first.column[at], second.column[at]}; };
        const Floats start = column(0), slope = column(2);
        const Floats q = fma(fma(fma(column(7), r, column(6)), r, column(5)), r, column(4));
        const Floats high = fma(slope, r, start), rest = fma(slope, r, start - high) + column(1);
        const Floats bend = r * r * q, low = fma(column(3), r, rest) + bend;
        return isobit_rounded_erf(x, high, low, bend);
    }
};

}  // namespace
