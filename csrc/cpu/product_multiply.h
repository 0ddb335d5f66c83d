// Blocks of the exact product of two packed operands: tiles over chunks of K, summed in int64, rounded once.
#pragma once

#include "product_operand.h"

namespace isobit::ISOBIT_ISA {

constexpr int TILE_SIZE = TILE_ROWS * TILE_COLUMNS;

// What the sums of a tile are read from, element by element. int64: what was added up over chunks.
struct Whole {
    const int64_t *totals;
    int64_t operator[](int e) const { return totals[e]; }
};

struct Unspilled {
    const int32_t *low;
    int32_t operator[](int e) const { return low[e]; }
};

struct Spilled {
    const int32_t *low, *high;
    int64_t operator[](int e) const { return (static_cast<int64_t>(high[e]) << 16) + low[e]; }
};

// S = high * 2^24 + (middle - high - low) * 2^12 + low, middle the product of the sums of digits: all below 2^63 in the
// total, and in unsigned arithmetic right even where a term alone is not.
struct Digits {
    const int32_t *high, *low, *middle, *middle_high;
    int64_t operator[](int e) const {
        const uint64_t h = static_cast<uint64_t>(static_cast<int64_t>(high[e])),
                       l = static_cast<uint64_t>(static_cast<int64_t>(low[e]));
        const uint64_t m = (static_cast<uint64_t>(static_cast<int64_t>(middle_high[e])) << 16) +
                           static_cast<uint64_t>(static_cast<int64_t>(middle[e]));
        return static_cast<int64_t>((h << 24) + ((m - h - l) << 12) + l);
    }
};

// One row of a finished tile: sum * 2^-s * 2^-t. The conversion rounds to 24 bits; the products are exact in float64,
// and in float32 where both scales are moderate, but for the one rounding of a result that is subnormal.
template <class Sums>
ISOBIT_INLINE void round_row(const Sums &sums, int first, const Scales &a, int64_t row, const float *moderate_down,
                             const double *down, bool is_moderate, float *values) {
    if (is_moderate) {
        const float row_down = a.moderate_down[row];
        for (int j = 0; j < TILE_COLUMNS; ++j)
            values[j] = static_cast<float>(sums[first + j]) * row_down * moderate_down[j];
        return;
    }
    const double row_down = a.down[row];
    for (int j = 0; j < TILE_COLUMNS; ++j)
        values[j] = static_cast<float>(static_cast<double>(static_cast<float>(sums[first + j])) * (row_down * down[j]));
}

template <class Sums>
ISOBIT_INLINE void add_sums(const Sums &sums, int count, bool is_first, int64_t *totals) {
    if (is_first)
        for (int e = 0; e < count; ++e) totals[e] = sums[e];
    else
        for (int e = 0; e < count; ++e)
            totals[e] = static_cast<int64_t>(static_cast<uint64_t>(totals[e]) + static_cast<uint64_t>(sums[e]));
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
// columns(chunk, panel) gives Columns; prepare_write(row, rows, panel) may fetch what will be written;
// write(row, panel, values) takes TILE_COLUMNS finished values of one row.
template <class GetColumns, class PrepareWrite, class Write>
static void multiply_block(const Operand &a, bool wide, int64_t row_begin, int64_t row_end, int64_t column_begin,
                           int64_t column_end, const GetColumns &columns, const PrepareWrite &prepare_write,
                           const Write &write) {
    static thread_local Scratch scratch;
    const Layout &layout = a.layout;
    const int64_t width = column_end - column_begin;
    alignas(64) TileSums sums[3];
    int64_t *const totals =
        layout.chunks > 1 ? scratch.get<int64_t>((row_end - row_begin) * width * TILE_SIZE) : nullptr;
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
        const int64_t pairs = layout.size_of(chunk);
        const bool is_first = chunk == 0, is_last = chunk + 1 == layout.chunks;
        for (int64_t j = column_begin; j < column_end; ++j) {
            const Columns b = columns(chunk, j);
            const bool is_moderate = a.scales.is_moderate && b.is_moderate;
            const int64_t slice = (b.ahead_bytes / (row_end - row_begin) + 63) / 64 * 64;
            for (int64_t i = row_begin; i < row_end; ++i) {
                const int rows = layout.used(i);
                const int64_t line = layout.first(i);
                const Tile tile = tile_of(rows);
                const int32_t *panel = a.panel(chunk, i);
                const char *ahead = b.ahead + (i - row_begin) * slice;
                int64_t *total = totals ? totals + ((i - row_begin) * width + j - column_begin) * TILE_SIZE : nullptr;
                const auto finish = [&](const auto &from) __attribute__((always_inline)) {
                    for (int row = 0; row < rows; ++row) {
                        alignas(64) float values[TILE_COLUMNS];
                        round_row(from, row * TILE_COLUMNS, a.scales, line + row, b.moderate_down, b.down, is_moderate,
                                  values);
                        write(line + row, j, values);
                    }
                };
                const auto take = [&](const auto &from) __attribute__((always_inline)) {
                    if (!total) return finish(from);
                    add_sums(from, rows * TILE_COLUMNS, is_first, total);
                    if (is_last) finish(Whole{total});
                };
                if (is_last) prepare_write(line, rows, j);
                if (wide) {
                    const int64_t a_plane = pairs * rows, b_plane = pairs * TILE_COLUMNS;
                    tile(panel, b.panel, pairs, pairs, ahead, sums[0]);
                    tile(panel + a_plane, b.panel + b_plane, pairs, pairs, ahead + slice / 3, sums[1]);
                    tile(panel + 2 * a_plane, b.panel + 2 * b_plane, pairs, MIDDLE_INTERVAL, ahead + 2 * slice / 3,
                         sums[2]);
                    if (!sums[2].spilled) std::fill_n(sums[2].high, rows * TILE_COLUMNS, 0);
                    take(Digits{sums[0].low, sums[1].low, sums[2].low, sums[2].high});
                } else {
                    tile(panel, b.panel, pairs, safe_interval(a.bound(chunk, i), *b.bounds), ahead, sums[0]);
                    if (sums[0].spilled)
                        take(Spilled{sums[0].low, sums[0].high});
                    else
                        take(Unspilled{sums[0].low});
                }
            }
        }
    }
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
