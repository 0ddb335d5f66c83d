// conv and conv_grad_input, exact in integers and rounded once: docs/numerics.md, Products.
#include <numeric>

#include "conv_direct.h"
#include "conv_operands.h"
#include "conv_small_groups.h"
#if defined(__AMX_INT8__)
#include "amx_pointwise.h"
#endif

namespace isobit::ISOBIT_ISA {

namespace {

std::vector<int64_t> first_integers(int64_t count) {
    std::vector<int64_t> integers(count);
    std::iota(integers.begin(), integers.end(), 0);
    return integers;
}

void fill(const FloatImage &x, const GroupScales &scales, const BundledImage &image, int threads) {
    image.planes == PLANES<true> ? fill_bundled_image<true>(x, scales, image, threads)
                                 : fill_bundled_image<false>(x, scales, image, threads);
}

// Whether the gradient's phases, each a product of its own that costs about as much as so many terms, are more than the
// sum by its definition.
bool has_many_phases(const Geometry &z) {
    constexpr double PHASE = 32768;
    const double phases = static_cast<double>(z.stride[0] * z.stride[1]);
    return phases > 64 && static_cast<double>(z.N) * z.O * z.P * z.Q * z.D * z.R * z.S < phases * PHASE;
}

}  // namespace

void op_conv(const isobit_call &call) {
    const Geometry z = check_conv(call);
    const Range range = range_of(z.width, z.D * z.R * z.S);
    if (element_count(*call.output) == 0) return;
    BundledImage image{z.N,
                       z.groups,
                       z.D,
                       in_lanes(z.D),
                       {z.stride[0], z.stride[1]},
                       {z.padding[0], z.padding[1]},
                       (z.H + 2 * z.padding[0] - 1) / z.stride[0] + 1,
                       (z.W + 2 * z.padding[1] - 1) / z.stride[1] + 1,
                       planes_of(range),
                       nullptr};
    if (is_roomy(image.lanes(), element_count(call.inputs[0]))) return conv_direct(call, z, range);
    Room &scratch = room();
    const FloatImage x = contiguous_image(call.inputs[0], scratch.first, call.threads);
    const FloatImage w = contiguous_image(call.inputs[1], scratch.second, call.threads);
    if (has_small_groups(z, z.D * z.R * z.S, range)) {
        (range.wide ? conv_small_groups<DoubleSums> : conv_small_groups<PairSums>)(z, x.x, w.x, range, call.threads,
                                                                                   data_of<float>(*call.output));
        return scratch.release();
    }
    const GroupScales scales(run_maxima(x.x, z.N * z.groups, z.D * z.H * z.W, call.threads), range);
    // Lanes of k: element of the filter, then bundle of channels.
    const int64_t taps = z.R * z.S, K = LANE * image.bundles * taps;
    const Filters filters{w.x, z.groups, z.E, z.D, taps, first_integers(taps)};
    const auto lines = [&](int64_t group, int64_t first, int used, float *floats) {
        return output_lines(filters, group, first, used, LANE * image.bundles, floats);
    };
#if defined(__AMX_INT8__)
    if (is_pointwise(z)) {
        std::vector<ConvRows> operands = make_operands(z.E, K, range.wide, z.groups, scratch.operands);
        prepare_panels(operands, range, K, call.threads, lines, nullptr);
        const float *const pixels = met_pixels(z, x, call.threads, scratch.image);
        const Pointwise problem{operands, pixels, z.D, z.P * z.Q, scales, data_of<float>(*call.output)};
        multiply_pointwise(problem, z.N, range.wide, call.threads);
        return scratch.release();
    }
#endif
    image.data = scratch.image.get<int32_t>(image.size());
    fill(x, scales, image, call.threads);
    std::vector<int64_t> steps;
    for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t d = 0; d < image.bundles; ++d)
            steps.push_back(d * image.bundle_size() +
                            image.offset(tap / z.S * z.dilation[0], tap % z.S * z.dilation[1]));
    const int64_t places = z.P * z.Q;
    std::vector<ConvProduct> products;
    for (int64_t group = 0; group < z.groups; ++group)
        products.push_back({nullptr, image.data + group * image.planes * image.plane_size(), image.plane_size(), &steps,
                            z.N * places, &scales, data_of<float>(*call.output) + group * z.E * places, places,
                            range.wide});
    const auto place = [&](int64_t group, int64_t j) {
        const int64_t n = j / places, p = j % places / z.Q, q = j % z.Q;
        return Place{n * image.sample_size() + p * image.columns + q, n * z.O * places + p * z.Q + q,
                     n * z.groups + group};
    };
    multiply_filters(products, z.E, K, range, call.threads, scratch, lines, nullptr, place);
    scratch.release();
}

void op_conv_grad_input(const isobit_call &call) {
    const Geometry z = check_grad_input(call);
    const Range range = range_of(z.width, z.E * z.R * z.S);
    if (element_count(*call.output) == 0) return;
    // Place p meets row h where h + padding = p * stride + r * dilation: by phases a of h + padding, u = p + r *
    // dilation / stride.
    BundledImage image{z.N, z.groups, z.E, in_lanes(z.E), {1, 1}, {}, 0, 0, planes_of(range), nullptr};
    const int64_t sizes[2] = {z.H, z.W}, filter[2] = {z.R, z.S}, counts[2] = {z.P, z.Q};
    int64_t extent[2];
    for (int axis = 0; axis < 2; ++axis) {
        image.low[axis] = (filter[axis] - 1) * z.dilation[axis] / z.stride[axis];
        extent[axis] =
            std::max(counts[axis], (sizes[axis] - 1 + z.padding[axis]) / z.stride[axis] + 1) + image.low[axis];
    }
    image.rows = extent[0], image.columns = extent[1];
    if (has_many_phases(z) || is_roomy(image.lanes(), element_count(call.inputs[0])))
        return conv_grad_input_direct(call, z, range);
    Room &scratch = room();
    const FloatImage g = contiguous_image(call.inputs[0], scratch.first, call.threads);
    const FloatImage w = contiguous_image(call.inputs[1], scratch.second, call.threads);
    if (has_small_groups(z, z.E * z.R * z.S, range)) {
        const PixelImage pixels{{1, 1}, {image.low[0], image.low[1]}, image.rows, image.columns};
        (range.wide ? conv_grad_input_small_groups<DoubleSums>
                    : conv_grad_input_small_groups<PairSums>)(z, pixels, g.x, w.x, range, call.threads,
                                                              data_of<float>(*call.output));
        return scratch.release();
    }
    const GroupScales scales(run_maxima(g.x, z.N * z.groups, z.E * z.P * z.Q, call.threads), range);
    Filters filters{w.x, z.groups, z.E, z.D, z.R * z.S, {}};
    const std::vector<int32_t> filter_maxima = middle_maxima(w.x, z.groups, z.E, z.D, z.R * z.S, call.threads);
#if defined(__AMX_INT8__)
    if (is_pointwise(z) && !is_strided(z)) {
        const int64_t K = LANE * image.bundles;
        filters.taps = {0};
        std::vector<ConvRows> operands = make_operands(z.D, K, range.wide, z.groups, scratch.operands);
        const auto lines = [&](int64_t group, int64_t first, int used, float *floats) {
            return input_lines(filters, group, first, used, K, floats);
        };
        prepare_panels(operands, range, K, call.threads, lines, filter_maxima.data());
        const Pointwise problem{operands, g.x, z.E, z.P * z.Q, scales, data_of<float>(*call.output)};
        multiply_pointwise(problem, z.N, range.wide, call.threads);
        return scratch.release();
    }
#endif
    image.data = scratch.image.get<int32_t>(image.size());
    fill(g, scales, image, call.threads);
    for (int64_t a = 0; a < z.stride[0]; ++a)
        for (int64_t b = 0; b < z.stride[1]; ++b) {
            // Rows u * stride + a - padding in [0, H).
            const auto from = [](int64_t low, int64_t stride) { return low > 0 ? (low + stride - 1) / stride : 0; };
            const int64_t u0 = from(z.padding[0] - a, z.stride[0]), u1 = from(z.H + z.padding[0] - a, z.stride[0]);
            const int64_t v0 = from(z.padding[1] - b, z.stride[1]), v1 = from(z.W + z.padding[1] - b, z.stride[1]);
            const int64_t U = u1 - u0, V = v1 - v0;
            if (U <= 0 || V <= 0) continue;
            std::vector<int64_t> steps, &taps = filters.taps;
            taps.clear();
            for (int64_t tap = 0; tap < z.R * z.S; ++tap)
                if (tap / z.S * z.dilation[0] % z.stride[0] == a && tap % z.S * z.dilation[1] % z.stride[1] == b)
                    taps.push_back(tap);
            const int64_t K = LANE * image.bundles * static_cast<int64_t>(taps.size());
            const auto lines = [&](int64_t group, int64_t first, int used, float *floats) {
                return input_lines(filters, group, first, used, LANE * image.bundles, floats);
            };
            for (const int64_t tap : taps)
                for (int64_t e = 0; e < image.bundles; ++e)
                    steps.push_back(e * image.bundle_size() +
                                    (image.low[0] - tap / z.S * z.dilation[0] / z.stride[0]) * image.columns +
                                    image.low[1] - tap % z.S * z.dilation[1] / z.stride[1]);
            std::vector<ConvProduct> products;
            for (int64_t group = 0; group < z.groups; ++group)
                products.push_back({nullptr, image.data + group * image.planes * image.plane_size(), image.plane_size(),
                                    &steps, z.N * U * V, &scales,
                                    data_of<float>(*call.output) + group * z.D * z.H * z.W, z.H * z.W, range.wide});
            const auto place = [&](int64_t group, int64_t j) {
                const int64_t n = j / (U * V), u = u0 + j / V % U, v = v0 + j % V;
                const int64_t h = u * z.stride[0] + a - z.padding[0], column = v * z.stride[1] + b - z.padding[1];
                return Place{n * image.sample_size() + u * image.columns + v, (n * z.C * z.H + h) * z.W + column,
                             n * z.groups + group};
            };
            multiply_filters(products, z.D, K, range, call.threads, scratch, lines, filter_maxima.data(), place);
        }
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
