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

// The largest |x| of each of `count` runs of `size` floats, as bits.
static inline std::vector<int32_t> run_maxima(const float *x, int64_t count, int64_t size, int threads) {
    const int64_t pieces = count < 4 * threads ? threads : 1;
    std::vector<int32_t> maxima(count, 0), parts(count * pieces);
    parallel_for(threads, count * pieces, 1 + (1 << 16) * pieces / (size + 1), [&](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; ++part) {
            const int64_t run = part / pieces, piece = part % pieces, from = size * piece / pieces;
            parts[part] = largest_along(x + run * size + from, size * (piece + 1) / pieces - from);
        }
    });
    for (size_t part = 0; part < parts.size(); ++part)
        maxima[part / pieces] = std::max(maxima[part / pieces], parts[part]);
    return maxima;
}

// The largest |x| of every (group, b) of x[groups, outer, B, inner], as bits.
static inline std::vector<int32_t> middle_maxima(const float *x, int64_t groups, int64_t outer, int64_t B,
                                                 int64_t inner, int threads) {
    const int64_t pieces = std::min<int64_t>(B, 4 * threads);
    std::vector<int32_t> maxima(groups * B, 0);
    if (outer == 0 || inner == 0) return maxima;
    for_each_unit(threads, groups * pieces, [&](int64_t unit) {
        const int64_t group = unit / pieces, begin = B * (unit % pieces) / pieces,
                      end = B * (unit % pieces + 1) / pieces;
        const float *from = x + (group * outer * B + begin) * inner;
        int32_t *to = maxima.data() + group * B;
        if (inner >= 4 * LANES) {
            for (int64_t i = 0; i < outer; ++i)
                for (int64_t b = begin; b < end; ++b)
                    to[b] = std::max(to[b], largest_along(from + (i * B + b - begin) * inner, inner));
            return;
        }
        std::vector<int32_t> largest((end - begin) * inner);
        largest_side_by_side(from, (end - begin) * inner, outer, B * inner, largest.data());
        for (int64_t b = begin; b < end; ++b)
            to[b] = *std::max_element(largest.begin() + (b - begin) * inner, largest.begin() + (b - begin + 1) * inner);
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

}  // namespace isobit::ISOBIT_ISA
