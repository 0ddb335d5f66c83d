// conv_grad_weight without tiles: panels copied from a quantised image, as in conv_multiply.h.
#pragma once

#include "conv_operands.h"
#include "conv_placed.h"

namespace isobit::ISOBIT_ISA {

static inline PlacedImage placed_image(const Geometry &z, int planes) {
    return {z.N,
            z.groups,
            z.D,
            z.stride[1],
            {z.padding[0], z.padding[1]},
            z.H + 2 * z.padding[0],
            z.W + 2 * z.padding[1],
            planes,
            nullptr};
}

static inline double grad_weight_lanes(const Geometry &z) { return placed_image(z, 1).lanes(); }

// Output channels [first, first + used) of a group as lines: K is sample, row, neighbours in it, and a row ends with
// zeros up to whole lanes.
static inline View gradient_lines(const Geometry &z, const FloatImage &g, int64_t group, int64_t first, int used,
                                  int64_t row, float *out) {
    const int64_t K = z.N * z.P * row;
    for (int i = 0; i < used; ++i)
        for (int64_t np = 0; np < z.N * z.P; ++np) {
            const int64_t n = np / z.P, p = np % z.P, o = group * z.E + first + i;
            float *to = out + i * K + np * row;
            std::memcpy(to, g.x + ((n * z.O + o) * z.P + p) * z.Q, z.Q * sizeof(float));
            std::fill(to + z.Q, to + row, 0.0f);
        }
    return {out, first + used, K, K, 1, first};
}

static inline void conv_grad_weight_products(const Geometry &z, const FloatImage &g, const FloatImage &x,
                                             const Range &range, int threads, Room &scratch, float *out) {
    const std::vector<int32_t> g_maxima = middle_maxima(g.x, 1, z.N, z.O, z.P * z.Q, threads);
    const GroupScales x_scales(middle_maxima(x.x, 1, z.N, z.C, z.H * z.W, threads), range);
    PlacedImage image = placed_image(z, planes_of(range));
    image.data = scratch.image.get<int32_t>(image.size());
    range.wide ? fill_placed_image<true>(x, x_scales, image, threads)
               : fill_placed_image<false>(x, x_scales, image, threads);
    const int64_t row = in_lanes(z.Q) * LANE, K = z.N * z.P * row, taps = z.R * z.S;
    std::vector<ConvRows> operands = make_operands(z.E, K, range.wide, z.groups, scratch.operands);
    const auto lines = [&](int64_t group, int64_t first, int used, float *floats) {
        return gradient_lines(z, g, group, first, used, row, floats);
    };
    prepare_panels(operands, range, K, threads, lines, g_maxima.data());
    std::vector<int64_t> steps;
    for (int64_t np = 0; np < z.N * z.P; ++np)
        for (int64_t q = 0; q < z.Q; q += LANE)
            steps.push_back(((np / z.P * image.rows + np % z.P * z.stride[0]) * image.columns + q * z.stride[1]) * z.D);
    std::vector<ConvProduct> products;
    for (int64_t group = 0; group < z.groups; ++group)
        products.push_back({&operands[group], image.data + group * image.planes * image.plane_size(),
                            image.plane_size(), &steps, taps * z.D, &x_scales, out + group * z.E * z.D * taps,
                            z.D * taps, range.wide});
    multiply_all(products, threads, [&](int64_t group, int64_t j) {
        const int64_t tap = j / z.D, d = j % z.D;
        return Place{(tap / z.S * z.dilation[0] * image.columns + tap % z.S * z.dilation[1]) * z.D + d, d * taps + tap,
                     group * z.D + d};
    });
}

}  // namespace isobit::ISOBIT_ISA
