// The image of a filters' gradient as the first operand of its product, and where the product's tiles go.
#pragma once

#include "amx_grad_portions.h"
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
    const GradSource &source;
    const GradPortions &portions;
    bool is_copied;
    int64_t steps, group = 0;
    Scales scales{};                  // of all channels; of all lines where they are copied
    std::vector<GradPanel> panels{};  // of any group
    GradDigits digits{};
    int8_t *copy = nullptr;  // copied_bytes of it

    int64_t places() const { return static_cast<int64_t>(portions.taps.size()); }
    int64_t lines() const { return portions.z.D * places(); }
    // Panels of rows that share their channels: one for each place, unless they are copied.
    int64_t shared() const { return is_copied ? 1 : places(); }

    GradRows(const GradSource &source_, const GradPortions &portions_, bool copied)
        : source(source_), portions(portions_), is_copied(copied), steps(portions.count() * portions.steps) {
        for (int64_t first = 0; first < lines() / shared(); first += SIDE)
            for (int64_t place = 0; place < shared(); ++place) {
                const int64_t line = first * shared() + place, left = lines() / shared() - first;
                const int64_t at = line / places() * portions.image.channel_size + portions.taps[line % places()];
                panels.push_back(
                    {line, first, at, static_cast<int>(place), static_cast<int>(std::min<int64_t>(SIDE, left))});
            }
    }
    int used(int64_t panel) const { return panels[panel].used; }
    int64_t first(int64_t panel) const { return group * (lines() / shared()) + panels[panel].first; }

    int64_t chunk_end(int64_t begin) const {
        const int64_t portion = begin / portions.steps * portions.steps;
        return std::min({begin + chunk(), portion + portions.steps, steps});
    }
    void open(int64_t begin) const {
        if (!digits.is_own || begin % portions.steps || begin >= steps) return;
        const GradPortion portion(portions, begin / portions.steps);
        for (int64_t c = digits.channel; c < digits.channel_end; ++c)
            source.fill_image(portion, digits.image, c, source.scale(source.x_maxima, c),
                              digits.image.data + (c - digits.channel) * digits.image.channel_size);
        for (int64_t panel = digits.panel; panel < digits.panel_end; ++panel) {
            const int64_t first = group * portions.z.E + panel * SIDE;
            source.fill_panel(
                portion, first, used_filters(panel), [&](int i) { return source.scale(source.g_maxima, first + i); },
                portions.steps, digits.packed + (panel - digits.panel) * portions.panel_bytes());
        }
    }
    int used_filters(int64_t panel) const {
        return static_cast<int>(std::min<int64_t>(SIDE, portions.z.E - panel * SIDE));
    }
    TileColumns columns(int64_t panel, int64_t begin) const {
        const int64_t bytes = portions.panel_bytes();
        return {digits.packed + (panel - digits.panel) * bytes +
                    begin % portions.steps * portions.image.digits * BLOCK_BYTES,
                bytes};
    }

    int64_t chunk() const { return chunk_steps(portions.steps, portions.image.digits == 3); }
    int64_t copied_stride() const { return DigitImage::padded(chunk() * STEP); }
    int64_t copied_bytes() const { return portions.image.digits * SIDE * copied_stride(); }

    TileRows rows(int64_t panel, int64_t begin, int64_t end) const {
        const int64_t channel = group * portions.z.D - digits.channel;
        const int8_t *const from =
            digits.image.data + channel * digits.image.channel_size + begin % portions.steps * STEP;
        if (is_copied) return copied_rows(from, panels[panel], end - begin);
        return {from + panels[panel].source, digits.image.channel_size, digits.image.digit_size, STEP};
    }

  private:
    TileRows copied_rows(const int8_t *from, const GradPanel &panel, int64_t count) const {
        const DigitImage &image = digits.image;
        const int64_t stride = copied_stride();
        for (int i = 0; i < panel.used; ++i) {
            const int64_t line = panel.line + i;
            const int8_t *const at = from + line / places() * image.channel_size + portions.taps[line % places()];
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
