// The innermost loop of every exact product: a tile of outputs over one piece of K, in int32.
#pragma once

#include <algorithm>
#include <utility>

#include "product_lanes.h"

namespace isobit::ISOBIT_ISA {

// What a tile leaves: the sum of row i, column j is high * 2^16 + low, high all zero where nothing was spilled.
struct alignas(64) TileSums {
    int32_t low[TILE_ROWS * TILE_COLUMNS];
    int32_t high[TILE_ROWS * TILE_COLUMNS];
    bool spilled;
};

// a: [pairs][ROWS], b: [pairs][TILE_COLUMNS]. Every `interval` pairs the upper half of each accumulator moves to
// `high`. Bound: the caller chooses the interval so that |sum over any interval| < 2^31 - 2^16 (8 products of narrow
// integers always are: 8 * 16383^2); what stays in the accumulator is below 2^16. high grows by less than 2^15 an
// interval. `ahead` is what the next tiles will read: a line of it is fetched into L2 every 4 pairs.
template <int ROWS>
static void tile(const int32_t *a, const int32_t *b, int64_t pairs, int64_t interval, const char *ahead,
                 TileSums &sums) {
    const auto step = [](Ints(&c)[ROWS][2], const int32_t *a, const int32_t *b) __attribute__((always_inline)) {
        const Ints b0 = load(b), b1 = load(b + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) {
            const Ints ai = broadcast(a[i]);
            c[i][0] = dot(c[i][0], b0, ai);
            c[i][1] = dot(c[i][1], b1, ai);
        }
    };
    Ints c[ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) c[i][0] = c[i][1] = zero();
    sums.spilled = interval < pairs;
    if (sums.spilled) std::fill_n(sums.high, ROWS * TILE_COLUMNS, 0);
    while (true) {
        const int64_t steps = pairs < interval ? pairs : interval;
        int64_t k = 0;
        for (; k + 4 <= steps; k += 4) {
            __builtin_prefetch(ahead, 0, 2);
            ahead += 64;
#pragma GCC unroll TILE_UNROLL
            for (int unrolled = 0; unrolled < 4; ++unrolled, a += ROWS, b += TILE_COLUMNS) step(c, a, b);
        }
        for (; k < steps; ++k, a += ROWS, b += TILE_COLUMNS) step(c, a, b);
        pairs -= steps;
        if (pairs <= 0) break;
        const Ints upper = broadcast(0x10000), mask = broadcast(0xffff);  // the pair (0, 1) adds the upper half
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 2
            for (int j = 0; j < 2; ++j) {
                int32_t *high = sums.high + (2 * i + j) * LANES;
                store(high, dot(load(high), c[i][j], upper));
                c[i][j] = bit_and(c[i][j], mask);
            }
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
        store(sums.low + 2 * i * LANES, c[i][0]);
        store(sums.low + (2 * i + 1) * LANES, c[i][1]);
    }
}

using Tile = void (*)(const int32_t *, const int32_t *, int64_t, int64_t, const char *, TileSums &);

template <int... ROWS>
static Tile tile_of(int rows, std::integer_sequence<int, ROWS...>) {
    static constexpr Tile tiles[] = {tile<ROWS + 1>...};
    return tiles[rows - 1];
}
static inline Tile tile_of(int rows) { return tile_of(rows, std::make_integer_sequence<int, TILE_ROWS>()); }

}  // namespace isobit::ISOBIT_ISA
