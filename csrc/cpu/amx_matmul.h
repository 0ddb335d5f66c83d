// The exact product of two matrices on AMX: both operands packed, blocks of tiles over the threads.
#pragma once

#include "amx_multiply.h"

namespace isobit::ISOBIT_ISA {

constexpr int64_t BLOCK_PANELS = 12;  // each way, or fewer rows: their chunks stay in L2, with the sums
constexpr int64_t BLOCK_BYTES_OF_ROWS = 800 << 10;
constexpr int64_t RESIDENT_BYTES = 48 << 10;  // of columns that stay in L1 while the rows go by

// How the panels of a product are shared out.
struct TileShares {
    int64_t down = BLOCK_PANELS, across = BLOCK_PANELS, tall, broad;
    bool by_rows;

    TileShares(const TiledOperand &a, const TiledOperand &b, int threads) {
        down = std::clamp<int64_t>(BLOCK_BYTES_OF_ROWS / (a.chunk * a.digits * BLOCK_BYTES), 4, BLOCK_PANELS);
        by_rows = a.steps <= a.chunk && b.panels * b.panel_bytes() <= RESIDENT_BYTES;
        if (by_rows) across = std::max<int64_t>(b.panels, 1);
        const auto blocks = [](int64_t panels, int64_t block) { return (panels + block - 1) / block; };
        while (threads > 1 && blocks(a.panels, down) * blocks(b.panels, across) < 6 * threads && down > 1)
            across > 2 ? across /= 2 : down /= 2;
        tall = blocks(a.panels, down), broad = blocks(b.panels, across);
    }
};

// fetches: the result is too large to be in a cache.
template <bool WIDE>
static void multiply_on_tiles(const TiledOperand &a, const TiledOperand &b, float *out, bool fetches, int threads) {
    const TileShares shares(a, b, threads);
    const int64_t N = b.lines, units = shares.tall * shares.broad;
    const bool is_moderate = a.scales.is_moderate && b.scales.is_moderate;
    const bool streams = WIDE && fetches && N % SIDE == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
    UnitRuns runs(threads_for(threads, units), units);
    in_threads(threads_for(threads, units), [&](int thread) {
        const Tiles tiles;
        runs.take(thread, [&](int64_t unit) {
            const int64_t i = unit / shares.broad * shares.down, j = unit % shares.broad * shares.across;
            const TileBlock block{
                i,      std::min(i + shares.down, a.panels), j, std::min(j + shares.across, b.panels), shares.by_rows,
                fetches};
            multiply_tiles<WIDE>(
                a, block, is_moderate,
                [&](int64_t panel, int count, int64_t begin, int64_t) {
                    const int64_t next = panel + count;
                    return TileColumns{b.at(panel, begin), b.panel_bytes(),
                                       next < b.panels ? b.at(next, begin) : nullptr};
                },
                [&](int64_t panel) {
                    return TileScales{b.scales.moderate_down + panel * SIDE, b.scales.down + panel * SIDE};
                },
                [&](int64_t row, int64_t panel) {
                    const int64_t line = row * SIDE, column = panel * SIDE;
                    return RowWriter(out + line * N + column, N, a.lines - line, N - column, streams);
                });
        });
        if (streams) _mm_sfence();  // other threads may read what was written past the cache
    });
}

static inline void multiply_together(const View &a, const View &b, const Range &range, float *out, bool fetches,
                                     int threads) {
    static thread_local Scratch a_scratch, b_scratch;
    TiledOperand rows(a.lines, a.K, range.wide, true,
                      a_scratch.get<char>(TiledOperand::bytes(a.lines, a.K, range.wide)));
    TiledOperand columns(b.lines, b.K, range.wide, false,
                         b_scratch.get<char>(TiledOperand::bytes(b.lines, b.K, range.wide)));
    rows.chunk = chunk_steps(rows.steps, false);
    TilePacking first(a, range, rows, threads), second(b, range, columns, threads);
    const int packing = threads_for(threads, first.strips() + second.strips());
    UnitRuns first_runs(packing, first.strips()), second_runs(packing, second.strips());
    in_threads(packing, [&](int thread) {
        first_runs.take(thread, [&](int64_t strip) { first.pack(strip); });
        second_runs.take(thread, [&](int64_t strip) { second.pack(strip); });
    });
    first.end(), second.end();
    range.wide ? multiply_on_tiles<true>(rows, columns, out, fetches, threads)
               : multiply_on_tiles<false>(rows, columns, out, fetches, threads);
    a_scratch.release(), b_scratch.release();
}

// Products up to here are multiplied by each thread for itself: packing all columns once more costs less than waiting
// for the others and fetching what they packed from their caches.
constexpr double MOST_APART = 1 << 27;

static inline void matmul_on_tiles(const View &a, const View &b, const Range &range, float *out, bool fetches,
                                   int threads) {
    const int64_t panels = (a.lines + SIDE - 1) / SIDE;
    const double work = static_cast<double>(a.lines) * b.lines * a.K;
    if (threads <= 1 || panels < 2 * threads || work > MOST_APART)
        return multiply_together(a, b, range, out, fetches, threads);
    in_threads(threads, [&](int thread) {
        const int64_t begin = panels * thread / threads * SIDE;
        const int64_t end = std::min(panels * (thread + 1) / threads * SIDE, a.lines);
        const View rows{a.x + begin * a.line_stride, end - begin, a.K, a.line_stride, a.k_stride};
        multiply_together(rows, b, range, out + begin * b.lines, fetches, 1);
    });
}

}  // namespace isobit::ISOBIT_ISA
