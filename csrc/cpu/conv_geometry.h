// The sizes of a convolution, and what the three operators check before they touch memory.
#pragma once

#include "product_scale.h"
#include "tensor.h"

namespace isobit::ISOBIT_ISA {

// x[N, C, H, W], w[O, D, R, S], g[N, O, P, Q] for D = C / groups; E = O / groups.
struct Geometry {
    int64_t N, C, H, W, O, R, S, P, Q, D, E;
    int64_t stride[2], padding[2], dilation[2], groups, width;

    // Where element (r, s) of the filter at place (p, q) meets the image.
    int64_t row(int64_t p, int64_t r) const { return p * stride[0] - padding[0] + r * dilation[0]; }
    int64_t column(int64_t q, int64_t s) const { return q * stride[1] - padding[1] + s * dilation[1]; }
};

static inline void read_window(AttributeReader &attributes, Geometry &z) {
    constexpr int64_t LARGEST = 65536;
    attributes.next_list("stride", z.stride, 2);
    attributes.next_list("padding", z.padding, 2);
    attributes.next_list("dilation", z.dilation, 2);
    z.groups = attributes.next_in("groups", 1, int64_t{1} << 31);
    z.width = attributes.next_in("width", 0, 1);
    attributes.end();
    for (int axis = 0; axis < 2; ++axis)
        if (z.stride[axis] < 1 || z.stride[axis] > LARGEST || z.padding[axis] < 0 || z.padding[axis] > LARGEST ||
            z.dilation[axis] < 1 || z.dilation[axis] > LARGEST)
            invalid("got stride %lld, padding %lld, dilation %lld, want at least 1, 0 and 1, at most 65536",
                    (long long)z.stride[axis], (long long)z.padding[axis], (long long)z.dilation[axis]);
}

static inline int64_t places(int64_t size, int64_t kernel, int axis, const Geometry &z) {
    if (size > int64_t{1} << 40 || kernel < 1 || kernel > int64_t{1} << 40)
        invalid("got a filter of size %lld on an image of size %lld, want 1 or more", (long long)kernel,
                (long long)size);
    const int64_t room = size + 2 * z.padding[axis] - z.dilation[axis] * (kernel - 1) - 1;
    if (room < 0) invalid("got a filter that spans more than the padded image, want it to fit");
    return room / z.stride[axis] + 1;
}

static inline void want_sizes(const char *what, const isobit_tensor &tensor, int64_t n, int64_t c, int64_t h,
                              int64_t w) {
    const int64_t want[4] = {n, c, h, w};
    for (int axis = 0; axis < 4; ++axis)
        if (tensor.shape[axis] != want[axis])
            invalid("got %s %s, want [%lld, %lld, %lld, %lld]", what, show(tensor).text, (long long)n, (long long)c,
                    (long long)h, (long long)w);
}

static inline void want_images(const isobit_call &call) {
    want_inputs(call, 2);
    for (int i = 0; i < 2; ++i) {
        const char *what = i ? "the second operand" : "the first operand";
        want_dtype(what, call.inputs[i], FLOAT32, "float32");
        want_rank(what, call.inputs[i], 4);
    }
}

static inline void share_groups(Geometry &z) {
    if (z.C % z.groups || z.O % z.groups)
        invalid("got %lld input and %lld output channels in %lld groups, want multiples", (long long)z.C,
                (long long)z.O, (long long)z.groups);
    z.D = z.C / z.groups;
    z.E = z.O / z.groups;
}

static inline void want_result(const isobit_call &call, int64_t n, int64_t c, int64_t h, int64_t w) {
    const int64_t shape[4] = {n, c, h, w};
    want_output(call, FLOAT32, 4, shape);
}

static inline Geometry check_conv(const isobit_call &call) {
    want_images(call);
    const isobit_tensor &x = call.inputs[0], &w = call.inputs[1];
    Geometry z{};
    AttributeReader attributes(call);
    read_window(attributes, z);
    z.N = x.shape[0], z.C = x.shape[1], z.H = x.shape[2], z.W = x.shape[3];
    z.O = w.shape[0], z.R = w.shape[2], z.S = w.shape[3];
    share_groups(z);
    want_sizes("w", w, z.O, z.D, z.R, z.S);
    z.P = places(z.H, z.R, 0, z), z.Q = places(z.W, z.S, 1, z);
    want_result(call, z.N, z.O, z.P, z.Q);
    return z;
}

static inline Geometry check_grad_input(const isobit_call &call) {
    want_images(call);
    const isobit_tensor &g = call.inputs[0], &w = call.inputs[1];
    Geometry z{};
    int64_t size[2];
    AttributeReader attributes(call);
    attributes.next_list("size", size, 2);
    read_window(attributes, z);
    if (size[0] < 0 || size[1] < 0)
        invalid("got size (%lld, %lld), want 0 or more", (long long)size[0], (long long)size[1]);
    if (w.shape[1] > (int64_t{1} << 40) / z.groups) invalid("got w %s, want fewer channels", show(w).text);
    z.N = g.shape[0], z.O = g.shape[1], z.P = g.shape[2], z.Q = g.shape[3];
    z.C = w.shape[1] * z.groups, z.H = size[0], z.W = size[1], z.R = w.shape[2], z.S = w.shape[3];
    share_groups(z);
    want_sizes("w", w, z.O, z.D, z.R, z.S);
    want_sizes("g", g, z.N, z.O, places(z.H, z.R, 0, z), places(z.W, z.S, 1, z));
    want_result(call, z.N, z.C, z.H, z.W);
    return z;
}

static inline Geometry check_grad_weight(const isobit_call &call) {
    want_images(call);
    const isobit_tensor &g = call.inputs[0], &x = call.inputs[1];
    Geometry z{};
    int64_t size[2];
    AttributeReader attributes(call);
    attributes.next_list("size", size, 2);
    read_window(attributes, z);
    z.N = x.shape[0], z.C = x.shape[1], z.H = x.shape[2], z.W = x.shape[3];
    z.O = g.shape[1], z.R = size[0], z.S = size[1];
    share_groups(z);
    z.P = places(z.H, z.R, 0, z), z.Q = places(z.W, z.S, 1, z);
    want_sizes("g", g, z.N, z.O, z.P, z.Q);
    want_result(call, z.O, z.D, z.R, z.S);
    return z;
}

}  // namespace isobit::ISOBIT_ISA
