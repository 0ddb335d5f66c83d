// The image of a filters' gradient as the first operand of its product, and where the product's tiles go.
#pragma once

#include "amx_digits.h"
#include "amx_multiply.h"

namespace isobit::ISOBIT_ISA {

// A panel of rows: up to sixteen lines, from `line` on by `shared` lines [channel][place] of a filter.
struct GradPanel {
    int64_t line, first, source;  // of a group: its first line, that one's scale, and where it lies in the image
    int place, used;
};

// Panels of one group's image: sixteen channels at one place of the filter, read where they lie, in the order
// [channels / 16][place]; or, where channels are too few to fill them, sixteen of all [channel][place], copied together
// a chunk at a time.
struct GradRows {
    const DigitImage &image;
    const std::vector<int64_t> &taps;  // where each place of the filter meets the image
    int64_t steps, channels;           // of a group
    bool is_copied;
    Scales scales;                    // of all channels; of all lines where they are copied
    std::vector<GradPanel> panels{};  // of any group
    int64_t group = 0;
    int8_t *copy = nullptr;  // copied_bytes of it

    int64_t places() const { return static_cast<int64_t>(taps.size()); }
    int64_t lines() const { return channels * places(); }
    // Panels of rows that share their channels: one for each place, unless they are copied.
    int64_t shared() const { return is_copied ? 1 : places(); }

    void make_panels() {
        for (int64_t first = 0; first < lines() / shared(); first += SIDE)
            for (int64_t place = 0; place < shared(); ++place) {
                const int64_t line = first * shared() + place, left = lines() / shared() - first;
                const int64_t source = line / places() * image.channel_size + taps[line % places()];
                panels.push_back(
                    {line, first, source, static_cast<int>(place), static_cast<int>(std::min<int64_t>(SIDE, left))});
            }
    }
    int used(int64_t panel) const { return panels[panel].used; }
    int64_t first(int64_t panel) const { return group * (lines() / shared()) + panels[panel].first; }

    static int64_t copied_stride(int64_t chunk) { return DigitImage::padded(chunk * STEP); }
    static int64_t copied_bytes(int64_t chunk, int digits) { return digits * SIDE * copied_stride(chunk); }

    TileRows rows(int64_t panel, int64_t begin, int64_t end) const {
        const int8_t *const from = image.data + group * channels * image.channel_size + begin * STEP;
        if (is_copied) return copied_rows(from, panels[panel], end - begin);
        return {from + panels[panel].source, image.channel_size, image.digit_size, STEP};
    }

  private:
    TileRows copied_rows(const int8_t *from, const GradPanel &panel, int64_t count) const {
        const int64_t stride = copied_stride(count);
        for (int i = 0; i < panel.used; ++i) {
            const int64_t line = panel.line + i;
            const int8_t *const at = from + line / places() * image.channel_size + taps[line % places()];
            for (int digit = 0; digit < image.digits; ++digit)
                for (int64_t k = 0; k < count * STEP; k += STEP)
                    _mm512_store_si512(copy + (digit * SIDE + i) * stride + k,
                                       _mm512_loadu_si512(at + digit * image.digit_size + k));
        }
        return {copy, stride, SIDE * stride, STEP};
    }
};

// Takes the tiles of `places` panels of rows, one after another, that are a run of each filter together:
// values[place][row][filter] become out[filter * stride + row * places + place].
struct FilterWriter {
    float *values, *out;
    int64_t places, place, stride;
    int rows, filters;

    void fetch() const {}
    inline __attribute__((always_inline)) void operator()(int row, Floats x) const {
        _mm512_storeu_ps(values + (place * SIDE + row) * SIDE, x);
        if (row + 1 == rows && place + 1 == places) places == 1 ? write_tile() : write_run();
    }

  private:
    static __mmask16 first_of(int64_t count) {
        return static_cast<__mmask16>((1u << std::min<int64_t>(LANES, count)) - 1);
    }
    __attribute__((noinline)) void write_tile() const {
        Ints tile[SIDE];
        for (int i = 0; i < SIDE; ++i) tile[i] = (Ints)load(values + i * SIDE);
        transpose(tile);
        for (int o = 0; o < filters; ++o) _mm512_mask_storeu_epi32(out + o * stride, first_of(rows), tile[o]);
    }
    __attribute__((noinline)) void write_run() const {
        std::vector<int32_t> from(rows * places + LANES);
        for (int64_t row = 0, i = 0; row < rows; ++row)
            for (int64_t at = 0; at < places; ++at, ++i) from[i] = static_cast<int32_t>(at * TILE + row * SIDE);
        for (int o = 0; o < filters; ++o)
            for (int64_t i = 0; i < rows * places; i += LANES) {
                const __mmask16 some = first_of(rows * places - i);
                _mm512_mask_storeu_ps(
                    out + o * stride + i, some,
                    _mm512_mask_i32gather_ps(_mm512_setzero_ps(), some, load(&from[i]), values + o, sizeof(float)));
            }
    }
};

}  // namespace isobit::ISOBIT_ISA
