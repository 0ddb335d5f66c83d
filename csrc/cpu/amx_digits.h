// Quantised images as planes of int8 digits, a channel's places one after another: lines of K for AMX, at any shift.
#pragma once

#include "amx_operand.h"
#include "conv_filters.h"
#include "conv_image.h"

namespace isobit::ISOBIT_ISA {

// [digit][channel][phase][n][row][column] int8 of the padded image. Phase (a, b) holds the padded rows and columns with
// remainder (a, b) by `step`. Where both steps are 1, the zeros behind a row (a sample) are those before the next one:
// `slack` of them follow the last one. low: the padding before row 0 and column 0; below 0 where rows are left out.
struct DigitImage {
    int64_t N, step[2], low[2], rows, columns, slack, channel_size, digit_size;
    int digits;
    int8_t *data;

    int64_t sample_size() const { return rows * columns; }
    int64_t phase_size() const { return std::max<int64_t>(N * sample_size() + slack, 1); }
    // An odd number of lines of the cache: sixteen channels at one place lie in sixteen sets of the first cache.
    static int64_t padded(int64_t bytes) { return ((bytes + 63) / 64 | 1) * 64; }
    // From the start of a channel to the padded row and column of sample 0.
    int64_t offset(int64_t row, int64_t column) const {
        const int64_t phase = row % step[0] * step[1] + column % step[1];
        return phase * phase_size() + row / step[0] * columns + column / step[1];
    }
};

// The digits of x[i] for i below count, one plane after another; writes up to 63 bytes more in every plane. Fetches
// what lies `ahead` floats further on.
template <int DIGITS>
static void quantise_digits(const float *x, int64_t count, int64_t ahead, const Scale &scale, int8_t *out,
                            int64_t digit_size) {
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    for (int64_t i = 0; i < count; i += STEP) {
        for (int v = 0; v < 4; ++v) __builtin_prefetch(x + i + ahead + v * LANES);
        Ints q[4], split[3];
        if (count - i >= STEP) {
            for (int v = 0; v < 4; ++v) q[v] = quantised(load(x + i + v * LANES), up0, up1);
        } else {
            for (int v = 0; v < 4; ++v) {
                const int some = static_cast<int>(std::clamp<int64_t>(count - i - v * LANES, 0, LANES));
                q[v] = some ? quantised(load_some(x + i + v * LANES, some), up0, up1) : zero();
            }
        }
        split_along<DIGITS>(q, split);
        for (int digit = 0; digit < DIGITS; ++digit) _mm512_storeu_si512(out + digit * digit_size + i, split[digit]);
    }
}

// A row of a plane, or every `step`th place of it, and where in a channel it goes.
struct RowPiece {
    int64_t from, to;
    int count;
};

// Rows [first, end) of a plane, W wide, on their way into an image.
struct PlaneRows {
    int64_t W, first, end;
    std::vector<RowPiece> pieces;

    // Those of H rows that the image has room for, but for those that no place of a filter with these taps meets.
    PlaneRows(const DigitImage &image, int64_t H, int64_t width, const std::vector<int64_t> &taps)
        : W(width),
          first(std::clamp<int64_t>(-image.low[0], 0, H)),
          end(std::clamp<int64_t>(image.rows * image.step[0] - image.low[0], first, H)) {
        std::vector<bool> is_met(image.step[0] * image.step[1]);
        for (const int64_t tap : taps) is_met[tap / image.phase_size()] = true;
        for (int64_t h = first; h < end; ++h)
            for (int64_t w = 0; w < std::min(W, image.step[1]); ++w) {
                const int64_t to = image.offset(h + image.low[0], w + image.low[1]);
                const int64_t all = (W - w + image.step[1] - 1) / image.step[1],
                              room = image.columns - (w + image.low[1]) / image.step[1];
                if (is_met[to / image.phase_size()])
                    pieces.push_back({(h - first) * W + w, to, static_cast<int>(std::min(all, room))});
            }
    }
    int64_t size() const { return (end - first) * W; }
    // Whether the image is nothing but these rows, sample by sample.
    bool are_all(const DigitImage &image) const {
        return image.step[0] * image.step[1] == 1 && image.sample_size() == size() && image.columns == W &&
               first == -image.low[0] && image.low[1] == 0;
    }
};

// Copies the pieces of one plane of digits.
template <int STEP>
static inline void copy_pieces(const std::vector<RowPiece> &pieces, const int8_t *plane, int8_t *out) {
    for (const RowPiece &piece : pieces)
        for (int i = 0; i < piece.count; i += 32) {
            const __mmask32 some = ~uint32_t{0} >> (32 - std::min(32, piece.count - i));
            const int8_t *const from = plane + piece.from + i * STEP;
            const __m256i bytes = STEP == 1 ? _mm256_maskz_loadu_epi8(some, from)
                                            : _mm512_cvtepi16_epi8(_mm512_maskz_loadu_epi16(some, from));
            _mm256_mask_storeu_epi8(out + piece.to + i, some, bytes);
        }
}

static inline void copy_pieces(const std::vector<RowPiece> &pieces, int64_t step, const int8_t *plane, int8_t *out) {
    if (step == 1) return copy_pieces<1>(pieces, plane, out);
    if (step == 2) return copy_pieces<2>(pieces, plane, out);
    for (const RowPiece &piece : pieces)
        for (int i = 0; i < piece.count; ++i) out[piece.to + i] = plane[piece.from + i * step];
}

// One channel of `samples` samples, x being the first one's plane and `sample` floats from each to the next; out: the
// channel in the first digit's plane.
template <int DIGITS>
static void fill_channel(const float *x, int64_t samples, int64_t sample, int64_t ahead, const PlaneRows &plane,
                         const Scale &scale, const DigitImage &image, int8_t *out) {
    static thread_local Scratch scratch;
    const bool is_plain = plane.are_all(image);
    const int64_t size = plane.size(), filled = is_plain ? samples * size : 0, flat = DigitImage::padded(size + STEP);
    int8_t *const digits = is_plain ? nullptr : scratch.get<int8_t>(DIGITS * flat);
    for (int digit = 0; digit < DIGITS; ++digit)
        std::memset(out + digit * image.digit_size + filled, 0, image.channel_size - filled);
    x += plane.first * plane.W;
    for (int64_t n = 0; n < samples; ++n, x += sample, out += image.sample_size()) {
        if (is_plain) {
            quantise_digits<DIGITS>(x, size, ahead, scale, out, image.digit_size);
            continue;
        }
        quantise_digits<DIGITS>(x, size, ahead, scale, digits, flat);
        for (int digit = 0; digit < DIGITS; ++digit)
            copy_pieces(plane.pieces, image.step[1], digits + digit * flat, out + digit * image.digit_size);
    }
}

// A panel of the second operand from up to sixteen lines of digits, `steps` steps of K.
static inline void pack_digit_lines(const int8_t *digits, const DigitImage &lines, int used, int64_t steps,
                                    int8_t *out) {
    for (int64_t step = 0; step < steps; ++step)
        for (int digit = 0; digit < lines.digits; ++digit, out += BLOCK_BYTES) {
            Ints rows[SIDE];
            for (int i = 0; i < SIDE; ++i)
                rows[i] =
                    i < used
                        ? _mm512_load_si512(digits + i * lines.channel_size + digit * lines.digit_size + step * STEP)
                        : zero();
            store_block(rows, true, out);
        }
}

}  // namespace isobit::ISOBIT_ISA
