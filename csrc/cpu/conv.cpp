// conv and its two gradients, exact in integers and rounded once: docs/numerics.md, Products.
#include <numeric>

#include "conv_direct.h"
#include "conv_filters.h"
#include "conv_small_groups.h"
#if defined(__AMX_INT8__)
#include "amx_conv.h"
#else
#include "conv_multiply.h"
#endif

namespace isobit::ISOBIT_ISA {

namespace {

// Scratch of the calling thread, one block for each thing that lives as long as a call.
struct Room {
    Scratch first, second, image, filters, operands;

    void release() {
        for (Scratch *scratch : {&first, &second, &image, &filters, &operands}) scratch->release();
    }
};

Room &room() {
    static thread_local Room rooms;
    return rooms;
}

// Padding and strides may make a padded image far larger than the image: then the definition itself is computed.
bool is_roomy(double image_lanes, double elements) { return image_lanes > 16 * elements + (1 << 24); }

// One operand per group in one block of memory.
std::vector<ConvRows> make_operands(int64_t lines, int64_t K, bool wide, int64_t groups, Scratch &scratch) {
    const int64_t bytes = (conv_rows_bytes(lines, K, wide) + 63) / 64 * 64;
    char *memory = scratch.get<char>(groups * bytes);
    std::vector<ConvRows> operands;
    for (int64_t group = 0; group < groups; ++group)
        operands.push_back(conv_rows(lines, K, wide, memory + group * bytes));
    return operands;
}

// view(group, first line, lines, floats) lays the lines of a panel out in `floats`, enough of them for K a line.
template <class GetView>
void prepare_panels(std::vector<ConvRows> &operands, const Range &range, int64_t K, int threads, const GetView &view,
                    const int32_t *maxima = nullptr) {
    const int64_t groups = static_cast<int64_t>(operands.size()), panels = panels_of(operands[0]);
    std::vector<char> is_moderate(groups * panels);
    for_each_unit(threads, groups * panels, [&](int64_t unit) {
        static thread_local Scratch scratch;
        const int64_t group = unit / panels, panel = unit % panels, first = first_of(operands[group], panel);
        const int used = used_of(operands[group], panel);
        const View lines = view(group, first, used, scratch.get<float>(used * K));
        is_moderate[unit] = prepare_panel(lines, range, operands[group], panel,
                                          maxima ? maxima + group * (first_of(operands[group], panels - 1) +
                                                                     used_of(operands[group], panels - 1))
                                                 : nullptr);
        scratch.release();
    });
    for (int64_t unit = 0; unit < groups * panels; ++unit)
        operands[unit / panels].scales.is_moderate &= is_moderate[unit] != 0;
}

// lines x K floats of each group, row-major, become its operand.
void prepare_groups(std::vector<ConvRows> &operands, const float *filters, int64_t K, const Range &range, int threads,
                    int64_t lines) {
    const int64_t groups = static_cast<int64_t>(operands.size());
    for_each_unit(groups == 1 ? 1 : threads, groups, [&](int64_t group) {
        prepare({filters + group * lines * K, lines, K, K, 1}, range, operands[group], groups == 1 ? threads : 1, nullptr);
    });
}

template <class Group>
std::vector<int32_t> reduce_maxima(const std::vector<int32_t> &maxima, int64_t groups, const Group &group) {
    std::vector<int32_t> reduced(groups, 0);
    for (size_t i = 0; i < maxima.size(); ++i) {
        int32_t &to = reduced[group(static_cast<int64_t>(i))];
        to = std::max(to, maxima[i]);
    }
    return reduced;
}

std::vector<int64_t> first_integers(int64_t count) {
    std::vector<int64_t> integers(count);
    std::iota(integers.begin(), integers.end(), 0);
    return integers;
}

void fill(const FloatImage &x, const GroupScales &scales, const BundledImage &image, int threads) {
    image.planes == PLANES<true> ? fill_bundled_image<true>(x, scales, image, threads)
                                 : fill_bundled_image<false>(x, scales, image, threads);
}

void fill(const FloatImage &x, const GroupScales &scales, const PlacedImage &image, int threads) {
    image.planes == PLANES<true> ? fill_placed_image<true>(x, scales, image, threads)
                                 : fill_placed_image<false>(x, scales, image, threads);
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
    const GroupScales scales(reduce_maxima(plane_maxima(x, call.threads), z.N * z.groups,
                                           [&](int64_t nc) { return nc / z.C * z.groups + nc % z.C / z.D; }),
                             range);
    if (has_small_groups(z, z.D * z.R * z.S, range)) {
        const GroupScales w_scales(plane_maxima({w.x, z.O, 1, z.D * z.R, z.S}, 1), range);
        return conv_small_groups(z, x, w, scales, w_scales, call.threads, data_of<float>(*call.output));
    }
    image.data = scratch.image.get<int32_t>(image.size());
    fill(x, scales, image, call.threads);
    // Lanes of k: element of the filter, then bundle of channels.
    const int64_t taps = z.R * z.S, K = LANE * image.bundles * taps;
    std::vector<ConvRows> operands = make_operands(z.E, K, range.wide, z.groups, scratch.operands);
    const Filters filters{w.x, z.groups, z.E, z.D, taps, first_integers(taps)};
    prepare_panels(operands, range, K, call.threads, [&](int64_t group, int64_t first, int used, float *floats) {
        return output_lines(filters, group, first, used, LANE * image.bundles, floats);
    });
    std::vector<int64_t> steps;
    for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t d = 0; d < image.bundles; ++d)
            steps.push_back(d * image.bundle_size() +
                            image.offset(tap / z.S * z.dilation[0], tap % z.S * z.dilation[1]));
    const int64_t places = z.P * z.Q;
    std::vector<ConvProduct> products;
    for (int64_t group = 0; group < z.groups; ++group)
        products.push_back({&operands[group], image.data + group * image.planes * image.plane_size(),
                            image.plane_size(), &steps, z.N * places, &scales,
                            data_of<float>(*call.output) + group * z.E * places, places, range.wide});
    multiply_all(products, call.threads, z.E, [&](int64_t group, int64_t j) {
        const int64_t n = j / places, p = j % places / z.Q, q = j % z.Q;
        return Place{n * image.sample_size() + p * image.columns + q, n * z.O * places + p * z.Q + q,
                     n * z.groups + group};
    });
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
    if (z.stride[0] * z.stride[1] > 64 || is_roomy(image.lanes(), element_count(call.inputs[0])))
        return conv_grad_input_direct(call, z, range);
    Room &scratch = room();
    const FloatImage g = contiguous_image(call.inputs[0], scratch.first, call.threads);
    const FloatImage w = contiguous_image(call.inputs[1], scratch.second, call.threads);
    const GroupScales scales(reduce_maxima(plane_maxima(g, call.threads), z.N * z.groups,
                                           [&](int64_t no) { return no / z.O * z.groups + no % z.O / z.E; }),
                             range);
    Filters filters{w.x, z.groups, z.E, z.D, z.R * z.S, {}};
    const std::vector<int32_t> filter_maxima = input_channel_maxima(filters, call.threads);
    if (has_small_groups(z, z.E * z.R * z.S, range)) {
        const PixelImage pixels{{1, 1}, {image.low[0], image.low[1]}, image.rows, image.columns};
        return conv_grad_input_small_groups(z, pixels, g, w, scales, GroupScales(filter_maxima, range), call.threads,
                                            data_of<float>(*call.output));
    }
    image.data = scratch.image.get<int32_t>(image.size());
    fill(g, scales, image, call.threads);
    for (int64_t a = 0; a < z.stride[0]; ++a)
        for (int64_t b = 0; b < z.stride[1]; ++b) {
            std::vector<int64_t> steps, &taps = filters.taps;
            taps.clear();
            for (int64_t tap = 0; tap < z.R * z.S; ++tap)
                if (tap / z.S * z.dilation[0] % z.stride[0] == a && tap % z.S * z.dilation[1] % z.stride[1] == b)
                    taps.push_back(tap);
            // Rows u * stride + a - padding in [0, H).
            const auto from = [](int64_t low, int64_t stride) { return low > 0 ? (low + stride - 1) / stride : 0; };
            const int64_t u0 = from(z.padding[0] - a, z.stride[0]), u1 = from(z.H + z.padding[0] - a, z.stride[0]);
            const int64_t v0 = from(z.padding[1] - b, z.stride[1]), v1 = from(z.W + z.padding[1] - b, z.stride[1]);
            const int64_t U = u1 - u0, V = v1 - v0;
            if (U <= 0 || V <= 0) continue;
            const int64_t K = LANE * image.bundles * static_cast<int64_t>(taps.size());
            std::vector<ConvRows> operands = make_operands(z.D, K, range.wide, z.groups, scratch.operands);
            const auto lines = [&](int64_t group, int64_t first, int used, float *floats) {
                return input_lines(filters, group, first, used, LANE * image.bundles, floats);
            };
            prepare_panels(operands, range, K, call.threads, lines, filter_maxima.data());
            for (const int64_t tap : taps)
                for (int64_t e = 0; e < image.bundles; ++e)
                    steps.push_back(e * image.bundle_size() +
                                    (image.low[0] - tap / z.S * z.dilation[0] / z.stride[0]) * image.columns +
                                    image.low[1] - tap % z.S * z.dilation[1] / z.stride[1]);
            std::vector<ConvProduct> products;
            for (int64_t group = 0; group < z.groups; ++group)
                products.push_back({&operands[group], image.data + group * image.planes * image.plane_size(),
                                    image.plane_size(), &steps, z.N * U * V, &scales,
                                    data_of<float>(*call.output) + group * z.D * z.H * z.W, z.H * z.W, range.wide});
            multiply_all(products, call.threads, z.D, [&](int64_t group, int64_t j) {
                const int64_t n = j / (U * V), u = u0 + j / V % U, v = v0 + j % V;
                const int64_t h = u * z.stride[0] + a - z.padding[0], column = v * z.stride[1] + b - z.padding[1];
                return Place{n * image.sample_size() + u * image.columns + v, (n * z.C * z.H + h) * z.W + column,
                             n * z.groups + group};
            });
        }
    scratch.release();
}

void op_conv_grad_weight(const isobit_call &call) {
    const Geometry z = check_grad_weight(call);
    const Range range = range_of(z.width, z.N * z.P * z.Q);
    if (element_count(*call.output) == 0) return;
    PlacedImage image{z.N,
                      z.groups,
                      z.D,
                      z.stride[1],
                      {z.padding[0], z.padding[1]},
                      z.H + 2 * z.padding[0],
                      z.W + 2 * z.padding[1],
                      planes_of(range),
                      nullptr};
    if (is_roomy(image.lanes(), element_count(call.inputs[1]))) return conv_grad_weight_direct(call, z, range);
    Room &scratch = room();
    const FloatImage g = contiguous_image(call.inputs[0], scratch.first, call.threads);
    const FloatImage x = contiguous_image(call.inputs[1], scratch.second, call.threads);
    const GroupScales scales(reduce_maxima(plane_maxima(x, call.threads), z.C, [&](int64_t nc) { return nc % z.C; }),
                             range);
    if (has_small_groups(z, 1, range)) {
        const GroupScales g_scales(
            reduce_maxima(plane_maxima(g, call.threads), z.O, [&](int64_t no) { return no % z.O; }), range);
        return conv_grad_weight_small_groups(z, g, x, g_scales, scales, range, call.threads,
                                             data_of<float>(*call.output));
    }
    image.data = scratch.image.get<int32_t>(image.size());
    fill(x, scales, image, call.threads);
    // Lanes of k: sample, row, neighbours in it; a row ends with zeros up to whole lanes.
    const int64_t row = in_lanes(z.Q) * LANE, K = z.N * z.P * row;
    float *grads = scratch.filters.get<float>(z.O * K);
    parallel_for(call.threads, z.O, [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o)
            for (int64_t n = 0; n < z.N; ++n)
                for (int64_t p = 0; p < z.P; ++p) {
                    float *to = grads + ((o * z.N + n) * z.P + p) * row;
                    std::memcpy(to, g.x + ((n * z.O + o) * z.P + p) * z.Q, z.Q * sizeof(float));
                    std::fill(to + z.Q, to + row, 0.0f);
                }
    });
    std::vector<ConvRows> operands = make_operands(z.E, K, range.wide, z.groups, scratch.operands);
    prepare_groups(operands, grads, K, range, call.threads, z.E);
    std::vector<int64_t> steps;
    for (int64_t np = 0; np < z.N * z.P; ++np)
        for (int64_t q = 0; q < z.Q; q += LANE)
            steps.push_back(((np / z.P * image.rows + np % z.P * z.stride[0]) * image.columns + q * z.stride[1]) * z.D);
    const int64_t taps = z.R * z.S;
    std::vector<ConvProduct> products;
    for (int64_t group = 0; group < z.groups; ++group)
        products.push_back({&operands[group], image.data + group * image.planes * image.plane_size(),
                            image.plane_size(), &steps, taps * z.D, &scales,
                            data_of<float>(*call.output) + group * z.E * z.D * taps, z.D * taps, range.wide});
    multiply_all(products, call.threads, 224, [&](int64_t group, int64_t j) {
        const int64_t tap = j / z.D, d = j % z.D;
        return Place{(tap / z.S * z.dilation[0] * image.columns + tap % z.S * z.dilation[1]) * z.D + d, d * taps + tap,
                     group * z.D + d};
    });
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
