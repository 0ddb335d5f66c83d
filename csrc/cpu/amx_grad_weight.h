// conv_grad_weight on AMX: the image's digits are read where they lie, shifted by the place in the filter.
//
// A tile of the first operand is sixteen channels of the image by 64 neighbouring places of it, the second sixteen
// output channels by the same places of the gradient. All of K is quantised first, each channel while it lies in a
// cache. But where the gradient is the larger operand, as in ResNet's stem, and the sums of all tiles stay in L2 beside
// a portion of both operands, a thread quantises portion after portion and multiplies it there.
#pragma once

#include "amx_grad_rows.h"

namespace isobit::ISOBIT_ISA {

// In lanes of four bytes.
static inline double grad_weight_lanes(const Geometry &z) {
    const GradPortions all(z, 1, INT64_MAX);
    return static_cast<double>(all.image.channel_size) * static_cast<double>(z.C) / 4;
}

// Panels of the image by panels of output channels.
struct GradBlock {
    int64_t group, row, row_end, column, column_end;
};

// Memory for the digits that a block needs, where it quantises them itself.
static inline GradDigits own_digits(const GradRows &rows, const GradBlock &block, Scratch &image, Scratch &packed) {
    const GradPortions &portions = rows.portions;
    const int64_t D = portions.z.D, first = block.group * D;
    const auto channel = [&](int64_t panel) {  // with which a panel begins
        return panel / rows.shared() * SIDE / (rows.is_copied ? rows.places() : 1);
    };
    const int64_t last = (block.row_end / rows.shared() * SIDE - 1) / (rows.is_copied ? rows.places() : 1);
    GradDigits digits{portions.image,
                      first + channel(block.row),
                      first + std::min(last + 1, D),
                      block.column,
                      block.column_end,
                      nullptr,
                      true};
    const int64_t channels = digits.channel_end - digits.channel;
    digits.image.digit_size = channels * digits.image.channel_size;
    digits.image.data = image.get<int8_t>(portions.image_bytes(channels));
    digits.packed = packed.get<int8_t>((block.column_end - block.column) * portions.panel_bytes());
    return digits;
}

template <bool WIDE>
static void multiply_grad_block(const GradRows &problem, const GradBlock &block, const Scales &filters, float *out) {
    static thread_local Scratch image, packed, copy, values;
    GradRows rows = problem;
    rows.group = block.group;
    if (rows.digits.is_own)
        rows.digits = own_digits(rows, block, image, packed);
    else
        rows.digits.packed += block.group * rows.digits.panel_end * rows.portions.panel_bytes();
    rows.copy = copy.get<int8_t>(rows.copied_bytes());
    const int64_t E = rows.portions.z.E, shared = rows.shared(), padded = TiledOperand::padded(E, SIDE);
    float *const group_out = out + block.group * E * rows.lines();
    float *const pair = values.get<float>(2 * shared * TILE);  // of a pair of panels of columns
    multiply_tiles<WIDE>(
        rows, {block.row, block.row_end, block.column, block.column_end, rows.is_copied},
        rows.scales.is_moderate && filters.is_moderate,
        [&](int64_t panel, int, int64_t begin, int64_t) { return rows.columns(panel, begin); },
        [&](int64_t panel) {
            const int64_t first = block.group * padded + panel * SIDE;
            return TileScales{filters.moderate_down + first, filters.down + first};
        },
        [&](int64_t row, int64_t panel) {
            const GradPanel &lines = rows.panels[row];
            return FilterWriter{pair + (panel - block.column) % 2 * shared * TILE,
                                group_out + panel * SIDE * rows.lines() + lines.line - lines.place,
                                shared,
                                lines.place,
                                rows.lines(),
                                lines.used,
                                rows.used_filters(panel)};
        });
    for (Scratch *scratch : {&image, &packed, &copy, &values}) scratch->release();
}

// Blocks whose operands' chunks stay in L2, several for each thread where there are so many panels; where each
// quantises its own operands no more than there are threads, and the larger operand shared out.
static inline std::vector<GradBlock> grad_blocks(const GradRows &image, int threads) {
    const Geometry &z = image.portions.z;
    const int64_t shared = image.shared(), columns = (z.E + SIDE - 1) / SIDE;
    const int64_t rows = static_cast<int64_t>(image.panels.size()) / shared;
    int64_t tall = std::max<int64_t>(shared == 1 ? 12 : 36 / shared, 1), broad = shared == 1 ? 12 : 4;
    const auto count = [](int64_t all, int64_t block) { return (all + block - 1) / block; };
    if (image.digits.is_own) {
        tall = rows, broad = count(columns, count(threads, z.groups));
    } else {
        while (threads > 1 && z.groups * count(rows, tall) * count(columns, broad) < 6 * threads && tall > 1)
            broad > 2 ? broad /= 2 : tall /= 2;
    }
    std::vector<GradBlock> blocks;
    for (int64_t group = 0; group < z.groups; ++group)
        for (int64_t row = 0; row < rows; row += tall)
            for (int64_t column = 0; column < columns; column += broad)
                blocks.push_back({group, row * shared, std::min(row + tall, rows) * shared, column,
                                  std::min(column + broad, columns)});
    return blocks;
}

// Whether the panels are copied: there are so many places, or so few channels, that panels of channels are mostly
// empty. Copying a panel takes about as long as multiplying it with half a panel.
static inline bool is_copying(const Geometry &z) {
    constexpr int64_t MOST_SHARED = 64;
    const int64_t places = z.R * z.S, broad = (z.E + SIDE - 1) / SIDE;
    const int64_t copied = (z.D * places + SIDE - 1) / SIDE, read = (z.D + SIDE - 1) / SIDE * places;
    return places > MOST_SHARED || copied * (2 * broad + 1) < read * 2 * broad;
}

// The rows of the image that a thread quantises at a time, more than there are where all are to be quantised first.
static inline int64_t rows_at_once(const Geometry &z, const Range &range) {
    constexpr int64_t MOST_SUMS = 896 << 10, ROOM = 1280 << 10;
    const int64_t digits = range.wide ? 3 : 2, columns = z.W + 2 * z.padding[1];
    const int64_t lines = is_copying(z) ? z.D * z.R * z.S : TiledOperand::padded(z.D, SIDE) * z.R * z.S;
    const int64_t tiles = (lines + SIDE - 1) / SIDE * ((z.E + SIDE - 1) / SIDE), sums = tiles * digits * TILE * 4;
    const int64_t met = std::min(z.R, z.stride[0]) * std::min(z.S, z.stride[1]);
    const int64_t row = (met * z.D + z.E) * digits * (columns / z.stride[1] + 1);
    const int64_t rows = std::max<int64_t>((ROOM - std::min(sums, ROOM)) / std::max<int64_t>(row, 1), 4);
    const int64_t all = z.N * (z.H + 2 * z.padding[0]) / z.stride[0];
    return z.D * z.H * z.W >= z.E * z.P * z.Q || sums > MOST_SUMS || all <= rows ? INT64_MAX : rows;
}

// All of K at once, by all threads.
static inline GradDigits all_digits(const GradSource &source, const GradPortions &portions, int64_t repeats,
                                    GradScales &scales, GradScales &filter_scales, int threads, Room &scratch) {
    const Geometry &z = portions.z;
    const int64_t panels = (z.E + SIDE - 1) / SIDE;
    const GradPortion portion(portions, 0);
    GradDigits digits{portions.image, 0, z.C, 0, panels, nullptr, false};
    digits.image.digit_size = z.C * digits.image.channel_size;
    digits.image.data = scratch.image.get<int8_t>(portions.image_bytes(z.C));
    digits.packed = scratch.operands.get<int8_t>(z.groups * panels * portions.panel_bytes());
    for_each_unit(threads, z.C, [&](int64_t c) {
        const Scale scale = source.scale(source.x_maxima, c);
        scales.set(c * repeats, repeats, scale);
        source.fill_image(portion, digits.image, c, scale, digits.image.data + c * digits.image.channel_size);
    });
    for_each_unit(threads, z.groups * panels, [&](int64_t unit) {
        const int64_t line = unit % panels * SIDE, first = unit / panels * z.E + line;
        source.fill_panel(
            portion, first, static_cast<int>(std::min<int64_t>(SIDE, z.E - line)),
            [&](int i) {
                const Scale scale = source.scale(source.g_maxima, first + i);
                filter_scales.set(unit * SIDE + i, 1, scale);
                return scale;
            },
            portions.steps, digits.packed + unit * portions.panel_bytes());
    });
    return digits;
}

static inline void conv_grad_weight_products(const Geometry &z, const FloatImage &g, const FloatImage &x,
                                             const Range &range, int threads, Room &scratch, float *out) {
    const GradPortions portions(z, range.wide ? 3 : 2, rows_at_once(z, range));
    const bool is_own = portions.count() > 1;
    const GradSource source(g, x, range, is_own, threads);
    GradRows rows(source, portions, is_copying(z));
    const int64_t repeats = rows.is_copied ? rows.places() : 1;  // lines that share a channel's scale
    const int64_t padded = TiledOperand::padded(z.E, SIDE);
    GradScales scales(z.C * repeats), filter_scales(z.groups * padded);
    if (is_own) {
        rows.digits.is_own = true;
        for (int64_t c = 0; c < z.C; ++c) scales.set(c * repeats, repeats, source.scale(source.x_maxima, c));
        for (int64_t o = 0; o < z.O; ++o)
            filter_scales.set(o / z.E * padded + o % z.E, 1, source.scale(source.g_maxima, o));
    } else {
        rows.digits = all_digits(source, portions, repeats, scales, filter_scales, threads, scratch);
    }
    rows.scales = scales.view();
    const Scales filters = filter_scales.view();
    const std::vector<GradBlock> blocks = grad_blocks(rows, threads);
    const int64_t count = static_cast<int64_t>(blocks.size());
    std::atomic<int64_t> next{0};
    in_threads(static_cast<int>(std::min<int64_t>(threads, count)), [&](int) {
        const Tiles tiles;
        for (int64_t at; (at = next.fetch_add(1, std::memory_order_relaxed)) < count;)
            range.wide ? multiply_grad_block<true>(rows, blocks[at], filters, out)
                       : multiply_grad_block<false>(rows, blocks[at], filters, out);
    });
}

}  // namespace isobit::ISOBIT_ISA
