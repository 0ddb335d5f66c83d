// The exact product of two matrices on AMX: both operands packed, blocks of tiles over the threads.
#pragma once

#include "amx_multiply.h"

namespace isobit::ISOBIT_ISA {

// Panels of a block: their chunks stay in L2 together.
static inline void tile_blocks(int64_t rows, int64_t columns, int threads, int64_t &down, int64_t &across) {
    down = 12, across = 12;
    const auto blocks = [](int64_t panels, int64_t block) { return (panels + block - 1) / block; };
    while (threads > 1 && blocks(rows, down) * blocks(columns, across) < 6 * threads && down > 1)
        across > 2 ? across /= 2 : down /= 2;
}

template <bool WIDE>
static void multiply_on_tiles(const TiledOperand &a, const TiledOperand &b, float *out, int threads) {
    int64_t down, across;
    tile_blocks(a.panels, b.panels, threads, down, across);
    const int64_t N = b.lines, tall = (a.panels + down - 1) / down, broad = (b.panels + across - 1) / across;
    const bool is_moderate = a.scales.is_moderate && b.scales.is_moderate;
    std::atomic<int64_t> next{0};
    in_threads(static_cast<int>(std::min<int64_t>(threads, tall * broad)), [&](int) {
        const Tiles tiles;
        for (int64_t unit; (unit = next.fetch_add(1, std::memory_order_relaxed)) < tall * broad;) {
            const int64_t i = unit / broad * down, j = unit % broad * across;
            const TileBlock block{i, std::min(i + down, a.panels), j, std::min(j + across, b.panels)};
            multiply_tiles<WIDE>(
                a, block, is_moderate,
                [&](int64_t panel, int, int64_t begin, int64_t) {
                    return TileColumns{b.at(panel, begin), b.panel_bytes()};
                },
                [&](int64_t panel) {
                    return TileScales{b.scales.moderate_down + panel * SIDE, b.scales.down + panel * SIDE};
                },
                [&](int64_t row, int64_t panel, Floats values) {
                    const int64_t column = panel * SIDE;
                    const int used = static_cast<int>(std::min<int64_t>(SIDE, N - column));
                    _mm512_mask_storeu_ps(out + row * N + column, static_cast<__mmask16>((1u << used) - 1), values);
                });
        }
    });
}

static inline void matmul_on_tiles(const View &a, const View &b, const Range &range, float *out, int threads) {
    static thread_local Scratch a_scratch, b_scratch;
    TiledOperand rows(a.lines, a.K, range.wide, true,
                      a_scratch.get<char>(TiledOperand::bytes(a.lines, a.K, range.wide)));
    TiledOperand columns(b.lines, b.K, range.wide, false,
                         b_scratch.get<char>(TiledOperand::bytes(b.lines, b.K, range.wide)));
    prepare_tiles(a, range, rows, threads);
    prepare_tiles(b, range, columns, threads);
    range.wide ? multiply_on_tiles<true>(rows, columns, out, threads)
               : multiply_on_tiles<false>(rows, columns, out, threads);
    a_scratch.release(), b_scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
