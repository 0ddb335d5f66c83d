// The exact product of digits on Hopper's wgmma, fed by TMA: the bits of matmul.cu, and of one plane of residues.
//
// A block has 128 rows of the result, its two warp groups of consumers 64 each; the sums of a tile stay in registers.
// One thread fetches steps of 128 terms of every digit into a ring of stages. A stage has two barriers: `full`, when
// the bytes are there, and `empty`, when every warp that reads it is done. Blocks are as many as the GPU runs at once
// and take tiles in turn, so the ring goes on filling while a tile is rounded and written. In a cluster of two, blocks
// above each other fetch half of b each, for both.
//
// Pairs of digits of equal weight share an int32 sum: per term it grows by at most 2^14 (narrow, and residues) or
// 3 * 2^14 (wide), and `terms` keeps it below 2^31. Then the sums of weights make one int64, which is rounded once, or
// added to those of other parts of the terms.
#include "matmul.h"

#ifndef ISOBIT_ON_CPU
#include "hopper.h"
#endif
#include "epilogue.h"
#include "rounding.h"
#include "tensor_map.h"

namespace isobit_cuda {
namespace hopper {

constexpr int ROWS = 128, GROUP_ROWS = 64, STEP = BOX_BYTES, DEPTH = 32, THREADS = 3 * 128, CONSUMER_WARPS = 8;
constexpr int PRODUCER_REGISTERS = 40, CONSUMER_REGISTERS = 232;  // 128 * 40 + 256 * 232 of 65536
constexpr int MOST_SHARED = 227 * 1024, ALIGNMENT = 1024, TILES_SIDE_BY_SIDE = 8;

// Where a block's shared memory holds what, from an address that is a multiple of the swizzle's pattern.
template <int DIGITS, int N>
struct Layout {
    static constexpr int A = DIGITS * ROWS * STEP, STAGE = A + DIGITS * N * STEP;
    static constexpr int SCALES = 2 * (GROUP_ROWS + N) * 4, BARRIERS = 2 * 8 * 8;
    static constexpr int FIT = (MOST_SHARED - ALIGNMENT - SCALES - BARRIERS) / STAGE, STAGES = FIT < 8 ? FIT : 8;
    static constexpr int SCALES_AT = STAGES * STAGE, BARRIERS_AT = SCALES_AT + SCALES;
    static constexpr int BYTES = ALIGNMENT + BARRIERS_AT + BARRIERS;
    static_assert(STAGES >= 2, "a ring has at least two stages");

    uint32_t base;
    __device__ uint32_t a(int stage, int digit) const { return base + stage * STAGE + digit * ROWS * STEP; }
    __device__ uint32_t b(int stage, int digit) const { return base + stage * STAGE + A + digit * N * STEP; }
    __device__ uint32_t full(int stage) const { return base + BARRIERS_AT + stage * 8; }
    __device__ uint32_t empty(int stage) const { return base + BARRIERS_AT + (8 + stage) * 8; }
};

// A place in the ring, and how often it went round, modulo 2: the parity of the phase that fills the stage.
template <int STAGES>
struct Turn {
    int stage = 0;
    uint32_t parity = 0;
    __device__ void next() {
        if (++stage < STAGES) return;
        stage = 0;
        parity ^= 1;
    }
};

// Tiles of all batch entries and parts, in the order in which clusters take them: some rows of tiles side by side, so
// that tiles at work together share their operands in the cache.
template <int N, int CLUSTER>
struct Tiles {
    int tiles_m, tiles_n, parts, units;  // tiles_m: of all blocks of a cluster together

    __device__ void find(int unit, const Product &p, int rank, Tile *tile) const {
        constexpr int side = TILES_SIDE_BY_SIDE / CLUSTER;
        const int per_entry = tiles_m * tiles_n, within = unit % per_entry, entry = unit / per_entry;
        const int group = within / (side * tiles_n), width = min(tiles_m - group * side, side);
        const int inside = within % (side * tiles_n);
        tile->batch = entry / parts;
        tile->m = ((group * side + inside % width) * CLUSTER + rank) * ROWS;
        tile->n = inside / width * N;
        tile->start = (int)(entry % parts * p.terms);
        tile->stop = (int)min(tile->start + p.terms, p.P);
    }
};

template <int DIGITS, int N, int CLUSTER>
__device__ void produce(const Layout<DIGITS, N> &at, const TensorMap *a, const TensorMap *b, const Product &p,
                        const Tiles<N, CLUSTER> &tiles, int rank) {
    constexpr int SHARE = N / CLUSTER;
    Turn<Layout<DIGITS, N>::STAGES> turn;
    Tile tile;
    for (int unit = blockIdx.x / CLUSTER; unit < tiles.units; unit += gridDim.x / CLUSTER) {
        tiles.find(unit, p, rank, &tile);
        for (int term = tile.start; term < tile.stop; term += STEP, turn.next()) {
            barrier_wait(at.empty(turn.stage), turn.parity ^ 1);  // the first round finds every stage empty
            const uint32_t full = at.full(turn.stage);
            barrier_expect(full, Layout<DIGITS, N>::STAGE);
            for (int digit = 0; digit < DIGITS; digit++) {
                const int plane = tile.batch * DIGITS + digit;
                const uint32_t share = at.b(turn.stage, digit) + rank * SHARE * STEP;
                load_box(at.a(turn.stage, digit), a, full, term, tile.m, plane);
                if (CLUSTER == 1)
                    load_box(share, b, full, term, tile.n, plane);
                else
                    load_box(share, b, full, term, tile.n + rank * SHARE, plane, (1 << CLUSTER) - 1);
            }
        }
    }
}

// This warp has read the stage for the last time in this round: every block that writes to it may know.
template <int CLUSTER>
__device__ void release(uint32_t empty) {
    if (threadIdx.x % 32 < CLUSTER) barrier_arrive(empty, threadIdx.x % 32);
}

template <int DIGITS, int N, int CLUSTER>
__device__ void consume(const Layout<DIGITS, N> &at, int32_t *scales, const Product &p, const Tiles<N, CLUSTER> &tiles,
                        int rank) {
    constexpr int WEIGHTS = 2 * DIGITS - 1;
    const int group = threadIdx.x / 128 - 1;
    int32_t sums[WEIGHTS][N / 2];
    Turn<Layout<DIGITS, N>::STAGES> turn;
    Tile tile;
    for (int unit = blockIdx.x / CLUSTER; unit < tiles.units; unit += gridDim.x / CLUSTER) {
        tiles.find(unit, p, rank, &tile);
#pragma unroll
        for (int w = 0; w < WEIGHTS; w++)
#pragma unroll
            for (int i = 0; i < N / 2; i++) sums[w][i] = 0;
        int last = -1;
        for (int term = tile.start; term < tile.stop; term += STEP, turn.next()) {
            barrier_wait(at.full(turn.stage), turn.parity);
#pragma unroll
            for (int w = 0; w < WEIGHTS; w++) settle(sums[w]);
            begin_products();
#pragma unroll
            for (int k = 0; k < STEP; k += DEPTH)
#pragma unroll
                for (int d = 0; d < DIGITS; d++)
#pragma unroll
                    for (int e = 0; e < DIGITS; e++)
                        multiply_add(sums[d + e], matrix_at(at.a(turn.stage, d) + group * GROUP_ROWS * STEP + k),
                                     matrix_at(at.b(turn.stage, e) + k));
            close_products();
            wait_for_products<1>();  // those of the stage before
            if (last >= 0) release<CLUSTER>(at.empty(last));
            last = turn.stage;
        }
        wait_for_products<0>();
#pragma unroll
        for (int w = 0; w < WEIGHTS; w++) settle(sums[w]);
        release<CLUSTER>(at.empty(last));
        write<DIGITS, N>(sums, scales + group * (GROUP_ROWS + N), p, tile, group);
    }
}

template <int DIGITS, int N, int CLUSTER>
__global__ void __launch_bounds__(THREADS, 1)
    product_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                   const __grid_constant__ Product p, const Tiles<N, CLUSTER> tiles) {
    using At = Layout<DIGITS, N>;
    const uint32_t first = address_of(shared_memory());
    const At at{(first + ALIGNMENT - 1) & ~(uint32_t)(ALIGNMENT - 1)};
    const int rank = CLUSTER == 1 ? 0 : (int)cluster_rank();
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < At::STAGES; stage++) {
            barrier_init(at.full(stage), 1);
            barrier_init(at.empty(stage), CONSUMER_WARPS * CLUSTER);
        }
        publish_barriers();
    }
    if (CLUSTER == 1)
        __syncthreads();
    else
        cluster_sync();
    if (threadIdx.x < 128) {
        give_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0) produce<DIGITS, N, CLUSTER>(at, &a, &b, p, tiles, rank);
    } else {
        take_registers<CONSUMER_REGISTERS>();
        int32_t *scales = reinterpret_cast<int32_t *>(shared_memory() + (at.base - first) + At::SCALES_AT);
        consume<DIGITS, N, CLUSTER>(at, scales, p, tiles, rank);
    }
    if (CLUSTER > 1) cluster_sync();  // a block stays while another may still write to it
}

template <int DIGITS, int N, int CLUSTER>
const char *launch(const Product &p, void *stream) {
    const auto ceil = [](int64_t x, int64_t by) { return (x + by - 1) / by; };
    const int64_t tiles_m = ceil(p.M, ROWS * CLUSTER), tiles_n = ceil(p.N, N), parts = ceil(p.P, p.terms);
    // Coordinates of TMA are 32-bit, and none of these can be 0.
    for (const int64_t size : {p.M + ROWS * CLUSTER, p.N + N, p.P + STEP, p.batch * DIGITS, tiles_m * tiles_n})
        if (size <= 0 || size > INT32_MAX) return "matrix too large";
    if (tiles_m * tiles_n > INT32_MAX / parts / p.batch) return "too many tiles";
    const Tiles<N, CLUSTER> tiles{(int)tiles_m, (int)tiles_n, (int)parts, (int)(p.batch * parts * tiles_m * tiles_n)};
    TensorMap a, b;
    if (!describe(&a, p.a, p.batch * DIGITS, p.M, p.P, ROWS)) return "the driver refuses to describe a to TMA";
    if (!describe(&b, p.b, p.batch * DIGITS, p.N, p.P, N / CLUSTER)) return "the driver refuses to describe b to TMA";
    return start(product_kernel<DIGITS, N, CLUSTER>, tiles.units, CLUSTER, THREADS, Layout<DIGITS, N>::BYTES, stream, a,
                 b, p, tiles);
}

}  // namespace hopper

const char *multiply_on_hopper(const Product &p, int digits, int tile, int cluster, void *stream) {
    using namespace hopper;
    switch (digits * 10000 + tile * 10 + cluster) {
        case 11281: return launch<1, 128, 1>(p, stream);
        case 12561: return launch<1, 256, 1>(p, stream);
        case 12562: return launch<1, 256, 2>(p, stream);
        case 20641: return launch<2, 64, 1>(p, stream);
        case 21281: return launch<2, 128, 1>(p, stream);
        case 21282: return launch<2, 128, 2>(p, stream);
        case 30321: return launch<3, 32, 1>(p, stream);
        case 30641: return launch<3, 64, 1>(p, stream);
        case 30642: return launch<3, 64, 2>(p, stream);
    }
    return "no such kernel";
}

}  // namespace isobit_cuda
