// Blocks of an exact product on AMX: tiles over chunks of K, joined in int64, rounded once.
#pragma once

#include "amx_operand.h"

namespace isobit::ISOBIT_ISA {

// Sixteen sums of a row, as two vectors of int64.
struct RowSums {
    __m512i half[2];
};

ISOBIT_INLINE __m512i widened(const int32_t *p) {
    return _mm512_cvtepi32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
}

// sum over w of sums[w] * 2^(8 w), for the digits' weights w: below 2^63 in the whole, so wrapping in the parts is
// right.
template <bool WIDE>
ISOBIT_INLINE RowSums joined_row(const int32_t *sums) {
    RowSums row;
    for (int half = 0; half < 2; ++half, sums += 8) {
        __m512i sum = widened(sums);
        sum = _mm512_add_epi64(sum, _mm512_slli_epi64(widened(sums + TILE), 8));
        sum = _mm512_add_epi64(sum, _mm512_slli_epi64(widened(sums + 2 * TILE), 16));
        if (WIDE) {
            sum = _mm512_add_epi64(sum, _mm512_slli_epi64(widened(sums + 3 * TILE), 24));
            sum = _mm512_add_epi64(sum, _mm512_slli_epi64(widened(sums + 4 * TILE), 32));
        }
        row.half[half] = sum;
    }
    return row;
}

// Sixteen results: sum * 2^-s * 2^-t as round_row has it. The conversion of an int64 rounds to 24 bits.
struct TileScales {
    const float *moderate_down;
    const double *down;
};

ISOBIT_INLINE Floats rounded_row(const RowSums &row, float row_moderate, double row_down, const TileScales &columns,
                                 bool is_moderate) {
    const __m256 low = _mm512_cvtepi64_ps(row.half[0]), high = _mm512_cvtepi64_ps(row.half[1]);
    if (is_moderate) {
        const Floats sum = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
        return multiply(multiply(sum, broadcast(row_moderate)), load(columns.moderate_down));
    }
    const __m512d down = _mm512_set1_pd(row_down);
    const __m512d first = _mm512_mul_pd(down, _mm512_loadu_pd(columns.down)),
                  second = _mm512_mul_pd(down, _mm512_loadu_pd(columns.down + 8));
    const __m256 a = _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_cvtps_pd(low), first)),
                 b = _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_cvtps_pd(high), second));
    return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1);
}

// Steps of a chunk: what a tile reads of one panel of each operand stays in L1 and L2, and its sums within int32.
static inline int64_t chunk_steps(int64_t steps, bool wide) {
    const int64_t longest = wide ? 20 : 32;
    static_assert(32 * STEP <= LONGEST_NARROW && 20 * STEP <= LONGEST_WIDE, "the sums of a chunk fit int32");
    const int64_t chunks = std::max<int64_t>((steps + longest - 1) / longest, 1);
    return (steps + chunks - 1) / chunks;
}

// Panels [row, row_end) by [column, column_end); totals: the sums over chunks, where there are several.
struct TileBlock {
    int64_t row, row_end, column, column_end;
};

// The sums of one tile, added to its totals and, after the last chunk, written row by row.
template <bool WIDE, class Write>
ISOBIT_INLINE void take_tile(const int32_t *sums, int64_t *totals, bool is_first, bool is_last, const Scales &rows,
                             int64_t line, int count, const TileScales &columns, bool is_moderate, const Write &write) {
    for (int i = 0; i < count; ++i, sums += SIDE) {
        RowSums row = joined_row<WIDE>(sums);
        if (totals) {
            for (int half = 0; half < 2; ++half, totals += 8) {
                if (!is_first) row.half[half] = _mm512_add_epi64(row.half[half], _mm512_loadu_si512(totals));
                if (!is_last) _mm512_storeu_si512(totals, row.half[half]);
            }
        }
        if (is_last)
            write(line + i, rounded_row(row, rows.moderate_down[line + i], rows.down[line + i], columns, is_moderate));
    }
}

// A pair of panels of the second operand (of a wide one only the first), from the first step of a chunk on.
struct TileColumns {
    const int8_t *panel;
    int64_t next;  // bytes from one panel to the other
};

// columns(panel, count, begin, end) gives the TileColumns for the steps [begin, end), scales(panel) the TileScales;
// write(row, panel, values) takes sixteen finished values.
template <bool WIDE, class Columns, class GetScales, class Write>
static void multiply_tiles(const TiledOperand &a, const TileBlock &block, bool is_moderate, const Columns &columns,
                           const GetScales &scales, const Write &write) {
    static thread_local Scratch scratch;
    const int64_t steps = a.steps, chunk = chunk_steps(steps, WIDE), tall = block.row_end - block.row;
    const bool is_whole = chunk >= steps;
    int64_t *const totals = is_whole ? nullptr : scratch.get<int64_t>(tall * (block.column_end - block.column) * TILE);
    alignas(64) int32_t sums[6 * TILE];
    int64_t begin = 0;
    do {  // once where K is 0
        const int64_t end = std::min(begin + chunk, steps);
        for (int64_t j = block.column; j < block.column_end; j += WIDE ? 1 : 2) {
            const int panels = WIDE || j + 1 == block.column_end ? 1 : 2;
            const TileColumns b = columns(j, panels, begin, end);
            for (int64_t i = block.row; i < block.row_end; ++i) {
                const int8_t *const x = a.at(i, begin);
                if (WIDE)
                    multiply_wide(x, b.panel, end - begin, sums);
                else if (panels == 2)
                    multiply_narrow_twice(x, b.panel, b.next, end - begin, sums);
                else
                    multiply_narrow(x, b.panel, end - begin, sums);
                const int count = static_cast<int>(std::min<int64_t>(SIDE, a.lines - i * SIDE));
                for (int panel = 0; panel < panels; ++panel) {
                    const int64_t tile = (j + panel - block.column) * tall + i - block.row;
                    take_tile<WIDE>(sums + panel * 3 * TILE, totals ? totals + tile * TILE : nullptr, begin == 0,
                                    end == steps, a.scales, i * SIDE, count, scales(j + panel), is_moderate,
                                    [&](int64_t row, Floats values) { write(row, j + panel, values); });
                }
            }
        }
        begin = end;
    } while (begin < steps);
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
