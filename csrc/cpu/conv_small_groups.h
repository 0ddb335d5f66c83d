// conv and conv_grad_input for groups of few channels: docs/numerics.md, Products.
#pragma once

#include "conv_correlate.h"

namespace isobit::ISOBIT_ISA {

constexpr int64_t MOST_NARROW = 16, MOST_WIDE = 8;  // channels of a group; above, tiles of packed panels are faster

// Whether the kernels below are exact, and worth it: `terms` per output.
static inline bool has_small_groups(const Geometry &z, int64_t terms, const Range &range) {
    const int64_t most = range.wide ? MOST_WIDE : MOST_NARROW;
    return z.groups > 1 && z.D <= most && z.E <= most && (range.wide || terms <= LONGEST_IN_HALVES);
}

// A filter of `runs` runs of `size` floats, `stride` apart: its integers one run after another, and its scale.
static inline Scale quantise_runs(const float *w, int64_t runs, int64_t size, int64_t stride, const Range &range,
                                  int32_t *out) {
    int32_t maximum = 0;
    for (int64_t run = 0; run < runs; ++run) maximum = std::max(maximum, largest_along(w + run * stride, size));
    const Scale scale = scale_of(static_cast<uint32_t>(maximum), range);
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    for (int64_t run = 0; run < runs; ++run, w += stride, out += size)
        for (int64_t i = 0; i < size; i += LANES) {
            const int some = static_cast<int>(std::min<int64_t>(LANES, size - i));
            store(out + i, quantised(load_some(w + i, some), up0, up1));
        }
    return scale;
}

// body(first, outputs) for the outputs of one group in blocks of 4, 2 or 1.
template <class Body>
static void for_each_block(int64_t outputs, const Body &body) {
    for (int64_t first = 0; first < outputs;) {
        const int64_t left = outputs - first;
        const int taken = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        body(first, taken);
        first += taken;
    }
}

// 2^-s of every filter, and their weights in all correlations. quantise(filter, out): its scale and K integers.
template <class Sums, class Quantise>
static std::vector<double> set_filters(std::vector<Correlation<Sums>> &correlations, int64_t groups, int64_t outputs,
                                       int64_t K, const Range &range, int threads, const Quantise &quantise) {
    std::vector<double> downs(groups * outputs);
    for_each_unit(threads, groups, [&](int64_t group) {
        std::vector<int32_t> integers(MOST_OUTPUTS * K + LANES);
        for_each_block(outputs, [&](int64_t e, int count) {
            const int64_t first = group * outputs + e;
            for (int o = 0; o < count; ++o) downs[first + o] = quantise(first + o, integers.data() + o * K).down;
            for (Correlation<Sums> &correlation : correlations)
                correlation.set(first, count, integers.data(), K, range.qmax);
        });
    });
    return downs;
}

// The image of one (sample, group) at a time, in memory of a thread.
template <class Sums>
struct GroupImage {
    using Element = typename Sums::Element;
    PixelImage image;
    Neighbour neighbour;
    std::vector<bool> is_met;  // phases
    int64_t channels, H, W;
    PaddedIntegers integers;

    GroupImage(const PixelImage &image_, Pairing pairing, const TapAxis &rows, const TapAxis &columns,
               int64_t channels_, int64_t H_, int64_t W_)
        : image(image_),
          neighbour(neighbour_of(pairing, rows, columns, image_.step)),
          is_met(image_.step[0] * image_.step[1], false),
          channels(channels_),
          H(H_),
          W(W_),
          integers(image_, neighbour) {}

    int64_t planes() const { return neighbour.planes ? (channels + 1) / 2 : channels; }
    int64_t size() const { return planes() * image.plane(); }
    int64_t integers_size() const { return integers.size(1 + neighbour.planes); }

    // x: [channels, H, W]; the image to `out`, whose padding is 0 and stays so, as does that of the integers.
    void fill(const float *x, const Scale &scale, int32_t *q, Element *out) const {
        const bool is_direct = image.step[0] * image.step[1] == 1 && neighbour.columns == 0;
        for (int64_t channel = 0; channel < channels; channel += 1 + neighbour.planes, out += image.plane()) {
            const float *const first = x + channel * H * W, *const second = first + H * W;
            const bool has_second = neighbour.planes && channel + 1 < channels;
            if (!is_direct)
                fill_by_integers(first, has_second ? second : nullptr, scale, q, out);
            else if (scale.up[1] == 1)
                fill_directly<true>(first, has_second ? second : nullptr, scale, out);
            else
                fill_directly<false>(first, has_second ? second : nullptr, scale, out);
        }
    }

  private:
    // second: the plane that `first` is paired with, or null.
    template <bool PLAIN>
    void fill_directly(const float *first, const float *second, const Scale &scale, Element *out) const {
        const int64_t begin = std::max(-neighbour.rows, -image.low[0]);
        Element *to = out + (image.low[0] + begin) * image.columns + image.low[1];
        for (int64_t h = begin; h < H; ++h, to += image.columns) {
            const int64_t below = h + neighbour.rows;
            const float *const other = second                        ? second + h * W
                                       : neighbour.rows && below < H ? first + below * W
                                                                     : nullptr;
            quantise_row<PLAIN>(h < 0 ? nullptr : first + h * W, other, W, scale, to);
        }
    }
    void fill_by_integers(const float *first, const float *second, const Scale &scale, int32_t *q, Element *out) const {
        quantise_plane(first, H, W, scale, integers, q);
        if (second)  // after the first, which ends with zeros
            quantise_plane(second, H, W, scale, integers, q + integers.plane());
        else if (neighbour.planes)
            std::fill_n(q + integers.plane(), integers.plane(), 0);
        const int64_t away = neighbour.planes * integers.plane() + neighbour.rows * integers.pitch + neighbour.columns;
        lay_out(q, away, integers.pitch, image, is_met, out);
    }
};

// body(unit, scale, image) for the image of every (sample, group) of x, unit = sample * groups + group.
template <class Sums, class Body>
static void for_each_image(const GroupImage<Sums> &image, const float *x, int64_t count, int64_t slack,
                           const Range &range, int threads, const Body &body) {
    using Element = typename Sums::Element;
    const int workers = threads_for(threads, count);
    UnitRuns runs(workers, count);  // planes may be small: neighbours' lines of the result are one thread's
    in_threads(workers, [&](int thread) {
        static thread_local Scratch elements, integers;
        Element *const pixels = elements.get<Element>(image.size() + slack);
        int32_t *const q = integers.get<int32_t>(image.integers_size());
        std::fill_n(pixels, image.size() + slack, Element{0});
        std::fill_n(q, image.integers_size(), 0);
        const int64_t floats = image.channels * image.H * image.W;
        runs.take(thread, [&](int64_t unit) {
            const float *const from = x + unit * floats;
            const Scale scale = scale_of(static_cast<uint32_t>(largest_along(from, floats)), range);
            image.fill(from, scale, q, pixels);
            body(unit, scale, pixels);
        });
        elements.release(), integers.release();
    });
}

static inline PixelImage padded_pixels(const Geometry &z) {
    return {{z.stride[0], z.stride[1]},
            {z.padding[0], z.padding[1]},
            (z.H + 2 * z.padding[0] - 1) / z.stride[0] + 1,
            (z.W + 2 * z.padding[1] - 1) / z.stride[1] + 1};
}

template <class Sums>
static void conv_small_groups(const Geometry &z, const float *x, const float *w, const Range &range, int threads,
                              float *out) {
    const PixelImage pixels = padded_pixels(z);
    const TapAxis rows = tap_axis(z.R, z.stride[0], z.dilation[0]), columns = tap_axis(z.S, z.stride[1], z.dilation[1]);
    const Pairing pairing = Sums::IS_PAIRED ? best_pairing(z.D, rows, columns) : Pairing::NONE;
    GroupImage<Sums> image(pixels, pairing, rows, columns, z.D, z.H, z.W);
    image.is_met = phases_met(rows, columns, pixels);
    std::vector<Correlation<Sums>> correlations{
        {tap_lines(rows, columns, z.D, z.R, z.S, pairing, pixels), z.O, z.E, z.P}};
    const Correlation<Sums> &correlation = correlations[0];
    const int64_t K = z.D * z.R * z.S, places = z.P * z.Q;
    const std::vector<double> downs = set_filters(
        correlations, z.groups, z.E, K, range, threads,
        [&](int64_t filter, int32_t *integers) { return quantise_runs(w + filter * K, 1, K, 0, range, integers); });
    const auto convolve = [&](int64_t unit, const Scale &scale, const typename Sums::Element *from) {
        for_each_block(z.E, [&](int64_t e, int outputs) {
            const int64_t filter = unit % z.groups * z.E + e;
            Down down[MOST_OUTPUTS];
            for (int o = 0; o < outputs; ++o) down[o] = Down(scale.down * downs[filter + o]);
            correlate(correlation, filter, outputs, from, down,
                      {z.P, z.Q, pixels.columns, out + (unit * z.E + e) * places, z.Q, places});
        });
    };
    for_each_image(image, x, z.N * z.groups, slack_of(correlation, pixels.columns), range, threads, convolve);
}

// Rows (or columns) of one phase of a gradient: u * stride + phase - padding is in [0, size) for u in [first, last).
struct PhaseSpan {
    int64_t first, last, at;  // at: the place of u = first

    PhaseSpan(int64_t phase, int64_t stride, int64_t padding, int64_t size)
        : first(least(padding - phase, stride)),
          last(least(size + padding - phase, stride)),
          at(first * stride + phase - padding) {}
    static int64_t least(int64_t low, int64_t stride) { return low > 0 ? (low + stride - 1) / stride : 0; }
    int64_t count() const { return std::max<int64_t>(last - first, 0); }
};

// pixels: the image of one plane of g, as op_conv_grad_input lays it out.
template <class Sums>
static void conv_grad_input_small_groups(const Geometry &z, const PixelImage &pixels, const float *g, const float *w,
                                         const Range &range, int threads, float *out) {
    const TapAxis rows = tap_axis(z.R, z.stride[0], z.dilation[0]), columns = tap_axis(z.S, z.stride[1], z.dilation[1]);
    const Pairing pairing = Sums::IS_PAIRED ? best_pairing(z.E, rows, columns) : Pairing::NONE;
    GroupImage<Sums> image(pixels, pairing, rows, columns, z.E, z.P, z.Q);
    image.is_met[0] = true;
    std::vector<PhaseSpan> down, across;  // of each phase
    for (int64_t a = 0; a < z.stride[0]; ++a) down.emplace_back(a, z.stride[0], z.padding[0], z.H);
    for (int64_t b = 0; b < z.stride[1]; ++b) across.emplace_back(b, z.stride[1], z.padding[1], z.W);
    std::vector<Correlation<Sums>> correlations;
    int64_t slack = 0;
    for (int64_t a = 0; a < z.stride[0]; ++a)
        for (int64_t b = 0; b < z.stride[1]; ++b) {
            const TapLines lines = tap_lines(turned(rows, a, image.image.low[0]), turned(columns, b, pixels.low[1]),
                                             z.E, z.R, z.S, pairing, pixels);
            correlations.emplace_back(lines, z.C, z.D, down[a].count());
            slack = std::max(slack, slack_of(correlations.back(), pixels.columns));
        }
    const int64_t taps = z.R * z.S;
    const std::vector<double> downs =
        set_filters(correlations, z.groups, z.D, z.E * taps, range, threads, [&](int64_t c, int32_t *integers) {
            return quantise_runs(w + (c / z.D * z.E * z.D + c % z.D) * taps, z.E, taps, z.D * taps, range, integers);
        });
    const bool is_strided = z.stride[0] * z.stride[1] > 1;
    const auto convolve = [&](int64_t unit, const Scale &scale, const typename Sums::Element *from) {
        static thread_local Scratch scratch;
        for_each_block(z.D, [&](int64_t d, int outputs) {
            const int64_t c = unit % z.groups * z.D + d;
            Down factors[MOST_OUTPUTS];
            for (int o = 0; o < outputs; ++o) factors[o] = Down(scale.down * downs[c + o]);
            for (size_t phase = 0; phase < correlations.size(); ++phase) {
                const PhaseSpan &u = down[phase / z.stride[1]], &v = across[phase % z.stride[1]];
                const int64_t U = u.count(), V = v.count();
                if (U * V == 0) continue;
                float *const to = out + ((unit * z.D + d) * z.H + u.at) * z.W + v.at;
                OutputPlane plane{U, V, pixels.columns, to, z.W, z.H * z.W};
                if (is_strided)
                    plane.out = scratch.get<float>(outputs * U * V), plane.row_stride = V, plane.output_stride = U * V;
                correlate(correlations[phase], c, outputs, from + u.first * pixels.columns + v.first, factors, plane);
                for (int64_t row = 0; is_strided && row < outputs * U; ++row)
                    for (int64_t i = 0; i < V; ++i)
                        to[row / U * z.H * z.W + row % U * z.stride[0] * z.W + i * z.stride[1]] =
                            plane.out[row * V + i];
            }
        });
        scratch.release();
    };
    for_each_image(image, g, z.N * z.groups, slack, range, threads, convolve);
}

}  // namespace isobit::ISOBIT_ISA
