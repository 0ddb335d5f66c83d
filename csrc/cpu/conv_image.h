// Quantised images, laid out so that what a column of a convolution needs lies side by side.
#pragma once

#include <vector>

#include "conv_geometry.h"
#include "product_operand.h"
#if defined(__AMX_INT8__)
#include "amx_operand.h"
#endif

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

// A lane of a quantised image is LANE integers, of neighbouring channels or places: int16 or, on tiles, int8 digits.
#if defined(__AMX_INT8__)
constexpr int LANE = 4;
template <bool WIDE>
constexpr int PLANES = WIDE ? 3 : 2;

template <bool WIDE>
ISOBIT_INLINE void join_lanes(const Ints *q, Ints *planes) {
    split_across<PLANES<WIDE>>(q, planes);
}
#else
constexpr int LANE = 2;
template <bool WIDE>
constexpr int PLANES = WIDE ? 3 : 1;

template <bool WIDE>
ISOBIT_INLINE void join_lanes(const Ints *q, Ints *planes) {
    for (int plane = 0; plane < PLANES<WIDE>; ++plane)
        planes[plane] = pair(digit<WIDE>(q[0], plane), digit<WIDE>(q[1], plane));
}
#endif

static inline int planes_of(const Range &range) { return range.wide ? PLANES<true> : PLANES<false>; }
static inline int64_t in_lanes(int64_t count) { return (count + LANE - 1) / LANE; }

// The padded, quantised image: [group][plane][n][bundle][phase][rows][columns] int32, a bundle being the LANE channels
// of a lane. Phase (a, b) holds the padded rows and columns with remainder (a, b) by `step`: a stride becomes steps
// of 1.
struct BundledImage {
    int64_t N, groups, channels, bundles, step[2], low[2], rows, columns;
    int planes;
    int32_t *data;

    double lanes() const {  // of one plane; the sizes are not yet known to be small
        return static_cast<double>(N) * groups * bundles * step[0] * step[1] * rows * columns;
    }
    int64_t bundle_size() const { return step[0] * step[1] * rows * columns; }
    int64_t sample_size() const { return bundles * bundle_size(); }
    int64_t plane_size() const { return N * sample_size(); }
    int64_t size() const { return groups * planes * plane_size() + 2 * TILE_COLUMNS; }
    // From the start of a bundle to the padded row and column.
    int64_t offset(int64_t row, int64_t column) const {
        const int64_t phase = row % step[0] * step[1] + column % step[1];
        return (phase * rows + row / step[0]) * columns + column / step[1];
    }
};

// The quantised row of LANE channels (the first `used` of which there are), W lanes to out + plane * plane_size.
template <bool WIDE>
static void quantise_row(const float *x, int64_t channel_size, int used, int64_t W, const Scale &scale, int32_t *out,
                         int64_t plane_size) {
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    for (int64_t w = 0; w < W; w += LANES) {
        const int count = static_cast<int>(std::min<int64_t>(LANES, W - w));
        Ints q[LANE], planes[3];
        for (int i = 0; i < LANE; ++i)
            q[i] = i < used ? quantised(load_some(x + i * channel_size + w, count), up0, up1) : zero();
        join_lanes<WIDE>(q, planes);
        for (int plane = 0; plane < PLANES<WIDE>; ++plane)
            store_some(out + plane * plane_size + w, planes[plane], count);
    }
}

// One scale per (sample, group): scales[n * groups + group].
template <bool WIDE>
static void fill_bundled_image(const FloatImage &x, const GroupScales &scales, const BundledImage &image, int threads) {
    const bool is_plain = image.step[0] * image.step[1] == 1 && image.rows == x.H && image.columns == x.W;
    const int64_t H = is_plain ? 1 : x.H, W = is_plain ? x.H * x.W : x.W;  // without padding rows make one long row
    const int64_t size = x.H * x.W, pitch = W + image.low[1] + image.step[1] * image.columns + LANES;
    for_each_unit(threads, image.groups * image.N * image.bundles, [&](int64_t unit) {
        const int64_t bundle = unit % image.bundles, n = unit / image.bundles % image.N,
                      group = unit / (image.bundles * image.N);
        const float *from = x.x + ((n * image.groups + group) * image.channels + LANE * bundle) * size;
        const int used = static_cast<int>(std::min<int64_t>(LANE, image.channels - LANE * bundle));
        const Scale &scale = scales.scales[n * image.groups + group];
        int32_t *out = image.data + group * image.planes * image.plane_size() + n * image.sample_size() +
                       bundle * image.bundle_size();
        if (!is_plain)
            for (int plane = 0; plane < image.planes; ++plane)
                std::memset(out + plane * image.plane_size(), 0, image.bundle_size() * sizeof(int32_t));
        std::vector<int32_t> rows(image.step[1] == 1 ? 0 : image.planes * pitch);
        for (int64_t h = 0; h < H; ++h, from += W) {
            const int64_t padded = h + image.low[0];
            if (image.step[1] == 1) {
                quantise_row<WIDE>(from, size, used, W, scale, out + image.offset(padded, image.low[1]),
                                   image.plane_size());
                continue;
            }
            quantise_row<WIDE>(from, size, used, W, scale, rows.data() + image.low[1], pitch);
            for (int plane = 0; plane < image.planes; ++plane)
                for (int64_t phase = 0; phase < image.step[1]; ++phase) {
                    int32_t *to = out + plane * image.plane_size() + image.offset(padded, phase);
                    const int64_t count = (image.low[1] + W - phase + image.step[1] - 1) / image.step[1];
                    for (int64_t i = 0; i < count; ++i) to[i] = rows[plane * pitch + i * image.step[1] + phase];
                }
        }
    });
}

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
