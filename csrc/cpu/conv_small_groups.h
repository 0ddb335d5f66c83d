// The three operators for groups of few channels: docs/numerics.md, Products.
#pragma once

#include "conv_pixels.h"

namespace isobit::ISOBIT_ISA {

constexpr int64_t MOST_SMALL = 8;  // channels of a group; above, tiles of packed panels are faster

// Whether the kernels below are exact, and worth it: `terms` per output in float64.
static inline bool has_small_groups(const Geometry &z, int64_t terms, const Range &range) {
    return z.groups > 1 && z.D <= MOST_SMALL && z.E <= MOST_SMALL && terms <= most_terms(range);
}

static inline PixelImage padded_pixels(const Geometry &z) {
    return {{z.stride[0], z.stride[1]},
            {z.padding[0], z.padding[1]},
            (z.H + 2 * z.padding[0] - 1) / z.stride[0] + 1,
            (z.W + 2 * z.padding[1] - 1) / z.stride[1] + 1};
}

// body(unit, pixels, rows) as for_each_unit: doubles that are zero when a thread begins and belong to it, and floats.
template <class Body>
static void for_each_image(int threads, int64_t count, int64_t doubles, int64_t floats, const Body &body) {
    std::atomic<int64_t> next{0};
    in_threads(static_cast<int>(std::min<int64_t>(threads, count)), [&](int) {
        static thread_local Scratch pixels, rows;
        double *image = pixels.get<double>(doubles);
        float *row = rows.get<float>(floats);
        std::fill_n(image, doubles, 0.0);
        for (int64_t unit; (unit = next.fetch_add(1, std::memory_order_relaxed)) < count;) body(unit, image, row);
        pixels.release(), rows.release();
    });
}

// x_scales: one per (sample, group); w_scales: one per output channel.
static inline void conv_small_groups(const Geometry &z, const FloatImage &x, const FloatImage &w,
                                     const GroupScales &x_scales, const GroupScales &w_scales, int threads,
                                     float *out) {
    const PixelImage image = padded_pixels(z);
    const int64_t count = (z.P - 1) * image.columns + z.Q, K = z.D * z.R * z.S, pitch = count + PIXELS;
    Taps taps;
    for (int64_t d = 0; d < z.D; ++d)
        for (int64_t r = 0; r < z.R; ++r)
            for (int64_t s = 0; s < z.S; ++s)
                taps.offsets.push_back(d * image.plane() + image.offset(r * z.dilation[0], s * z.dilation[1]));
    taps.weights.resize(z.O * K);
    for (int64_t o = 0; o < z.O; ++o)
        for (int64_t k = 0; k < K; ++k) taps.weights[o * K + k] = filter_integer(w.x[o * K + k], w_scales.scales[o]);
    const int64_t doubles = image.size(z.D), floats = MOST_OUTPUTS * pitch;
    for_each_image(threads, z.N * z.groups, doubles, floats, [&](int64_t unit, double *pixels, float *rows) {
        const int64_t n = unit / z.groups, group = unit % z.groups;
        const Scale &scale = x_scales.scales[unit];
        for (int64_t d = 0; d < z.D; ++d)
            fill_pixels(x.x + (unit * z.D + d) * z.H * z.W, z.H, z.W, scale, image, pixels + d * image.plane());
        for (int64_t e = 0; e < z.E; e += MOST_OUTPUTS) {
            const int outputs = static_cast<int>(std::min<int64_t>(MOST_OUTPUTS, z.E - e));
            const int64_t first = group * z.E + e;
            double down[MOST_OUTPUTS];
            for (int o = 0; o < outputs; ++o) down[o] = scale.down * w_scales.scales[first + o].down;
            correlate(pixels, taps, first, outputs, count, down, rows, pitch);
            for (int o = 0; o < outputs; ++o)
                copy_rows(rows + o * pitch, image.columns, z.P, z.Q, out + (n * z.O + first + o) * z.P * z.Q);
        }
    });
}

// Rows (or columns) of one phase of a gradient: u * stride + phase - padding is in [0, size) for u in [first, last).
struct PhaseSpan {
    int64_t first, last;

    PhaseSpan(int64_t phase, int64_t stride, int64_t padding, int64_t size)
        : first(least(padding - phase, stride)), last(least(size + padding - phase, stride)) {}
    static int64_t least(int64_t low, int64_t stride) { return low > 0 ? (low + stride - 1) / stride : 0; }
};

// image: one plane per output channel of a group, as op_conv_grad_input lays it out.
// g_scales: one per (sample, group); w_scales: one per (group, input channel of it).
static inline void conv_grad_input_small_groups(const Geometry &z, const PixelImage &image, const FloatImage &g,
                                                const FloatImage &w, const GroupScales &g_scales,
                                                const GroupScales &w_scales, int threads, float *out) {
    const int64_t phases = z.stride[0] * z.stride[1], pitch = image.plane() + PIXELS;
    std::vector<Taps> taps(phases);
    std::vector<std::vector<int64_t>> elements(phases);  // of w[group * E, channel], for each tap
    for (int64_t e = 0; e < z.E; ++e)
        for (int64_t r = 0; r < z.R; ++r)
            for (int64_t s = 0; s < z.S; ++s) {
                const int64_t row = r * z.dilation[0], column = s * z.dilation[1];
                const int64_t phase = row % z.stride[0] * z.stride[1] + column % z.stride[1];
                const int64_t u = image.low[0] - row / z.stride[0], v = image.low[1] - column / z.stride[1];
                taps[phase].offsets.push_back(e * image.plane() + u * image.columns + v);
                elements[phase].push_back((e * z.D * z.R + r) * z.S + s);
            }
    for (int64_t phase = 0; phase < phases; ++phase)
        for (int64_t c = 0; c < z.C; ++c) {
            const float *const from = w.x + (c / z.D * z.E * z.D + c % z.D) * z.R * z.S;
            for (const int64_t element : elements[phase])
                taps[phase].weights.push_back(filter_integer(from[element], w_scales.scales[c]));
        }
    const int64_t floats = MOST_OUTPUTS * pitch;
    for_each_image(threads, z.N * z.groups, image.size(z.E), floats, [&](int64_t unit, double *pixels, float *rows) {
        const Scale &scale = g_scales.scales[unit];
        for (int64_t e = 0; e < z.E; ++e)
            fill_pixels(g.x + (unit * z.E + e) * z.P * z.Q, z.P, z.Q, scale, image, pixels + e * image.plane());
        for (int64_t phase = 0; phase < phases; ++phase) {
            const int64_t a = phase / z.stride[1], b = phase % z.stride[1];
            const PhaseSpan down(a, z.stride[0], z.padding[0], z.H), across(b, z.stride[1], z.padding[1], z.W);
            const int64_t U = down.last - down.first, V = across.last - across.first;
            if (U <= 0 || V <= 0) continue;
            for (int64_t d = 0; d < z.D; d += MOST_OUTPUTS) {
                const int outputs = static_cast<int>(std::min<int64_t>(MOST_OUTPUTS, z.D - d));
                const int64_t c = unit % z.groups * z.D + d;
                double scales[MOST_OUTPUTS];
                for (int o = 0; o < outputs; ++o) scales[o] = scale.down * w_scales.scales[c + o].down;
                correlate(pixels + down.first * image.columns + across.first, taps[phase], c, outputs,
                          (U - 1) * image.columns + V, scales, rows, pitch);
                for (int o = 0; o < outputs; ++o) {
                    float *to = out + ((unit * z.D + d + o) * z.H + down.first * z.stride[0] + a - z.padding[0]) * z.W +
                                across.first * z.stride[1] + b - z.padding[1];
                    if (phases == 1) {
                        copy_rows(rows + o * pitch, image.columns, U, V, to);
                        continue;
                    }
                    for (int64_t u = 0; u < U; ++u, to += z.stride[0] * z.W)
                        for (int64_t v = 0; v < V; ++v) to[v * z.stride[1]] = rows[o * pitch + u * image.columns + v];
                }
            }
        }
    });
}

// g_scales: one per output channel; x_scales: one per input channel.
static inline void conv_grad_weight_small_groups(const Geometry &z, const FloatImage &g, const FloatImage &x,
                                                 const GroupScales &g_scales, const GroupScales &x_scales,
                                                 const Range &range, int threads, float *out) {
    const PixelImage image = padded_pixels(z), gradient{{1, 1}, {0, 0}, z.P, image.columns};
    const int64_t count = (z.P - 1) * image.columns + z.Q, taps = z.R * z.S;
    std::vector<int64_t> offsets((z.R * z.S + TAPS_AT_ONCE - 1) / TAPS_AT_ONCE * TAPS_AT_ONCE, 0);
    for (int64_t tap = 0; tap < taps; ++tap)
        offsets[tap] = image.offset(tap / z.S * z.dilation[0], tap % z.S * z.dilation[1]);
    const int64_t doubles = image.size(z.D) + gradient.size(1);
    for_each_image(threads, z.groups, doubles, 0, [&](int64_t group, double *pixels, float *) {
        std::vector<int64_t> totals(z.E * z.D * taps, 0);
        double *grads = pixels + image.size(z.D);
        for (int64_t n = 0; n < z.N; ++n) {
            for (int64_t c = group * z.D, d = 0; d < z.D; ++d, ++c)
                fill_pixels(x.x + (n * z.C + c) * z.H * z.W, z.H, z.W, x_scales.scales[c], image,
                            pixels + d * image.plane());
            for (int64_t e = 0; e < z.E; ++e) {
                // One plane at a time: what lies past it must be 0.
                const int64_t o = group * z.E + e;
                fill_pixels(g.x + (n * z.O + o) * z.P * z.Q, z.P, z.Q, g_scales.scales[o], gradient, grads);
                for (int64_t d = 0; d < z.D; ++d)
                    for (int64_t tap = 0; tap < taps; tap += TAPS_AT_ONCE)
                        multiply_planes(grads, pixels + d * image.plane(), offsets.data() + tap,
                                        static_cast<int>(std::min<int64_t>(TAPS_AT_ONCE, taps - tap)), count,
                                        most_terms(range), totals.data() + (e * z.D + d) * taps + tap);
            }
        }
        for (int64_t e = 0; e < z.E; ++e)
            for (int64_t d = 0; d < z.D; ++d)
                for (int64_t tap = 0; tap < taps; ++tap) {
                    const int64_t o = group * z.E + e;
                    const double down = g_scales.scales[o].down * x_scales.scales[group * z.D + d].down;
                    const float rounded = static_cast<float>(totals[(e * z.D + d) * taps + tap]);
                    out[(o * z.D + d) * taps + tap] = static_cast<float>(static_cast<double>(rounded) * down);
                }
    });
}

}  // namespace isobit::ISOBIT_ISA
