// conv_grad_weight on AMX: the image's digits are read where they lie, shifted by the place in the filter.
//
// A tile of the first operand is sixteen channels of the image by 64 neighbouring places of it, the second sixteen
// output channels by the same places of the gradient. In K the gradient has the image's rows and columns, with zeros
// where it has no place, so whatever the image holds there adds nothing.
#pragma once

#include "amx_digits.h"
#include "amx_multiply.h"
#include "conv_operands.h"

namespace isobit::ISOBIT_ISA {

// Sixteen rows of 64 bytes, `stride` bytes apart.
template <int TILE>
static inline __attribute__((always_inline)) void load_rows(const int8_t *rows, int64_t stride) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(TILE), "r"(rows), "r"(stride));
}

// Where the rows of the first operand lie.
struct DigitRows {
    const int8_t *first;
    int64_t stride, digit_size;
};

// As multiply_narrow_twice; with one panel of b only its sums are cleared and made.
template <int PANELS>
static inline void multiply_rows_narrow(const DigitRows &a, const int8_t *b, int64_t next, int64_t steps,
                                        int32_t *sums) {
    asm volatile("" ::: "memory");
    clear<0>(), clear<1>(), clear<2>(), clear<3>(), clear<4>(), clear<5>();
    const int8_t *rows = a.first;
    for (const int8_t *const end = rows + steps * STEP; rows < end; rows += STEP, b += 2 * BLOCK_BYTES) {
        const int8_t *const second = b + next;
        load_rows<6>(rows, a.stride);
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<1, 6, 7>();
        if (PANELS == 2) load_tile<7>(second + BLOCK_BYTES), dot_tiles<4, 6, 7>();
        load_tile<7>(b), dot_tiles<0, 6, 7>();
        if (PANELS == 2) load_tile<7>(second), dot_tiles<3, 6, 7>();
        load_rows<6>(rows + a.digit_size, a.stride);
        load_tile<7>(b), dot_tiles<1, 6, 7>();
        if (PANELS == 2) load_tile<7>(second), dot_tiles<4, 6, 7>();
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<2, 6, 7>();
        if (PANELS == 2) load_tile<7>(second + BLOCK_BYTES), dot_tiles<5, 6, 7>();
    }
    store_tile<0>(sums), store_tile<1>(sums + TILE), store_tile<2>(sums + 2 * TILE);
    if (PANELS == 2) store_tile<3>(sums + 3 * TILE), store_tile<4>(sums + 4 * TILE), store_tile<5>(sums + 5 * TILE);
}

// As multiply_wide.
static inline void multiply_rows_wide(const DigitRows &a, const int8_t *b, int64_t steps, int32_t *sums) {
    asm volatile("" ::: "memory");
    clear<0>(), clear<1>(), clear<2>(), clear<3>(), clear<4>(), clear<5>();
    const int8_t *rows = a.first;
    for (const int8_t *const end = rows + steps * STEP; rows < end; rows += STEP, b += 3 * BLOCK_BYTES) {
        load_rows<6>(rows, a.stride);
        load_tile<7>(b), dot_tiles<0, 6, 7>();
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<1, 6, 7>();
        load_tile<7>(b + 2 * BLOCK_BYTES), dot_tiles<2, 6, 7>();
        load_rows<6>(rows + a.digit_size, a.stride), dot_tiles<3, 6, 7>();
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<5, 6, 7>();
        load_tile<7>(b), dot_tiles<1, 6, 7>();
        load_rows<6>(rows + 2 * a.digit_size, a.stride), dot_tiles<2, 6, 7>();
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<3, 6, 7>();
        load_tile<7>(b + 2 * BLOCK_BYTES), dot_tiles<4, 6, 7>();
    }
    store_tile<0>(sums), store_tile<1>(sums + TILE), store_tile<2>(sums + 2 * TILE);
    store_tile<3>(sums + 3 * TILE), store_tile<4>(sums + 4 * TILE), store_tile<5>(sums + 5 * TILE);
}

// The image of the filters' gradient: all channels in planes of digits.
static inline DigitImage digit_image(const Geometry &z) {
    DigitImage image{z.N, {z.stride[0], z.stride[1]}, {z.padding[0], z.padding[1]}, 0, 0, 0, 0, nullptr};
    const bool is_shared = z.stride[0] * z.stride[1] == 1;
    const auto count = [&](int64_t size, int axis) {
        return is_shared ? size + z.padding[axis] : (size + 2 * z.padding[axis] - 1) / z.stride[axis] + 1;
    };
    image.rows = count(z.H, 0), image.columns = count(z.W, 1);
    image.channel_size = DigitImage::padded(z.stride[0] * z.stride[1] * image.phase_size());
    return image;
}

// In lanes of four bytes.
static inline double grad_weight_lanes(const Geometry &z) {
    return static_cast<double>(digit_image(z).channel_size) * static_cast<double>(z.C) / 4;
}

// What a product of the gradient and the image needs; taps: where each meets the image.
struct GradWeight {
    const Geometry &z;
    const DigitImage &image;
    const std::vector<TiledOperand> &grads;  // by group
    const Scales &scales;                    // of the image's channels
    const std::vector<int64_t> &taps;
    float *out;
};

// Panels of input channels by panels of output channels, for the places [tap, tap_end) of the filter.
struct GradBlock {
    int64_t group, row, row_end, column, column_end, tap, tap_end;
};

// Some columns of the block by one row: values[panel][tap][16 input channels][16 output channels].
static inline void write_filters(const GradWeight &problem, const GradBlock &block, int64_t row, int64_t column,
                                 int panels, const float *values) {
    const Geometry &z = problem.z;
    const int64_t used = std::min<int64_t>(SIDE, z.D - row * SIDE), all = z.R * z.S, taps = block.tap_end - block.tap;
    const int64_t run = taps == all ? used * taps : taps;
    std::vector<int32_t> from(used * taps + LANES);
    for (int64_t d = 0, i = 0; d < used; ++d)
        for (int64_t tap = 0; tap < taps; ++tap, ++i) from[i] = static_cast<int32_t>(tap * TILE + d * SIDE);
    for (int64_t o = column * SIDE; o < std::min((column + panels) * SIDE, z.E); ++o) {
        const float *const of_o = values + (o / SIDE - column) * taps * TILE + o % SIDE;
        float *to = problem.out + ((block.group * z.E + o) * z.D + row * SIDE) * all + block.tap;
        for (int64_t begin = 0; begin < used * taps; begin += run, to += all)
            for (int64_t i = 0; i < run; i += LANES) {
                const __mmask16 some = static_cast<__mmask16>((1u << std::min<int64_t>(LANES, run - i)) - 1);
                _mm512_mask_storeu_ps(
                    to + i, some,
                    _mm512_mask_i32gather_ps(_mm512_setzero_ps(), some, load(&from[begin + i]), of_o, sizeof(float)));
            }
    }
}

template <bool WIDE>
static void multiply_grad_block(const GradWeight &problem, const GradBlock &block) {
    static thread_local Scratch totals_scratch, values_scratch;
    constexpr int PAIR = WIDE ? 1 : 2;
    const DigitImage &image = problem.image;
    const TiledOperand &grads = problem.grads[block.group];
    const int64_t steps = grads.steps, chunk = chunk_steps(steps, WIDE), taps = block.tap_end - block.tap;
    const int64_t first = block.group * problem.z.D,
                  tiles = (block.row_end - block.row) * (block.column_end - block.column);
    const bool is_moderate = problem.scales.is_moderate && grads.scales.is_moderate;
    int64_t *const totals = chunk >= steps ? nullptr : totals_scratch.get<int64_t>(tiles * taps * TILE);
    float *const values = values_scratch.get<float>(PAIR * taps * TILE);
    alignas(64) int32_t sums[6 * TILE];
    int64_t begin = 0, end;
    do {  // once where K is 0
        end = std::min(begin + chunk, steps);
        int64_t *total = totals;
        for (int64_t i = block.row; i < block.row_end; ++i) {
            const int64_t channel = first + i * SIDE;
            const int used = static_cast<int>(std::min<int64_t>(SIDE, problem.z.D - i * SIDE));
            for (int64_t j = block.column; j < block.column_end; j += PAIR) {
                const int panels = static_cast<int>(std::min<int64_t>(PAIR, block.column_end - j));
                const int8_t *const b = grads.at(j, begin);
                for (int64_t tap = 0; tap < taps; ++tap) {
                    const DigitRows rows{
                        image.data + channel * image.channel_size + problem.taps[block.tap + tap] + begin * STEP,
                        image.channel_size, image.digit_size};
                    if (WIDE)
                        multiply_rows_wide(rows, b, end - begin, sums);
                    else if (panels == 2)
                        multiply_rows_narrow<2>(rows, b, grads.panel_bytes(), end - begin, sums);
                    else
                        multiply_rows_narrow<1>(rows, b, 0, end - begin, sums);
                    for (int panel = 0; panel < panels; ++panel) {
                        const int64_t line = (j + panel) * SIDE;
                        float *const to = values + (panel * taps + tap) * TILE;
                        const TileScales columns{grads.scales.moderate_down + line, grads.scales.down + line};
                        join_tile<WIDE>(sums + panel * 3 * TILE, total, chunk * STEP <= LONGEST_SHORT, begin == 0,
                                        end == steps, Join(problem.scales, channel, used, columns, is_moderate),
                                        [to](int row, Floats x) { _mm512_storeu_ps(to + row * SIDE, x); });
                        if (total) total += TILE;
                    }
                }
                if (end == steps) write_filters(problem, block, i, j, panels, values);
            }
        }
    } while ((begin = end) < steps);
    totals_scratch.release(), values_scratch.release();
}

// Blocks whose operands' chunks stay in L2, several for each thread where there are so many panels.
static inline std::vector<GradBlock> grad_blocks(const Geometry &z, int threads) {
    const int64_t rows = (z.D + SIDE - 1) / SIDE, columns = (z.E + SIDE - 1) / SIDE, taps = z.R * z.S;
    constexpr int64_t MOST_TAPS = 64;
    int64_t tall = 4, broad = 4;
    const auto count = [](int64_t all, int64_t block) { return (all + block - 1) / block; };
    while (threads > 1 && z.groups * count(rows, tall) * count(columns, broad) < 6 * threads && tall > 1)
        broad > 2 ? broad /= 2 : tall /= 2;
    std::vector<GradBlock> blocks;
    for (int64_t group = 0; group < z.groups; ++group)
        for (int64_t tap = 0; tap < taps; tap += MOST_TAPS)
            for (int64_t row = 0; row < rows; row += tall)
                for (int64_t column = 0; column < columns; column += broad)
                    blocks.push_back({group, row, std::min(row + tall, rows), column, std::min(column + broad, columns),
                                      tap, std::min(tap + MOST_TAPS, taps)});
    return blocks;
}

// The largest |x| of a channel, as bits: side by side beforehand where planes are small, else when it is asked for.
struct ChannelMaxima {
    const FloatImage &x;
    std::vector<int32_t> known;

    ChannelMaxima(const FloatImage &image, int threads) : x(image) {
        if (x.H * x.W < 4 * LANES) known = middle_maxima(x.x, 1, x.N, x.C, x.H * x.W, threads);
    }
    int32_t of(int64_t c) const {
        if (!known.empty()) return known[c];
        int32_t largest = 0;
        for (int64_t n = 0; n < x.N; ++n)
            largest = std::max(largest, largest_along(x.x + (n * x.C + c) * x.H * x.W, x.H * x.W));
        return largest;
    }
};

// A channel's digits at `out`, with its scale.
static inline Scale quantise_channel(const FloatImage &x, int64_t c, const ChannelMaxima &maxima, const Range &range,
                                     const DigitImage &image, const std::vector<RowPiece> &pieces, int8_t *out) {
    const Scale scale = scale_of(static_cast<uint32_t>(maxima.of(c)), range);
    const int64_t size = x.H * x.W;
    (range.wide ? fill_channel<3> : fill_channel<2>)(x.x + c * size, x.C * size, size, scale, image, pieces, out);
    return scale;
}

// The output channels' gradients as panels, laid out in K as the image is.
static inline void prepare_grads(const FloatImage &g, const Range &range, const DigitImage &image, int64_t E,
                                 int threads, std::vector<TiledOperand> &grads) {
    const int64_t panels = grads[0].panels, units = static_cast<int64_t>(grads.size()) * panels;
    const ChannelMaxima maxima(g, threads);
    DigitImage shape{image.N, {1, 1}, {0, 0}, image.rows, image.columns, 0, 0, nullptr};
    shape.channel_size = DigitImage::padded(grads[0].steps * STEP), shape.digit_size = SIDE * shape.channel_size;
    const std::vector<RowPiece> pieces = row_pieces(shape, g.H, g.W, {0});
    std::vector<char> is_moderate(units, true);
    for_each_unit(threads, units, [&](int64_t unit) {
        static thread_local Scratch scratch;
        TiledOperand &operand = grads[unit / panels];
        const int64_t first = unit % panels * SIDE;
        const int used = static_cast<int>(std::min<int64_t>(SIDE, E - first));
        DigitImage lines = shape;
        lines.data = scratch.get<int8_t>(operand.digits * lines.digit_size);
        for (int i = 0; i < used; ++i) {
            const Scale scale = quantise_channel(g, unit / panels * E + first + i, maxima, range, lines, pieces,
                                                 lines.data + i * lines.channel_size);
            operand.scales.set(first + i, scale);
            is_moderate[unit] &= scale.is_moderate;
        }
        pack_digit_lines(lines.data, lines.channel_size, lines.digit_size, used, operand, unit % panels);
        scratch.release();
    });
    for (int64_t unit = 0; unit < units; ++unit) grads[unit / panels].scales.is_moderate &= is_moderate[unit] != 0;
}

static inline void conv_grad_weight_products(const Geometry &z, const FloatImage &g, const FloatImage &x,
                                             const Range &range, int threads, Room &scratch, float *out) {
    DigitImage image = digit_image(z);
    std::vector<int64_t> taps;
    for (int64_t tap = 0; tap < z.R * z.S; ++tap)
        taps.push_back(image.offset(tap / z.S * z.dilation[0], tap % z.S * z.dilation[1]));
    const int64_t K = z.N * image.sample_size(), digits = range.wide ? 3 : 2;
    image.digit_size = z.C * image.channel_size;
    const int64_t past = TiledOperand::padded(K, STEP) + *std::max_element(taps.begin(), taps.end());
    image.data = scratch.image.get<int8_t>(digits * image.digit_size + SIDE * image.channel_size + past);
    const ChannelMaxima maxima(x, threads);
    const std::vector<RowPiece> pieces = row_pieces(image, z.H, z.W, taps);
    std::vector<double> down(z.C);
    std::vector<float> moderate_down(z.C);
    std::atomic<bool> is_moderate{true};
    for_each_unit(threads, z.C, [&](int64_t c) {
        const Scale scale = quantise_channel(x, c, maxima, range, image, pieces, image.data + c * image.channel_size);
        down[c] = scale.down, moderate_down[c] = scale.moderate_down;
        if (!scale.is_moderate) is_moderate.store(false, std::memory_order_relaxed);
    });
    std::vector<TiledOperand> grads = make_operands(z.E, K, range.wide, z.groups, scratch.operands);
    prepare_grads(g, range, image, z.E, threads, grads);
    const Scales scales{{nullptr, nullptr}, moderate_down.data(), down.data(), is_moderate.load()};
    const GradWeight problem{z, image, grads, scales, taps, out};
    const std::vector<GradBlock> blocks = grad_blocks(z, threads);
    const int64_t count = static_cast<int64_t>(blocks.size());
    std::atomic<int64_t> next{0};
    in_threads(static_cast<int>(std::min<int64_t>(threads, count)), [&](int) {
        const Tiles tiles;
        for (int64_t at; (at = next.fetch_add(1, std::memory_order_relaxed)) < count;)
            range.wide ? multiply_grad_block<true>(problem, blocks[at])
                       : multiply_grad_block<false>(problem, blocks[at]);
    });
}

}  // namespace isobit::ISOBIT_ISA
