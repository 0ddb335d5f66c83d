// conv and its two gradients, exact in integers and rounded once: docs/numerics.md, Products.
#include <vector>

#include "product_scale.h"
#include "tensor.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {

namespace {

// What the three operators have in common: x[N, C, H, W], w[O, C/groups, R, S], g[N, O, P, Q].
struct Geometry {
    int64_t N, C, H, W, O, R, S, P, Q;
    int64_t stride[2], padding[2], dilation[2], groups, width;

    int64_t row(int64_t p, int64_t r) const { return p * stride[0] - padding[0] + r * dilation[0]; }
    int64_t column(int64_t q, int64_t s) const { return q * stride[1] - padding[1] + s * dilation[1]; }
};

constexpr int64_t LARGEST = int64_t{1} << 31;

void read_attributes(AttributeReader &attributes, Geometry &shape) {
    attributes.next_list("stride", shape.stride, 2);
    attributes.next_list("padding", shape.padding, 2);
    attributes.next_list("dilation", shape.dilation, 2);
    shape.groups = attributes.next_in("groups", 1, LARGEST);
    shape.width = attributes.next_in("width", 0, 1);
    attributes.end();
    for (int axis = 0; axis < 2; ++axis)
        if (shape.stride[axis] < 1 || shape.stride[axis] > LARGEST || shape.padding[axis] < 0 ||
            shape.padding[axis] > LARGEST || shape.dilation[axis] < 1 || shape.dilation[axis] > LARGEST)
            invalid("got stride %lld, padding %lld, dilation %lld, want 1, 0 and 1 or more, at most 2^31",
                    (long long)shape.stride[axis], (long long)shape.padding[axis], (long long)shape.dilation[axis]);
}

int64_t windows(int64_t size, int64_t kernel, int axis, const Geometry &shape) {
    if (kernel < 1) invalid("got a kernel of size %lld, want 1 or more", (long long)kernel);
    const __int128 room = static_cast<__int128>(size) + 2 * shape.padding[axis] -
                          static_cast<__int128>(shape.dilation[axis]) * (kernel - 1) - 1;
    if (room < 0) invalid("got a kernel that spans more than the padded input, want it to fit");
    return static_cast<int64_t>(room / shape.stride[axis] + 1);
}

void check_operand(const char *what, const isobit_tensor &tensor, int64_t n, int64_t c, int64_t h, int64_t w) {
    const int64_t want[4] = {n, c, h, w};
    for (int axis = 0; axis < 4; ++axis)
        if (tensor.shape[axis] != want[axis])
            invalid("got %s %s, want [%lld, %lld, %lld, %lld]", what, show(tensor).text, (long long)n, (long long)c,
                    (long long)h, (long long)w);
}

void check_groups(const Geometry &shape) {
    if (shape.C % shape.groups || shape.O % shape.groups)
        invalid("got %lld input and %lld output channels in %lld groups, want multiples", (long long)shape.C,
                (long long)shape.O, (long long)shape.groups);
}

// A quantised tensor of rank 4, contiguous, and its scales.
struct Image {
    std::vector<int32_t> q;
    std::vector<Scale> scale;
};

// group(i, j) names the scale group of the elements [i, j, :, :].
template <class Group>
Image quantise_image(const isobit_tensor &x, int64_t groups, Range range, const Group &group) {
    const int64_t I = x.shape[0], J = x.shape[1], H = x.shape[2], W = x.shape[3];
    const float *data = data_of<float>(x);
    Image image{std::vector<int32_t>(I * J * H * W), std::vector<Scale>(groups)};
    std::vector<uint32_t> maxima(groups, 0);
    const auto each = [&](const auto &body) {
        int64_t at = 0;
        for (int64_t i = 0; i < I; ++i)
            for (int64_t j = 0; j < J; ++j)
                for (int64_t h = 0; h < H; ++h)
                    for (int64_t w = 0; w < W; ++w)
                        body(at++, group(i, j), data[i * x.stride[0] + j * x.stride[1] + h * x.stride[2] + w * x.stride[3]]);
    };
    each([&](int64_t, int64_t g, float value) { maxima[g] = std::max(maxima[g], magnitude_bits(value)); });
    for (int64_t g = 0; g < groups; ++g) image.scale[g] = scale_of(maxima[g], range);
    each([&](int64_t at, int64_t g, float value) { image.q[at] = quantise(value, image.scale[g]); });
    return image;
}

Geometry check_call(const isobit_call &call, bool sized) {
    want_inputs(call, 2);
    for (int i = 0; i < 2; ++i) {
        want_dtype(i ? "the second operand" : "the first operand", call.inputs[i], FLOAT32, "float32");
        want_rank(i ? "the second operand" : "the first operand", call.inputs[i], 4);
    }
    (void)sized;
    return {};
}

}  // namespace

void op_conv(const isobit_call &call) {
    Geometry z = check_call(call, false);
    const isobit_tensor &x = call.inputs[0], &w = call.inputs[1];
    AttributeReader attributes(call);
    read_attributes(attributes, z);
    z.N = x.shape[0], z.C = x.shape[1], z.H = x.shape[2], z.W = x.shape[3], z.O = w.shape[0], z.R = w.shape[2], z.S = w.shape[3];
    check_groups(z);
    const int64_t D = z.C / z.groups, E = z.O / z.groups;
    check_operand("w", w, z.O, D, z.R, z.S);
    z.P = windows(z.H, z.R, 0, z), z.Q = windows(z.W, z.S, 1, z);
    const int64_t shape[4] = {z.N, z.O, z.P, z.Q};
    want_output(call, FLOAT32, 4, shape);
    const Range range = range_of(z.width, D * z.R * z.S);
    const Image a = quantise_image(x, z.N * z.groups, range, [&](int64_t n, int64_t c) { return n * z.groups + c / D; });
    const Image b = quantise_image(w, z.O, range, [&](int64_t o, int64_t) { return o; });
    float *out = data_of<float>(*call.output);
    parallel_for(call.threads, z.N * z.O, [&](int64_t begin, int64_t end) {
        for (int64_t no = begin; no < end; ++no)
            for (int64_t pq = 0; pq < z.P * z.Q; ++pq) {
                const int64_t n = no / z.O, o = no % z.O, p = pq / z.Q, q = pq % z.Q, c0 = o / E * D;
                int64_t sum = 0;
                for (int64_t d = 0; d < D; ++d)
                    for (int64_t r = 0; r < z.R; ++r)
                        for (int64_t s = 0; s < z.S; ++s) {
                            const int64_t h = z.row(p, r), v = z.column(q, s);
                            if (h < 0 || h >= z.H || v < 0 || v >= z.W) continue;
                            sum += static_cast<int64_t>(a.q[((n * z.C + c0 + d) * z.H + h) * z.W + v]) *
                                   b.q[((o * D + d) * z.R + r) * z.S + s];
                        }
                out[no * z.P * z.Q + pq] = store(sum, a.scale[n * z.groups + o / E], b.scale[o]);
            }
    });
}

void op_conv_grad_input(const isobit_call &call) {
    Geometry z = check_call(call, true);
    const isobit_tensor &g = call.inputs[0], &w = call.inputs[1];
    AttributeReader attributes(call);
    int64_t size[2];
    attributes.next_list("size", size, 2);
    read_attributes(attributes, z);
    z.N = g.shape[0], z.O = g.shape[1], z.P = g.shape[2], z.Q = g.shape[3], z.R = w.shape[2], z.S = w.shape[3];
    z.H = size[0], z.W = size[1];
    const int64_t D = w.shape[1];
    z.C = D * z.groups;
    check_groups(z);
    check_operand("w", w, z.O, D, z.R, z.S);
    check_operand("g", g, z.N, z.O, windows(z.H, z.R, 0, z), windows(z.W, z.S, 1, z));
    const int64_t shape[4] = {z.N, z.C, z.H, z.W};
    want_output(call, FLOAT32, 4, shape);
    const int64_t E = z.O / z.groups;
    const Range range = range_of(z.width, E * z.R * z.S);
    const Image a = quantise_image(g, z.N * z.groups, range, [&](int64_t n, int64_t o) { return n * z.groups + o / E; });
    const Image b = quantise_image(w, z.C, range, [&](int64_t o, int64_t d) { return o / E * D + d; });
    float *out = data_of<float>(*call.output);
    parallel_for(call.threads, z.N * z.C, [&](int64_t begin, int64_t end) {
        std::vector<int64_t> sum(z.H * z.W);
        for (int64_t nc = begin; nc < end; ++nc) {
            const int64_t n = nc / z.C, c = nc % z.C, d = c % D, group = c / D;
            std::fill(sum.begin(), sum.end(), 0);
            for (int64_t o = group * E; o < (group + 1) * E; ++o)
                for (int64_t p = 0; p < z.P; ++p)
                    for (int64_t q = 0; q < z.Q; ++q)
                        for (int64_t r = 0; r < z.R; ++r)
                            for (int64_t s = 0; s < z.S; ++s) {
                                const int64_t h = z.row(p, r), v = z.column(q, s);
                                if (h < 0 || h >= z.H || v < 0 || v >= z.W) continue;
                                sum[h * z.W + v] += static_cast<int64_t>(a.q[((n * z.O + o) * z.P + p) * z.Q + q]) *
                                                    b.q[((o * D + d) * z.R + r) * z.S + s];
                            }
            for (int64_t hw = 0; hw < z.H * z.W; ++hw)
                out[nc * z.H * z.W + hw] = store(sum[hw], a.scale[n * z.groups + group], b.scale[c]);
        }
    });
}

void op_conv_grad_weight(const isobit_call &call) {
    Geometry z = check_call(call, true);
    const isobit_tensor &g = call.inputs[0], &x = call.inputs[1];
    AttributeReader attributes(call);
    int64_t size[2];
    attributes.next_list("size", size, 2);
    read_attributes(attributes, z);
    z.N = x.shape[0], z.C = x.shape[1], z.H = x.shape[2], z.W = x.shape[3], z.O = g.shape[1], z.R = size[0], z.S = size[1];
    check_groups(z);
    z.P = windows(z.H, z.R, 0, z), z.Q = windows(z.W, z.S, 1, z);
    check_operand("g", g, z.N, z.O, z.P, z.Q);
    const int64_t D = z.C / z.groups, E = z.O / z.groups;
    const int64_t shape[4] = {z.O, D, z.R, z.S};
    want_output(call, FLOAT32, 4, shape);
    const Range range = range_of(z.width, z.N * z.P * z.Q);
    const Image a = quantise_image(g, z.O, range, [&](int64_t, int64_t o) { return o; });
    const Image b = quantise_image(x, z.C, range, [&](int64_t, int64_t c) { return c; });
    float *out = data_of<float>(*call.output);
    parallel_for(call.threads, z.O * D, [&](int64_t begin, int64_t end) {
        for (int64_t od = begin; od < end; ++od)
            for (int64_t rs = 0; rs < z.R * z.S; ++rs) {
                const int64_t o = od / D, c = o / E * D + od % D, r = rs / z.S, s = rs % z.S;
                int64_t sum = 0;
                for (int64_t n = 0; n < z.N; ++n)
                    for (int64_t p = 0; p < z.P; ++p)
                        for (int64_t q = 0; q < z.Q; ++q) {
                            const int64_t h = z.row(p, r), v = z.column(q, s);
                            if (h < 0 || h >= z.H || v < 0 || v >= z.W) continue;
                            sum += static_cast<int64_t>(a.q[((n * z.O + o) * z.P + p) * z.Q + q]) *
                                   b.q[((n * z.C + c) * z.H + h) * z.W + v];
                        }
                out[od * z.R * z.S + rs] = store(sum, a.scale[o], b.scale[c]);
            }
    });
}

}  // namespace isobit::ISOBIT_ISA
