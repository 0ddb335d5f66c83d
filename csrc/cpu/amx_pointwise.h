// Convolutions of one place and their input's gradient on AMX: every pixel is a column, quantised and packed where it
// is multiplied.
#pragma once

#include "conv_operands.h"

namespace isobit::ISOBIT_ISA {

// Filters [groups][lines, K] and images [N][groups][K][size] to out [N][groups][lines][size].
struct Pointwise {
    const std::vector<TiledOperand> &filters;  // by group
    const float *x;
    int64_t K, size;
    const GroupScales &scales;  // one per (sample, group)
    float *out;
};

constexpr int64_t BLOCK_PIXELS = 256;  // their digits stay in L2

// The digits of `pixels` columns, K channels of `size` pixels each: panels of the second operand. What a last step
// lacks of channels stays as it is: the filters are 0 there.
template <int DIGITS>
static void pack_pixels(const float *x, int64_t K, int64_t size, int pixels, const Scale &scale, int8_t *out,
                        int64_t panel_bytes) {
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    for (int64_t k = 0; k < K; k += 4, x += 4 * size) {
        const int channels = static_cast<int>(std::min<int64_t>(4, K - k));
        for (int64_t next = 4; next < std::min<int64_t>(8, K - k); ++next)  // the channels lie far apart
            for (int i = 0; i < pixels; i += LANES) __builtin_prefetch(x + next * size + i);
        int8_t *to = out + k / STEP * DIGITS * BLOCK_BYTES + k % STEP * SIDE;
        for (int i = 0; i < pixels; i += LANES, to += panel_bytes) {
            const int some = std::min(pixels - i, LANES);
            Ints q[4], split[3];
            for (int c = 0; c < 4; ++c)
                q[c] = c < channels ? quantised(load_some(x + c * size + i, some), up0, up1) : zero();
            split_across<DIGITS>(q, split);
            for (int digit = 0; digit < DIGITS; ++digit) _mm512_storeu_si512(to + digit * BLOCK_BYTES, split[digit]);
        }
    }
}

// Pixels [first, first + pixels) of entry (sample, group).
template <bool WIDE>
static void multiply_pixels(const Pointwise &problem, int64_t entry, int64_t first, int pixels) {
    static thread_local Scratch scratch;
    const int64_t groups = static_cast<int64_t>(problem.filters.size());
    const TiledOperand &filters = problem.filters[entry % groups];
    const Scale &scale = problem.scales.scales[entry];
    const int64_t panels = (pixels + SIDE - 1) / SIDE;
    int8_t *const packed = scratch.get<int8_t>(panels * filters.panel_bytes());
    pack_pixels<WIDE ? 3 : 2>(problem.x + entry * problem.K * problem.size + first, problem.K, problem.size, pixels,
                              scale, packed, filters.panel_bytes());
    float moderate_down[SIDE];
    double down[SIDE];
    std::fill_n(moderate_down, SIDE, scale.moderate_down), std::fill_n(down, SIDE, scale.down);
    float *const out = problem.out + entry * filters.lines * problem.size + first;
    for (int64_t row = 0; row < filters.panels; row += BLOCK_LINES / SIDE)
        multiply_tiles<WIDE>(
            filters, {row, std::min(row + BLOCK_LINES / SIDE, filters.panels), 0, panels, true, true},
            filters.scales.is_moderate && problem.scales.is_moderate,
            [&](int64_t panel, int, int64_t begin, int64_t) {
                return TileColumns{packed + panel * filters.panel_bytes() + begin * filters.digits * BLOCK_BYTES,
                                   filters.panel_bytes()};
            },
            [&](int64_t) { return TileScales{moderate_down, down}; },
            [&](int64_t row, int64_t panel) {
                const int64_t line = row * SIDE, pixel = panel * SIDE;
                return RowWriter(out + line * problem.size + pixel, problem.size, filters.lines - line, pixels - pixel);
            });
    scratch.release();
}

static inline void multiply_pointwise(const Pointwise &problem, int64_t N, bool wide, int threads) {
    const int64_t blocks = (problem.size + BLOCK_PIXELS - 1) / BLOCK_PIXELS;
    const int64_t count = N * static_cast<int64_t>(problem.filters.size()) * blocks;
    UnitRuns runs(threads_for(threads, count), count);
    in_threads(threads_for(threads, count), [&](int thread) {
        const Tiles tiles;
        runs.take(thread, [&](int64_t at) {
            const int64_t first = at % blocks * BLOCK_PIXELS;
            const int pixels = static_cast<int>(std::min(BLOCK_PIXELS, problem.size - first));
            wide ? multiply_pixels<true>(problem, at / blocks, first, pixels)
                 : multiply_pixels<false>(problem, at / blocks, first, pixels);
        });
    });
}

// Where it is worth it: a filter of one place without padding, on images of many pixels.
static inline bool is_pointwise(const Geometry &z) {
    return z.R * z.S == 1 && z.padding[0] + z.padding[1] == 0 && z.P * z.Q >= 4 * SIDE;
}

static inline bool is_strided(const Geometry &z) { return z.stride[0] * z.stride[1] > 1; }

// to[i] = x[i * step] for i below count.
static inline void copy_spaced(const float *x, int64_t step, int64_t count, float *to) {
    const Ints even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    for (int64_t i = 0; i < count; i += LANES) {
        const int some = static_cast<int>(std::min<int64_t>(LANES, count - i));
        const float *const from = x + i * step;
        const Floats values = step == 1 ? load_some(from, some)
                              : step == 2 && i + LANES < count
                                  ? _mm512_permutex2var_ps(load(from), even, load(from + LANES))
                                  : load_spaced(from, step, some);
        store_some(reinterpret_cast<int32_t *>(to + i), (Ints)values, some);
    }
}

// The pixels that a filter of one place meets, [N][C][P][Q].
static inline const float *met_pixels(const Geometry &z, const FloatImage &x, int threads, Scratch &scratch) {
    if (!is_strided(z)) return x.x;
    float *const out = scratch.get<float>(z.N * z.C * z.P * z.Q);
    parallel_for(threads, z.N * z.C, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin * z.P; row < end * z.P; ++row)
            copy_spaced(x.x + (row / z.P * z.H + row % z.P * z.stride[0]) * z.W, z.stride[1], z.Q, out + row * z.Q);
    });
    return out;
}

}  // namespace isobit::ISOBIT_ISA
