// Quantised images as planes of int8 digits, a channel's places one after another: lines of K for AMX, at any shift.
#pragma once

#include "amx_operand.h"
#include "conv_filters.h"
#include "conv_image.h"

namespace isobit::ISOBIT_ISA {

// [digit][channel][phase][n][row][column] int8 of the padded image. Phase (a, b) holds the padded rows and columns with
// remainder (a, b) by `step`. Where both steps are 1, the zeros behind a row (a sample) are those before the next one.
struct DigitImage {
    int64_t N, step[2], low[2], rows, columns, channel_size, digit_size;
    int digits;
    int8_t *data;

    int64_t sample_size() const { return rows * columns; }
    int64_t phase_size() const { return std::max<int64_t>(N * sample_size() + low[0] * columns + low[1], 1); }
    // An odd number of lines of the cache: sixteen channels at one place lie in sixteen sets of the first cache.
    static int64_t padded(int64_t bytes) { return ((bytes + 63) / 64 | 1) * 64; }
    // From the start of a channel to the padded row and column of sample 0.
    int64_t offset(int64_t row, int64_t column) const {
        const int64_t phase = row % step[0] * step[1] + column % step[1];
        return phase * phase_size() + row / step[0] * columns + column / step[1];
    }
};

// The digits of x[i] for i below count, one plane after another; writes up to 63 bytes more in every plane.
template <int DIGITS>
static void quantise_digits(const float *x, int64_t count, const Scale &scale, int8_t *out, int64_t digit_size) {
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    for (int64_t i = 0; i < count; i += STEP) {
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

// The rows of an H x W plane on their way into an image of this geometry, but for those that no place of a filter with
// these taps meets.
static inline std::vector<RowPiece> row_pieces(const DigitImage &image, int64_t H, int64_t W,
                                               const std::vector<int64_t> &taps) {
    std::vector<bool> is_met(image.step[0] * image.step[1]);
    for (const int64_t tap : taps) is_met[tap / image.phase_size()] = true;
    std::vector<RowPiece> pieces;
    for (int64_t h = 0; h < H; ++h)
        for (int64_t w = 0; w < std::min(W, image.step[1]); ++w) {
            const int64_t to = image.offset(h + image.low[0], w + image.low[1]);
            if (is_met[to / image.phase_size()])
                pieces.push_back({h * W + w, to, static_cast<int>((W - w + image.step[1] - 1) / image.step[1])});
        }
    return pieces;
}

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

// One channel of all samples, from planes of `size` floats, `sample` from each other; out: the channel in the first
// digit's plane.
template <int DIGITS>
static void fill_channel(const float *x, int64_t sample, int64_t size, const Scale &scale, const DigitImage &image,
                         const std::vector<RowPiece> &pieces, int8_t *out) {
    static thread_local Scratch scratch;
    const bool is_plain = image.step[0] * image.step[1] == 1 && image.sample_size() == size;  // nothing but the plane
    const int64_t filled = is_plain ? image.N * size : 0, flat = DigitImage::padded(size + STEP);
    int8_t *const digits = scratch.get<int8_t>(DIGITS * flat);
    for (int digit = 0; digit < DIGITS; ++digit)
        std::memset(out + digit * image.digit_size + filled, 0, image.channel_size - filled);
    for (int64_t n = 0; n < image.N; ++n, x += sample, out += image.sample_size()) {
        quantise_digits<DIGITS>(x, size, scale, digits, flat);
        for (int digit = 0; digit < DIGITS; ++digit) {
            int8_t *const to = out + digit * image.digit_size;
            if (is_plain)
                std::memcpy(to, digits + digit * flat, size);
            else
                copy_pieces(pieces, image.step[1], digits + digit * flat, to);
        }
    }
}

// A panel of the second operand from sixteen lines of digits, K of them, at a multiple of 64 bytes from each other.
static inline void pack_digit_lines(const int8_t *lines, int64_t line_size, int64_t digit_size, int used,
                                    const TiledOperand &operand, int64_t panel) {
    int8_t *out = operand.packed + panel * operand.panel_bytes();
    for (int64_t step = 0; step < operand.steps; ++step)
        for (int digit = 0; digit < operand.digits; ++digit, out += BLOCK_BYTES) {
            Ints rows[SIDE];
            for (int i = 0; i < SIDE; ++i)
                rows[i] =
                    i < used ? _mm512_loadu_si512(lines + i * line_size + digit * digit_size + step * STEP) : zero();
            store_block(rows, true, out);
        }
}

}  // namespace isobit::ISOBIT_ISA
