// conv_grad_weight on AMX: the image's digits are read where they lie, shifted by the place in the filter.
//
// A tile of the first operand is sixteen channels of the image by 64 neighbouring places of it, the second sixteen
// output channels by the same places of the gradient. In K the gradient has the image's rows and columns, with zeros
// where it has no place, so whatever the image holds there adds nothing.
#pragma once

#include "amx_grad_rows.h"
#include "conv_operands.h"

namespace isobit::ISOBIT_ISA {

// The image of the filters' gradient: all channels in planes of digits.
static inline DigitImage digit_image(const Geometry &z) {
    DigitImage image{z.N, {z.stride[0], z.stride[1]}, {z.padding[0], z.padding[1]}, 0, 0, 0, 0, 0, nullptr};
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

// What a product of the gradient and the image needs.
struct GradWeight {
    const Geometry &z;
    const std::vector<TiledOperand> &grads;  // by group
    const GradRows &rows;                    // of the first group
    float *out;
};

// Panels of the image by panels of output channels.
struct GradBlock {
    int64_t group, row, row_end, column, column_end;
};

template <bool WIDE>
static void multiply_grad_block(const GradWeight &problem, const GradBlock &block) {
    static thread_local Scratch copy_scratch, values_scratch;
    const Geometry &z = problem.z;
    const TiledOperand &grads = problem.grads[block.group];
    GradRows rows = problem.rows;
    rows.group = block.group;
    rows.copy = copy_scratch.get<int8_t>(GradRows::copied_bytes(chunk_steps(rows.steps, WIDE), rows.image.digits));
    float *const out = problem.out + block.group * z.E * rows.lines();
    const int64_t shared = rows.shared();
    float *const values = values_scratch.get<float>(2 * shared * TILE);  // of a pair of panels of columns
    multiply_tiles<WIDE>(
        rows, {block.row, block.row_end, block.column, block.column_end, rows.is_copied},
        rows.scales.is_moderate && grads.scales.is_moderate,
        [&](int64_t panel, int, int64_t begin, int64_t) {
            return TileColumns{grads.at(panel, begin), grads.panel_bytes()};
        },
        [&](int64_t panel) {
            return TileScales{grads.scales.moderate_down + panel * SIDE, grads.scales.down + panel * SIDE};
        },
        [&](int64_t row, int64_t panel) {
            const GradPanel &lines = rows.panels[row];
            return FilterWriter{values + (panel - block.column) % 2 * shared * TILE,
                                out + panel * SIDE * rows.lines() + lines.line - lines.place,
                                shared,
                                lines.place,
                                rows.lines(),
                                lines.used,
                                grads.used(panel)};
        });
    copy_scratch.release(), values_scratch.release();
}

// Blocks whose operands' chunks stay in L2, several for each thread where there are so many panels.
static inline std::vector<GradBlock> grad_blocks(const Geometry &z, const GradRows &image, int threads) {
    const int64_t shared = image.shared(), columns = (z.E + SIDE - 1) / SIDE;
    const int64_t rows = static_cast<int64_t>(image.panels.size()) / shared;
    int64_t tall = std::max<int64_t>(shared == 1 ? 12 : 36 / shared, 1), broad = shared == 1 ? 12 : 4;
    const auto count = [](int64_t all, int64_t block) { return (all + block - 1) / block; };
    while (threads > 1 && z.groups * count(rows, tall) * count(columns, broad) < 6 * threads && tall > 1)
        broad > 2 ? broad /= 2 : tall /= 2;
    std::vector<GradBlock> blocks;
    for (int64_t group = 0; group < z.groups; ++group)
        for (int64_t row = 0; row < rows; row += tall)
            for (int64_t column = 0; column < columns; column += broad)
                blocks.push_back({group, row * shared, std::min(row + tall, rows) * shared, column,
                                  std::min(column + broad, columns)});
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
    DigitImage shape{image.N, {1, 1}, {0, 0}, image.rows, image.columns, 0, 0, image.digits, nullptr};
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
    const int64_t K = z.N * image.sample_size();
    image.digits = range.wide ? 3 : 2;
    image.digit_size = z.C * image.channel_size;
    const int64_t past = TiledOperand::padded(K, STEP) + *std::max_element(taps.begin(), taps.end());
    image.data = scratch.image.get<int8_t>(image.digits * image.digit_size + SIDE * image.channel_size + past);
    const ChannelMaxima maxima(x, threads);
    const std::vector<RowPiece> pieces = row_pieces(image, z.H, z.W, taps);
    const int64_t places = z.R * z.S, broad = (z.E + SIDE - 1) / SIDE;
    constexpr int64_t MOST_SHARED = 64;
    // Copying a panel takes about as long as multiplying it with half a panel.
    const bool is_copied = places > MOST_SHARED || (z.D * places + SIDE - 1) / SIDE * (2 * broad + 1) <
                                                       (z.D + SIDE - 1) / SIDE * places * 2 * broad;
    const int64_t repeats = is_copied ? places : 1;  // lines that share a channel's scale
    std::vector<double> down(z.C * repeats);
    std::vector<float> moderate_down(z.C * repeats);
    std::atomic<bool> is_moderate{true};
    for_each_unit(threads, z.C, [&](int64_t c) {
        const Scale scale = quantise_channel(x, c, maxima, range, image, pieces, image.data + c * image.channel_size);
        std::fill_n(&down[c * repeats], repeats, scale.down);
        std::fill_n(&moderate_down[c * repeats], repeats, scale.moderate_down);
        if (!scale.is_moderate) is_moderate.store(false, std::memory_order_relaxed);
    });
    std::vector<TiledOperand> grads = make_operands(z.E, K, range.wide, z.groups, scratch.operands);
    prepare_grads(g, range, image, z.E, threads, grads);
    const Scales scales{{nullptr, nullptr}, moderate_down.data(), down.data(), is_moderate.load()};
    GradRows rows{image, taps, grads[0].steps, z.D, is_copied, scales};
    rows.make_panels();
    const GradWeight problem{z, grads, rows, out};
    const std::vector<GradBlock> blocks = grad_blocks(z, rows, threads);
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
