// The elements of a small group's filter in the order in which its image is read: lines of taps, equally far apart.
#pragma once

#include "conv_pixels.h"

namespace isobit::ISOBIT_ISA {

// Elements of a filter along one axis that meet every `distance`th row (column) of one phase, from `start` on.
struct Progression {
    int64_t phase, start;
    std::vector<int64_t> elements;

    int64_t count() const { return static_cast<int64_t>(elements.size()); }
};

struct TapAxis {
    int64_t distance;
    std::vector<Progression> progressions;

    // In pairs of neighbours, or each by itself.
    int64_t count(bool in_pairs) const {
        int64_t sum = 0;
        for (const Progression &p : progressions) sum += in_pairs ? (p.count() + 1) / 2 : p.count();
        return sum;
    }
};

static inline int64_t common_divisor(int64_t a, int64_t b) {
    for (int64_t rest; b; a = b, b = rest) rest = a % b;
    return a;
}

// Element r meets row p * stride + r * dilation of the padded image: row p + r * dilation / stride of a phase.
static inline TapAxis tap_axis(int64_t size, int64_t stride, int64_t dilation) {
    const int64_t shared = common_divisor(stride, dilation), apart = stride / shared;
    TapAxis axis{dilation / shared, {}};
    for (int64_t first = 0; first < std::min(apart, size); ++first) {
        axis.progressions.push_back({first * dilation % stride, first * dilation / stride, {}});
        for (int64_t r = first; r < size; r += apart) axis.progressions.back().elements.push_back(r);
    }
    return axis;
}

// For the gradient: the elements whose places lie in one phase of the result, the last one first, with `low` rows
// before row 0.
static inline TapAxis turned(const TapAxis &axis, int64_t phase, int64_t low) {
    TapAxis result{axis.distance, {}};
    for (const Progression &p : axis.progressions)
        if (p.phase == phase)
            result.progressions.push_back(
                {0, low - p.start - (p.count() - 1) * axis.distance, {p.elements.rbegin(), p.elements.rend()}});
    return result;
}

// Which two integers lie in one element of an image: those of neighbouring channels, or of neighbouring taps.
enum class Pairing { NONE, CHANNELS, ROWS, COLUMNS };

// The one that wastes least.
static inline Pairing best_pairing(int64_t channels, const TapAxis &rows, const TapAxis &columns) {
    if (channels > 1) return Pairing::CHANNELS;
    const int64_t in_rows = rows.count(true) * columns.count(false),
                  in_columns = rows.count(false) * columns.count(true);
    return in_rows <= in_columns ? Pairing::ROWS : Pairing::COLUMNS;
}

static inline Neighbour neighbour_of(Pairing pairing, const TapAxis &rows, const TapAxis &columns,
                                     const int64_t *step) {
    const auto away = [](const TapAxis &axis, int64_t step) {
        return axis.count(true) < axis.count(false) ? axis.distance * step : 0;
    };
    return {pairing == Pairing::CHANNELS, pairing == Pairing::ROWS ? away(rows, step[0]) : 0,
            pairing == Pairing::COLUMNS ? away(columns, step[1]) : 0};
}

// Taps of one line, from an offset in the image on: the elements of the filter [channel][R][S] that the first and the
// second integer of a pair meet, or -1.
struct TapLine {
    int64_t offset;
    std::vector<int64_t> elements[2];

    int64_t count() const { return static_cast<int64_t>(elements[0].size()); }
};

struct TapLines {
    std::vector<TapLine> lines;
    int64_t spacing, pitch;  // from one tap to the next, in rows and in elements

    int64_t longest() const {
        int64_t most = 1;
        for (const TapLine &line : lines) most = std::max(most, line.count());
        return most;
    }
};

// The lines of a filter of R x S elements and so many channels.
static inline TapLines tap_lines(const TapAxis &rows, const TapAxis &columns, int64_t channels, int64_t R, int64_t S,
                                 Pairing pairing, const PixelImage &image) {
    const int64_t by_channels = pairing == Pairing::CHANNELS ? 2 : 1, by_rows = pairing == Pairing::ROWS ? 2 : 1,
                  by_columns = pairing == Pairing::COLUMNS ? 2 : 1;
    TapLines result{{}, rows.distance * by_rows, rows.distance * by_rows * image.columns};
    const auto add = [&](int64_t channel, const Progression &down, const Progression &across, int64_t column) {
        const int64_t plane = channel / by_channels * image.plane(), phase = down.phase * image.step[1] + across.phase;
        TapLine line{
            plane + phase * image.phase_size() + down.start * image.columns + across.start + column * columns.distance,
            {}};
        const auto element = [&](int64_t c, int64_t row, int64_t s) {
            return c < channels && row < down.count() && s < across.count()
                       ? (c * R + down.elements[row]) * S + across.elements[s]
                       : -1;
        };
        for (int64_t row = 0; row < down.count(); row += by_rows) {
            line.elements[0].push_back(element(channel, row, column));
            line.elements[1].push_back(pairing == Pairing::NONE ? -1
                                                                : element(channel + by_channels - 1, row + by_rows - 1,
                                                                          column + by_columns - 1));
        }
        result.lines.push_back(line);
    };
    for (int64_t channel = 0; channel < channels; channel += by_channels)
        for (const Progression &across : columns.progressions)
            for (int64_t column = 0; column < across.count(); column += by_columns)
                for (const Progression &down : rows.progressions) add(channel, down, across, column);
    return result;
}

// The phases of an image that taps along both axes meet.
static inline std::vector<bool> phases_met(const TapAxis &rows, const TapAxis &columns, const PixelImage &image) {
    std::vector<bool> is_met(image.step[0] * image.step[1]);
    for (const Progression &down : rows.progressions)
        for (const Progression &across : columns.progressions) is_met[down.phase * image.step[1] + across.phase] = true;
    return is_met;
}

}  // namespace isobit::ISOBIT_ISA
