// What the gradient of the filters multiplies, as digits: the image and the output's gradient, in portions of K.
#pragma once

#include "amx_digits.h"
#include "conv_operands.h"

namespace isobit::ISOBIT_ISA {

// K is cut into portions of `samples` whole samples, or of `rows` of the gradient's rows of one sample. In K the
// gradient has the image's rows and columns, with zeros where it has no place, so whatever the image holds there adds
// nothing.
struct GradPortions {
    const Geometry &z;
    std::vector<int64_t> taps;             // where each place of the filter meets the image
    DigitImage image;                      // of one portion, without memory
    int64_t samples, rows, pieces, steps;  // pieces: portions of a sample; steps: of a portion

    // rows_at_once: of the image, what fits.
    GradPortions(const Geometry &geometry, int digits, int64_t rows_at_once)
        : z(geometry),
          image{z.N, {z.stride[0], z.stride[1]}, {z.padding[0], z.padding[1]}, 0, 0, 0, 0, 0, digits, nullptr} {
        const bool is_shared = z.stride[0] * z.stride[1] == 1;
        const auto count = [&](int64_t size, int axis) {
            return is_shared ? size + z.padding[axis] : (size + 2 * z.padding[axis] - 1) / z.stride[axis] + 1;
        };
        image.rows = count(z.H, 0), image.columns = count(z.W, 1);
        image.slack = image.low[0] * image.columns + image.low[1];
        rows = image.rows, pieces = 1;
        samples = std::clamp<int64_t>(rows_at_once / image.rows, 1, std::max<int64_t>(z.N, 1));
        if (rows_at_once < image.rows) {
            const int64_t met = std::min(z.P, image.rows);
            pieces = (met + std::max<int64_t>(rows_at_once, 1) - 1) / std::max<int64_t>(rows_at_once, 1);
            rows = (met + pieces - 1) / pieces, pieces = (met + rows - 1) / rows;
            image.rows = rows + (z.R - 1) * z.dilation[0] / z.stride[0] + 1;
            image.slack = image.low[1];
        }
        image.N = samples;
        image.channel_size = DigitImage::padded(z.stride[0] * z.stride[1] * image.phase_size() + STEP);
        steps = (samples * rows * image.columns + STEP - 1) / STEP;
        for (int64_t tap = 0; tap < z.R * z.S; ++tap)
            taps.push_back(image.offset(tap / z.S * z.dilation[0], tap % z.S * z.dilation[1]));
    }
    int64_t count() const { return (z.N + samples - 1) / samples * pieces; }
    int64_t panel_bytes() const { return steps * image.digits * BLOCK_BYTES; }
    // Of the digits of `channels` channels, with what lies past them and is read.
    int64_t image_bytes(int64_t channels) const {
        return (image.digits * channels + SIDE) * image.channel_size + steps * STEP +
               *std::max_element(taps.begin(), taps.end());
    }
};

// One portion of both operands on its way into digits.
struct GradPortion {
    int64_t sample, samples;
    DigitImage image, lines;  // lines: sixteen channels of the gradient
    PlaneRows image_rows, line_rows;

    GradPortion(const GradPortions &portions, int64_t index)
        : sample(index / portions.pieces * portions.samples),
          samples(std::min(portions.samples, portions.z.N - sample)),
          image(moved(portions, index % portions.pieces * portions.rows)),
          lines(lines_of(portions, index % portions.pieces * portions.rows)),
          image_rows(image, portions.z.H, portions.z.W, portions.taps),
          line_rows(lines, portions.z.P, portions.z.Q, {0}) {}

  private:
    static DigitImage moved(const GradPortions &portions, int64_t row) {
        DigitImage image = portions.image;
        image.low[0] -= row * portions.z.stride[0];
        return image;
    }
    static DigitImage lines_of(const GradPortions &portions, int64_t row) {
        DigitImage lines = portions.image;
        lines.step[0] = lines.step[1] = 1, lines.low[0] = -row, lines.low[1] = 0, lines.rows = portions.rows;
        lines.channel_size = DigitImage::padded(portions.steps * STEP + STEP);
        lines.digit_size = SIDE * lines.channel_size;
        return lines;
    }
};

// The largest |x| of a channel, as bits: of all at once where planes are small or all are wanted beforehand, else when
// it is asked for, so that the channel is in a cache when it is quantised.
struct ChannelMaxima {
    const FloatImage &x;
    std::vector<int32_t> known;

    ChannelMaxima(const FloatImage &image, bool all, int threads) : x(image) {
        if (all || x.H * x.W < 4 * LANES) known = middle_maxima(x.x, 1, x.N, x.C, x.H * x.W, threads);
    }
    int32_t of(int64_t c) const {
        if (!known.empty()) return known[c];
        int32_t largest = 0;
        for (int64_t n = 0; n < x.N; ++n)
            largest = std::max(largest, largest_along(x.x + (n * x.C + c) * x.H * x.W, x.H * x.W));
        return largest;
    }
};

// Both operands, and how they become digits.
struct GradSource {
    const FloatImage &g, &x;
    const Range &range;
    const ChannelMaxima g_maxima, x_maxima;

    GradSource(const FloatImage &gradient, const FloatImage &image, const Range &range_, bool all, int threads)
        : g(gradient), x(image), range(range_), g_maxima(g, all, threads), x_maxima(x, all, threads) {}

    Scale scale(const ChannelMaxima &maxima, int64_t c) const {
        return scale_of(static_cast<uint32_t>(maxima.of(c)), range);
    }
    // Channel c of the image, at `out` in the first digit's plane.
    void fill_image(const GradPortion &portion, const DigitImage &image, int64_t c, const Scale &scale,
                    int8_t *out) const {
        fill(x, portion, portion.image_rows, image, c, scale, out);
    }
    // `used` channels of the gradient from `channel` on, a panel of the second operand; scale(i): of each.
    template <class GetScale>
    void fill_panel(const GradPortion &portion, int64_t channel, int used, const GetScale &scale, int64_t steps,
                    int8_t *out) const {
        static thread_local Scratch scratch;
        const DigitImage &lines = portion.lines;
        int8_t *const digits = scratch.get<int8_t>(lines.digits * lines.digit_size);
        for (int i = 0; i < used; ++i)
            fill(g, portion, portion.line_rows, lines, channel + i, scale(i), digits + i * lines.channel_size);
        pack_digit_lines(digits, lines, used, steps, out);
        scratch.release();
    }

  private:
    void fill(const FloatImage &image, const GradPortion &portion, const PlaneRows &rows, const DigitImage &digits,
              int64_t c, const Scale &scale, int8_t *out) const {
        const int64_t plane = image.H * image.W, sample = image.C * plane;
        (range.wide ? fill_channel<3> : fill_channel<2>)(image.x + portion.sample * sample + c * plane, portion.samples,
                                                         sample, plane, rows, scale, digits, out);
    }
};

// The digits of a portion: of channels of the image, and of panels of one group's gradient.
struct GradDigits {
    DigitImage image;  // from channel `channel` on
    int64_t channel, channel_end, panel, panel_end;
    int8_t *packed;  // from panel `panel` on
    bool is_own;     // of one thread, which fills it with one portion after another
};

// The powers of two of lines that are set one by one, by several threads.
struct GradScales {
    std::vector<double> down;
    std::vector<float> moderate_down;
    std::atomic<bool> is_moderate{true};

    explicit GradScales(int64_t lines) : down(lines, 1), moderate_down(lines, 1) {}
    void set(int64_t first, int64_t count, const Scale &scale) {
        std::fill_n(&down[first], count, scale.down);
        std::fill_n(&moderate_down[first], count, scale.moderate_down);
        if (!scale.is_moderate) is_moderate.store(false, std::memory_order_relaxed);
    }
    Scales view() { return {{nullptr, nullptr}, moderate_down.data(), down.data(), is_moderate.load()}; }
};

}  // namespace isobit::ISOBIT_ISA
