// conv_grad_weight for groups of few channels, in float64: docs/numerics.md, Products.
#pragma once

#include "conv_small_groups.h"

namespace isobit::ISOBIT_ISA {

// The most terms of a sum that stays below 2^53: 16383^2 < 2^28, 8355711^2 < 2^46.
static inline int64_t most_terms(const Range &range) { return range.wide ? 128 : int64_t{1} << 25; }

// Channels of a group whose gradient is taken here; above, tiles of copied panels are faster.
#if defined(__AMX_INT8__)
constexpr int64_t MOST_OF_GRADIENT = 4;
#else
constexpr int64_t MOST_OF_GRADIENT = 8;
#endif

constexpr int TAPS_AT_ONCE = 9;

// totals[tap] += sum over i below count of g[i] * image[offset + i], for up to TAPS_AT_ONCE taps; g is 0 past count.
// Exact: a lane adds at most `longest` terms in float64 before it moves to int64, where all terms fit.
static inline void multiply_planes(const double *g, const double *image, const int64_t *offsets, int taps,
                                   int64_t count, int64_t longest, int64_t *totals) {
    for (int64_t begin = 0; begin < count; begin += longest * DOUBLES) {
        const int64_t end = std::min(begin + longest * DOUBLES, count);
        Doubles sums[TAPS_AT_ONCE] = {};
        for (int64_t i = begin; i < end; i += DOUBLES) {
            const Doubles gradient = load_doubles(g + i);
            for (int tap = 0; tap < TAPS_AT_ONCE; ++tap)
                sums[tap] = multiply_add(sums[tap], gradient, load_doubles(image + i + offsets[tap]));
        }
        for (int tap = 0; tap < taps; ++tap)
            for (int lane = 0; lane < DOUBLES; ++lane) totals[tap] += static_cast<int64_t>(sums[tap][lane]);
    }
}

// Memory of a thread for one group: planes of both operands, and the integers that they are laid out from.
struct WeightImages {
    GroupImage<DoubleSums> image, gradient;  // of one channel each
    Scratch elements, integers;
    double *x = nullptr, *g = nullptr;
    int32_t *x_integers = nullptr, *g_integers = nullptr;

    WeightImages(const Geometry &z, const PixelImage &pixels, const TapAxis &rows, const TapAxis &columns)
        : image(pixels, Pairing::NONE, rows, columns, 1, z.H, z.W),
          gradient({{1, 1}, {0, 0}, z.P, pixels.columns}, Pairing::NONE, rows, columns, 1, z.P, z.Q) {
        constexpr int64_t SLACK = 4 * LANES;
        image.is_met = phases_met(rows, columns, pixels), gradient.is_met[0] = true;
        const int64_t doubles = z.D * image.size() + gradient.size() + 2 * SLACK,
                      ints = image.integers_size() + gradient.integers_size();
        x = elements.get<double>(doubles), g = x + z.D * image.size() + SLACK;
        x_integers = integers.get<int32_t>(ints), g_integers = x_integers + image.integers_size();
        std::fill_n(x, doubles, 0.0), std::fill_n(x_integers, ints, 0);
    }
};

// g_scales: one per output channel; x_scales: one per input channel.
static inline void conv_grad_weight_small_groups(const Geometry &z, const FloatImage &g, const FloatImage &x,
                                                 const GroupScales &g_scales, const GroupScales &x_scales,
                                                 const Range &range, int threads, float *out) {
    const PixelImage pixels = padded_pixels(z);
    const TapAxis rows = tap_axis(z.R, z.stride[0], z.dilation[0]), columns = tap_axis(z.S, z.stride[1], z.dilation[1]);
    const int64_t count = (z.P - 1) * pixels.columns + z.Q, taps = z.R * z.S;
    std::vector<int64_t> offsets((taps + TAPS_AT_ONCE - 1) / TAPS_AT_ONCE * TAPS_AT_ONCE, 0);
    for (int64_t tap = 0; tap < taps; ++tap)
        offsets[tap] = pixels.offset(tap / z.S * z.dilation[0], tap % z.S * z.dilation[1]);
    std::atomic<int64_t> next{0};
    in_threads(static_cast<int>(std::min<int64_t>(threads, z.groups)), [&](int) {
        WeightImages images(z, pixels, rows, columns);
        for (int64_t group; (group = next.fetch_add(1, std::memory_order_relaxed)) < z.groups;) {
            std::vector<int64_t> totals(z.E * z.D * taps, 0);
            for (int64_t n = 0; n < z.N; ++n) {
                for (int64_t d = 0; d < z.D; ++d) {
                    const int64_t c = group * z.D + d;
                    images.image.fill(x.x + (n * z.C + c) * z.H * z.W, x_scales.scales[c], images.x_integers,
                                      images.x + d * pixels.plane());
                }
                for (int64_t e = 0; e < z.E; ++e) {
                    const int64_t o = group * z.E + e;
                    images.gradient.fill(g.x + (n * z.O + o) * z.P * z.Q, g_scales.scales[o], images.g_integers,
                                         images.g);
                    for (int64_t d = 0; d < z.D; ++d)
                        for (int64_t tap = 0; tap < taps; tap += TAPS_AT_ONCE)
                            multiply_planes(images.g, images.x + d * pixels.plane(), offsets.data() + tap,
                                            static_cast<int>(std::min<int64_t>(TAPS_AT_ONCE, taps - tap)), count,
                                            most_terms(range), totals.data() + (e * z.D + d) * taps + tap);
                }
            }
            for (int64_t i = 0; i < z.E * z.D * taps; ++i) {
                const int64_t o = group * z.E + i / (z.D * taps), c = group * z.D + i / taps % z.D;
                const double down = g_scales.scales[o].down * x_scales.scales[c].down;
                out[group * z.E * z.D * taps + i] = Down(down).scaled(static_cast<float>(totals[i]));
            }
        }
    });
}

}  // namespace isobit::ISOBIT_ISA
