// The quantised image for the gradient of the filters, where there are no tiles.
#pragma once

#include "conv_image.h"

namespace isobit::ISOBIT_ISA {

// The padded, quantised image for the gradient of the filters: [group][plane][n][rows][columns][channel] int32. A lane
// is the integers at a column and at the next places of the filter, each `step` columns on.
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
    const int64_t pitch = image.columns + (LANE - 1) * image.step + x.W + LANES;
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
            for (int64_t v = 0; v < image.columns; v += LANES) {
                Ints blocks[PLANES<WIDE>][LANES];
                for (int i = 0; i < LANES; ++i) {
                    Ints places[LANE], planes[3];
                    for (int j = 0; j < LANE; ++j) places[j] = load(q + i * pitch + v + j * image.step);
                    join_lanes<WIDE>(places, planes);
                    for (int plane = 0; plane < PLANES<WIDE>; ++plane) blocks[plane][i] = planes[plane];
                }
                const int64_t columns = std::min<int64_t>(LANES, image.columns - v);
                for (int plane = 0; plane < PLANES<WIDE>; ++plane) {
                    transpose(blocks[plane]);
                    int32_t *to = out + plane * image.plane_size() + v * image.channels + c;
                    for (int64_t i = 0; i < columns; ++i) store_some(to + i * image.channels, blocks[plane][i], count);
                }
            }
        }
    });
}

}  // namespace isobit::ISOBIT_ISA
