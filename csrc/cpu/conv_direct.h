// Convolutions by their definition, one product at a time: for windows so far apart that a padded image would not fit.
#pragma once

#include <vector>

#include "conv_geometry.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {

// A quantised tensor of rank 4, contiguous, and the scales of its groups.
struct QuantisedImage {
    std::vector<int32_t> q;
    std::vector<double> down;
};

// group(i, j) names the scale group of the elements [i, j, :, :].
template <class Group>
static QuantisedImage quantise_image(const isobit_tensor &x, int64_t groups, const Range &range, const Group &group) {
    const int64_t I = x.shape[0], J = x.shape[1], H = x.shape[2], W = x.shape[3];
    const float *data = data_of<float>(x);
    QuantisedImage image{std::vector<int32_t>(I * J * H * W), std::vector<double>(groups)};
    std::vector<uint32_t> maxima(groups, 0);
    const auto each = [&](const auto &body) {
        for (int64_t at = 0; at < I * J * H * W; ++at) {
            const int64_t w = at % W, h = at / W % H, j = at / (W * H) % J, i = at / (W * H * J);
            body(at, group(i, j), data[i * x.stride[0] + j * x.stride[1] + h * x.stride[2] + w * x.stride[3]]);
        }
    };
    each([&](int64_t, int64_t g, float value) { maxima[g] = std::max(maxima[g], bits_of(value) & 0x7fffffffu); });
    std::vector<Scale> scales;
    for (int64_t g = 0; g < groups; ++g) {
        scales.push_back(scale_of(maxima[g], range));
        image.down[g] = scales[g].down;
    }
    each([&](int64_t at, int64_t g, float value) {
        const bool is_finite = maxima[g] < 0x7f800000u;
        image.q[at] = is_finite ? static_cast<int32_t>(std::nearbyint(value * scales[g].up[0] * scales[g].up[1])) : 0;
    });
    return image;
}

static inline float rounded(int64_t sum, double a_down, double b_down) {
    return static_cast<float>(static_cast<double>(static_cast<float>(sum)) * (a_down * b_down));
}

// The integers p with low <= p < high and 0 <= p * stride + offset < size.
struct Span {
    int64_t low, high;
};

static inline Span meeting(int64_t count, int64_t stride, int64_t offset, int64_t size) {
    const int64_t low = offset < 0 ? (-offset + stride - 1) / stride : 0;
    const int64_t high = size > offset ? (size - offset - 1) / stride + 1 : 0;
    return {low, std::min(high, count)};
}

// body(p, q, h, w) for all places (p, q) where element (r, s) of the filter meets the image at (h, w).
template <class Body>
static void each_meeting(const Geometry &z, int64_t r, int64_t s, const Body &body) {
    const Span down = meeting(z.P, z.stride[0], z.row(0, r), z.H),
               across = meeting(z.Q, z.stride[1], z.column(0, s), z.W);
    for (int64_t p = down.low; p < down.high; ++p)
        for (int64_t q = across.low; q < across.high; ++q) body(p, q, z.row(p, r), z.column(q, s));
}

static inline void conv_direct(const isobit_call &call, const Geometry &z, const Range &range) {
    const QuantisedImage x = quantise_image(call.inputs[0], z.N * z.groups, range,
                                            [&](int64_t n, int64_t c) { return n * z.groups + c / z.D; });
    const QuantisedImage w = quantise_image(call.inputs[1], z.O, range, [](int64_t o, int64_t) { return o; });
    float *out = data_of<float>(*call.output);
    parallel_for(call.threads, z.N * z.O, [&](int64_t begin, int64_t end) {
        std::vector<int64_t> sums(z.P * z.Q);
        for (int64_t no = begin; no < end; ++no) {
            const int64_t n = no / z.O, o = no % z.O, group = o / z.E;
            std::fill(sums.begin(), sums.end(), 0);
            for (int64_t drs = 0; drs < z.D * z.R * z.S; ++drs) {
                const int64_t d = drs / (z.R * z.S), r = drs / z.S % z.R, s = drs % z.S;
                const int32_t *image = x.q.data() + (n * z.C + group * z.D + d) * z.H * z.W;
                const int64_t weight = w.q[o * z.D * z.R * z.S + drs];
                each_meeting(z, r, s, [&](int64_t p, int64_t q, int64_t h, int64_t v) {
                    sums[p * z.Q + q] += weight * image[h * z.W + v];
                });
            }
            for (int64_t pq = 0; pq < z.P * z.Q; ++pq)
                out[no * z.P * z.Q + pq] = rounded(sums[pq], x.down[n * z.groups + group], w.down[o]);
        }
    });
}

static inline void conv_grad_input_direct(const isobit_call &call, const Geometry &z, const Range &range) {
    const QuantisedImage g = quantise_image(call.inputs[0], z.N * z.groups, range,
                                            [&](int64_t n, int64_t o) { return n * z.groups + o / z.E; });
    const QuantisedImage w =
        quantise_image(call.inputs[1], z.C, range, [&](int64_t o, int64_t d) { return o / z.E * z.D + d; });
    float *out = data_of<float>(*call.output);
    parallel_for(call.threads, z.N * z.C, [&](int64_t begin, int64_t end) {
        std::vector<int64_t> sums(z.H * z.W);
        for (int64_t nc = begin; nc < end; ++nc) {
            const int64_t n = nc / z.C, c = nc % z.C, group = c / z.D, d = c % z.D;
            std::fill(sums.begin(), sums.end(), 0);
            for (int64_t ers = 0; ers < z.E * z.R * z.S; ++ers) {
                const int64_t o = group * z.E + ers / (z.R * z.S), r = ers / z.S % z.R, s = ers % z.S;
                const int32_t *image = g.q.data() + (n * z.O + o) * z.P * z.Q;
                const int64_t weight = w.q[((o * z.D + d) * z.R + r) * z.S + s];
                each_meeting(z, r, s, [&](int64_t p, int64_t q, int64_t h, int64_t v) {
                    sums[h * z.W + v] += weight * image[p * z.Q + q];
                });
            }
            for (int64_t hw = 0; hw < z.H * z.W; ++hw)
                out[nc * z.H * z.W + hw] = rounded(sums[hw], g.down[n * z.groups + group], w.down[c]);
        }
    });
}

static inline void conv_grad_weight_direct(const isobit_call &call, const Geometry &z, const Range &range) {
    const QuantisedImage g = quantise_image(call.inputs[0], z.O, range, [](int64_t, int64_t o) { return o; });
    const QuantisedImage x = quantise_image(call.inputs[1], z.C, range, [](int64_t, int64_t c) { return c; });
    float *out = data_of<float>(*call.output);
    parallel_for(call.threads, z.O * z.D * z.R * z.S, [&](int64_t begin, int64_t end) {
        for (int64_t odrs = begin; odrs < end; ++odrs) {
            const int64_t o = odrs / (z.D * z.R * z.S), d = odrs / (z.R * z.S) % z.D, r = odrs / z.S % z.R,
                          s = odrs % z.S;
            const int64_t c = o / z.E * z.D + d;
            int64_t sum = 0;
            for (int64_t n = 0; n < z.N; ++n) {
                const int32_t *grad = g.q.data() + (n * z.O + o) * z.P * z.Q,
                              *image = x.q.data() + (n * z.C + c) * z.H * z.W;
                each_meeting(z, r, s, [&](int64_t p, int64_t q, int64_t h, int64_t v) {
                    sum += static_cast<int64_t>(grad[p * z.Q + q]) * image[h * z.W + v];
                });
            }
            out[odrs] = rounded(sum, g.down[o], x.down[c]);
        }
    });
}

}  // namespace isobit::ISOBIT_ISA
