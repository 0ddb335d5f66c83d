// Blocks of the exact product of two packed operands: tiles over chunks of K, summed in int64, rounded once.
#pragma once

#include "product_operand.h"

namespace isobit::ISOBIT_ISA {

constexpr int TILE_SIZE = TILE_ROWS * TILE_COLUMNS;

// One row of a finished tile: sum * 2^-s * 2^-t. The conversion rounds to 24 bits; the products are exact in float64, and
// in float32 where both scales are moderate, but for the one rounding of a result that is subnormal.
template <class Sum>
ISOBIT_INLINE void round_row(const Sum *sums, const Scales &a, int64_t row, const float *moderate_down, const double *down,
                             bool is_moderate, float *values) {
    if (is_moderate) {
        const float row_down = a.moderate_down[row];
        for (int j = 0; j < TILE_COLUMNS; ++j) values[j] = static_cast<float>(sums[j]) * row_down * moderate_down[j];
        return;
    }
    const double row_down = a.down[row];
    for (int j = 0; j < TILE_COLUMNS; ++j)
        values[j] = static_cast<float>(static_cast<double>(static_cast<float>(sums[j])) * (row_down * down[j]));
}

ISOBIT_INLINE void add_narrow(const TileSums &sums, int count, bool is_first, int64_t *totals) {
    for (int e = 0; e < count; ++e) {
        const int64_t high = sums.spilled ? static_cast<int64_t>(sums.high[e]) << 16 : 0;
        totals[e] = (is_first ? 0 : totals[e]) + high + sums.low[e];
    }
}

// S = high * 2^24 + (middle - high - low) * 2^12 + low, middle the product of the sums of digits. Each term may pass 2^63,
// where unsigned arithmetic wraps and the total, below 2^63, is right all the same.
template <int PLANE>
ISOBIT_INLINE void add_wide(const TileSums &sums, int count, bool is_first, int64_t *totals) {
    constexpr uint64_t WEIGHT = PLANE == 0 ? (1u << 24) - (1u << 12) : PLANE == 1 ? 1 - (uint64_t{1} << 12) : 1u << 12;
    for (int e = 0; e < count; ++e) {
        const uint64_t high = PLANE == 2 && sums.spilled ? static_cast<uint64_t>(static_cast<int64_t>(sums.high[e])) << 16 : 0;
        const uint64_t sum = high + static_cast<uint64_t>(static_cast<int64_t>(sums.low[e]));
        totals[e] = static_cast<int64_t>((is_first ? 0 : static_cast<uint64_t>(totals[e])) + sum * WEIGHT);
    }
}

// |high + low| <= 4088: 64 pairs sum to 128 * 4088^2 < 2^31 - 2^16.
constexpr int64_t MIDDLE_INTERVAL = 64;

// The second operand of a block: its panels, which may be packed when they are needed, and the scales of its columns.
struct Columns {
    const int32_t *panel;
    const Bounds *bounds;
    const float *moderate_down;
    const double *down;
    bool is_moderate;
    const char *ahead;  // what to fetch into L2 while this panel is multiplied, or anything that is there
    int64_t ahead_bytes;
};

// Rows [row_begin, row_end) and columns [column_begin, column_end) of the product, counted in panels.
// columns(chunk, panel) gives Columns; prepare_write(row, rows, panel) may fetch what will be written; write(row, panel, values) takes TILE_COLUMNS finished values of one row.
template <class GetColumns, class PrepareWrite, class Write>
static void multiply_block(const Operand &a, bool wide, int64_t row_begin, int64_t row_end, int64_t column_begin,
                           int64_t column_end, const GetColumns &columns,
                           const PrepareWrite &prepare_write, const Write &write) {
    static thread_local Scratch scratch;
    const Layout &layout = a.layout;
    const int64_t width = column_end - column_begin;
    alignas(64) TileSums sums;
    alignas(64) int64_t local[TILE_SIZE];
    int64_t *totals = layout.chunks > 1 ? scratch.get<int64_t>((row_end - row_begin) * width * TILE_SIZE) : nullptr;
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
        const int64_t pairs = layout.size_of(chunk);
        const bool is_first = chunk == 0, is_last = chunk + 1 == layout.chunks;
        for (int64_t j = column_begin; j < column_end; ++j) {
            const Columns b = columns(chunk, j);
            const int64_t slice = (b.ahead_bytes / (row_end - row_begin) + 63) / 64 * 64;
            for (int64_t i = row_begin; i < row_end; ++i) {
                const int rows = layout.used(i), count = rows * TILE_COLUMNS;
                const Tile tile = tile_of(rows);
                const char *ahead = b.ahead + (i - row_begin) * slice;
                if (is_last) prepare_write(layout.first(i), rows, j);
                const int32_t *panel = a.panel(chunk, i);
                int64_t *total = totals ? totals + ((i - row_begin) * width + j - column_begin) * TILE_SIZE : local;
                if (wide) {
                    const int64_t a_plane = pairs * rows, b_plane = pairs * TILE_COLUMNS;
                    tile(panel, b.panel, pairs, pairs, ahead, sums);
                    add_wide<0>(sums, count, is_first, total);
                    tile(panel + a_plane, b.panel + b_plane, pairs, pairs, ahead, sums);
                    add_wide<1>(sums, count, false, total);
                    tile(panel + 2 * a_plane, b.panel + 2 * b_plane, pairs, MIDDLE_INTERVAL, ahead, sums);
                    add_wide<2>(sums, count, false, total);
                } else {
                    tile(panel, b.panel, pairs, safe_interval(a.bound(chunk, i), *b.bounds), ahead, sums);
                    if (sums.spilled || !is_first || !is_last) add_narrow(sums, count, is_first, total);
                }
                if (!is_last) continue;
                const bool is_short = !wide && is_first && !sums.spilled, is_moderate = a.scales.is_moderate && b.is_moderate;
                const int64_t line = layout.first(i);
                for (int row = 0; row < rows; ++row) {
                    alignas(64) float values[TILE_COLUMNS];
                    if (is_short)
                        round_row(sums.low + row * TILE_COLUMNS, a.scales, line + row, b.moderate_down, b.down, is_moderate, values);
                    else
                        round_row(total + row * TILE_COLUMNS, a.scales, line + row, b.moderate_down, b.down, is_moderate, values);
                    write(line + row, j, values);
                }
            }
        }
    }
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
