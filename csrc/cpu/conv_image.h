// Quantised images, laid out so that what a column of a convolution needs lies side by side.
#pragma once

#include <vector>

#include "conv_geometry.h"
#include "product_operand.h"

namespace isobit::ISOBIT_ISA {

// A contiguous float32 image [N, C, H, W].
struct FloatImage {
    const float *x;
    int64_t N, C, H, W;
};

static inline FloatImage contiguous_image(const isobit_tensor &x, Scratch &scratch, int threads) {
    const int64_t N = x.shape[0], C = x.shape[1], H = x.shape[2], W = x.shape[3];
    if (is_contiguous(x)) return {data_of<float>(x), N, C, H, W};
    float *copy = scratch.get<float>(N * C * H * W);
    const float *data = data_of<float>(x);
    parallel_for(threads, N * C, [&](int64_t begin, int64_t end) {
        for (int64_t nc = begin; nc < end; ++nc)
            for (int64_t h = 0; h < H; ++h)
                for (int64_t w = 0; w < W; ++w)
                    copy[(nc * H + h) * W + w] =
                        data[nc / C * x.stride[0] + nc % C * x.stride[1] + h * x.stride[2] + w * x.stride[3]];
    });
    return {copy, N, C, H, W};
}

// The largest |x| of every [n, c] as bits.
static inline std::vector<int32_t> plane_maxima(const FloatImage &image, int threads) {
    std::vector<int32_t> maxima(image.N * image.C);
    const int64_t size = image.H * image.W;
    parallel_for(threads, image.N * image.C, 1 + (1 << 16) / (size + 1), [&](int64_t begin, int64_t end) {
        for (int64_t nc = begin; nc < end; ++nc) maxima[nc] = largest_along(image.x + nc * size, size);
    });
    return maxima;
}

// Scales of groups that may be asked for by index.
struct GroupScales {
    std::vector<Scale> scales;
    bool is_moderate = true;

    GroupScales(const std::vector<int32_t> &maxima, const Range &range) {
        for (const int32_t maximum : maxima) {
            scales.push_back(scale_of(static_cast<uint32_t>(maximum), range));
            is_moderate &= scales.back().is_moderate;
        }
    }
};

// The padded, quantised image: [group][plane][n][pair of channels][phase][rows][columns] int32. A lane is the integers
// of two channels. Phase (a, b) holds the padded rows and columns with remainder (a, b) by `step`: a stride becomes
// steps of 1.
struct PairedImage {
    int64_t N, groups, channels, pairs, step[2], low[2], rows, columns;
    int planes;
    int32_t *data;

    double lanes() const {  // of one plane; the sizes are not yet known to be small
        return static_cast<double>(N) * groups * pairs * step[0] * step[1] * rows * columns;
    }
    int64_t channel_size() const { return step[0] * step[1] * rows * columns; }
    int64_t sample_size() const { return pairs * channel_size(); }
    int64_t plane_size() const { return N * sample_size(); }
    int64_t size() const { return groups * planes * plane_size() + 2 * TILE_COLUMNS; }
    // From the start of a pair of channels to the padded row and column.
    int64_t offset(int64_t row, int64_t column) const {
        const int64_t phase = row % step[0] * step[1] + column % step[1];
        return (phase * rows + row / step[0]) * columns + column / step[1];
    }
};

// The quantised row of two channels, W lanes.
template <bool WIDE>
static void quantise_row(const float *even, const float *odd, int64_t W, const Scale &scale, int plane, int32_t *out) {
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    for (int64_t w = 0; w < W; w += LANES) {
        const int count = static_cast<int>(std::min<int64_t>(LANES, W - w));
        const Ints q = digit<WIDE>(quantised(load_some(even + w, count), up0, up1), plane);
        const Ints r = odd ? digit<WIDE>(quantised(load_some(odd + w, count), up0, up1), plane) : zero();
        store_some(out + w, pair(q, r), count);
    }
}

// One scale per (sample, group): scales[n * groups + group].
template <bool WIDE>
static void fill_paired_image(const FloatImage &x, const GroupScales &scales, const PairedImage &image, int threads) {
    for_each_unit(threads, image.groups * image.N * image.pairs, [&](int64_t unit) {
        const int64_t pair = unit % image.pairs, n = unit / image.pairs % image.N,
                      group = unit / (image.pairs * image.N);
        const float *even = x.x + ((n * image.groups + group) * image.channels + 2 * pair) * x.H * x.W;
        const float *odd = 2 * pair + 1 < image.channels ? even + x.H * x.W : nullptr;
        std::vector<int32_t> row(x.W + image.low[1] + image.step[1] * image.columns);
        for (int plane = 0; plane < image.planes; ++plane) {
            int32_t *out = image.data + (group * image.planes + plane) * image.plane_size() + n * image.sample_size() +
                           pair * image.channel_size();
            std::memset(out, 0, image.channel_size() * sizeof(int32_t));
            for (int64_t h = 0; h < x.H; ++h) {
                const Scale &scale = scales.scales[n * image.groups + group];
                const float *second = odd ? odd + h * x.W : nullptr;
                const int64_t padded = h + image.low[0];
                if (image.step[1] == 1) {
                    quantise_row<WIDE>(even + h * x.W, second, x.W, scale, plane,
                                       out + image.offset(padded, image.low[1]));
                    continue;
                }
                quantise_row<WIDE>(even + h * x.W, second, x.W, scale, plane, row.data() + image.low[1]);
                for (int64_t phase = 0; phase < image.step[1]; ++phase) {
                    int32_t *to = out + image.offset(padded, phase);
                    const int64_t count = (image.low[1] + x.W - phase + image.step[1] - 1) / image.step[1];
                    for (int64_t i = 0; i < count; ++i) to[i] = row[i * image.step[1] + phase];
                }
            }
        }
    });
}

// The padded, quantised image for the gradient of the filters: [group][plane][n][rows][columns][channel] int32. A lane
// is the integers at a column and at the next place of the filter, `step` columns on.
struct PlacedImage {
    int64_t N, groups, channels, step, low[2], rows, columns;
    int planes;
    int32_t *data;

    double lanes() const { return static_cast<double>(N) * groups * rows * columns * channels; }
    int64_t plane_size() const { return N * rows * columns * channels; }
    int64_t size() const { return groups * planes * plane_size() + 2 * TILE_COLUMNS; }
};

// One scale per channel: scales[group * channels + channel].
template <bool WIDE>
static void fill_placed_image(const FloatImage &x, const GroupScales &scales, const PlacedImage &image, int threads) {
    const int64_t pitch = image.columns + image.step + x.W + LANES;
    for_each_unit(threads, image.groups * image.N * image.rows, [&](int64_t unit) {
        static thread_local Scratch scratch;
        int32_t *q = scratch.get<int32_t>(LANES * pitch);
        const int64_t row = unit % image.rows, n = unit / image.rows % image.N, group = unit / (image.rows * image.N);
        const int64_t h = row - image.low[0];
        int32_t *out = image.data + group * image.planes * image.plane_size() +
                       (n * image.rows + row) * image.columns * image.channels;
        if (h < 0 || h >= x.H) {
            for (int plane = 0; plane < image.planes; ++plane)
                std::memset(out + plane * image.plane_size(), 0, image.columns * image.channels * sizeof(int32_t));
            return;
        }
        std::memset(q, 0, LANES * pitch * sizeof(int32_t));
        for (int64_t c = 0; c < image.channels; c += LANES) {
            const int count = static_cast<int>(std::min<int64_t>(LANES, image.channels - c));
            for (int i = 0; i < count; ++i) {
                const int64_t channel = group * image.channels + c + i;
                const float *from = x.x + ((n * x.C + channel) * x.H + h) * x.W;
                const Floats up0 = broadcast(scales.scales[channel].up[0]),
                             up1 = broadcast(scales.scales[channel].up[1]);
                int32_t *to = q + i * pitch + image.low[1];
                for (int64_t w = 0; w < x.W; w += LANES) {
                    const int some = static_cast<int>(std::min<int64_t>(LANES, x.W - w));
                    store_some(to + w, quantised(load_some(from + w, some), up0, up1), some);
                }
            }
            for (int plane = 0; plane < image.planes; ++plane)
                for (int64_t v = 0; v < image.columns; v += LANES) {
                    Ints block[LANES];
                    for (int i = 0; i < LANES; ++i)
                        block[i] = pair(digit<WIDE>(load(q + i * pitch + v), plane),
                                        digit<WIDE>(load(q + i * pitch + v + image.step), plane));
                    transpose(block);
                    int32_t *to = out + plane * image.plane_size() + v * image.channels + c;
                    const int64_t places = std::min<int64_t>(LANES, image.columns - v);
                    for (int64_t i = 0; i < places; ++i) store_some(to + i * image.channels, block[i], count);
                }
        }
    });
}

}  // namespace isobit::ISOBIT_ISA
