// The kernel of convolutions of small groups: rows of outputs, sixteen (wide: eight) of each, in registers.
//
// A block is up to 12 rows of one output, as far apart as the taps of a line, so that a row of the image is loaded once
// for all taps that meet it; or 2 to 4 outputs, which share what they load.
#pragma once

#include <utility>

#include "conv_sums.h"
#include "conv_taps.h"

namespace isobit::ISOBIT_ISA {

constexpr int MOST_OUTPUTS = 4, MOST_ROWS = LANES == 16 ? 12 : 8;  // 12 sums: a multiply-add takes 4 cycles on 2 ports
// Of a block of several outputs: their sums, weights and a load fill the registers.
constexpr int rows_of(int outputs) { return LANES == 16 ? 4 : 8 / outputs; }

// One product of filters with an image: its lines in chunks of `taps` taps.
template <class Sums>
struct Correlation {
    using Element = typename Sums::Element;
    int taps;
    int64_t spacing;                   // rows between the taps of a chunk and between the rows of a block
    std::vector<int64_t> offsets;      // of the chunks
    std::vector<int64_t> elements[2];  // [chunk][tap], as in TapLine
    std::vector<Element> weights;      // [block of outputs][chunk][output][tap]
    std::vector<char> spills;          // [first output of a block][chunk]: whether the sums are spilled before it

    // rows: of outputs.
    Correlation(const TapLines &lines, int64_t outputs, int64_t group_outputs, int64_t rows) {
        constexpr int64_t LEAST_ROWS = 4;  // of a block, else its rows are next to each other
        const int64_t longest = lines.longest(), chunks = (longest + Sums::MOST_TAPS - 1) / Sums::MOST_TAPS;
        const bool is_spaced = group_outputs == 1 && rows / lines.spacing >= LEAST_ROWS;
        taps = is_spaced ? static_cast<int>((longest + chunks - 1) / chunks) : 1;
        spacing = is_spaced ? lines.spacing : 1;
        for (const TapLine &line : lines.lines)
            for (int64_t tap = 0; tap < line.count(); tap += taps) {
                offsets.push_back(line.offset + tap * lines.pitch);
                for (int64_t t = tap; t < tap + taps; ++t)
                    for (int half = 0; half < 2; ++half)
                        elements[half].push_back(t < line.count() ? line.elements[half][t] : -1);
            }
        weights.resize(outputs * static_cast<int64_t>(elements[0].size()));
        spills.resize(outputs * count());
    }
    int64_t count() const { return static_cast<int64_t>(offsets.size()); }
    const Element *weights_of(int64_t output) const { return weights.data() + output * count() * taps; }
    const char *spills_of(int64_t output) const { return spills.data() + output * count(); }

    // The weights of a block of outputs from their filters' integers, `size` apart, and where its sums are spilled.
    void set(int64_t first, int outputs, const int32_t *integers, int64_t size, int64_t qmax) {
        int64_t terms[MOST_OUTPUTS] = {};  // sum |weight| since the last spill
        Element *to = weights.data() + first * count() * taps;
        for (int64_t chunk = 0; chunk < count(); ++chunk) {
            int64_t more[MOST_OUTPUTS] = {};
            for (int o = 0; o < outputs; ++o)
                for (int64_t tap = chunk * taps; tap < (chunk + 1) * taps; ++tap) {
                    const auto integer = [&](int half) {
                        const int64_t element = elements[half][tap];
                        return element < 0 ? 0 : integers[o * size + element];
                    };
                    more[o] += std::abs(int64_t{integer(0)}) + std::abs(int64_t{integer(1)});
                    *to++ = Sums::weight(integer(0), integer(1));
                }
            bool is_full = false;
            for (int o = 0; o < outputs; ++o) is_full |= (terms[o] + more[o]) > Sums::LIMIT / qmax;
            for (int o = 0; o < outputs; ++o) terms[o] = is_full ? more[o] : terms[o] + more[o];
            spills[first * count() + chunk] = is_full;
        }
    }
};

// What a kernel is given: where it reads the image and writes rows, `used` of them and `lanes` of each.
template <class Sums>
struct Block {
    const Correlation<Sums> *correlation;
    int64_t output, image_pitch;
    const typename Sums::Element *image;
    const Down *down;  // of each output
    float *out;
    int64_t row_stride, output_stride;
    int used, lanes;
};

template <class Sums, int OUTPUTS, int ROWS, int TAPS>
static void correlate_block(const Block<Sums> &block) {
    using Vector = typename Sums::Vector;
    using Element = typename Sums::Element;
    const Correlation<Sums> &correlation = *block.correlation;
    const Element *weights = correlation.weights_of(block.output);
    const char *const spills = correlation.spills_of(block.output);
    Vector sums[OUTPUTS][ROWS];
    alignas(64) Element high[OUTPUTS][ROWS][Sums::WIDTH];
    bool has_spilled = false;
#pragma GCC unroll 16
    for (int o = 0; o < OUTPUTS; ++o)
#pragma GCC unroll 16
        for (int row = 0; row < ROWS; ++row) sums[o][row] = Sums::zeros();
    const auto spill = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 16
        for (int o = 0; o < OUTPUTS; ++o)
#pragma GCC unroll 16
            for (int row = 0; row < ROWS; ++row) sums[o][row] = Sums::spilled(sums[o][row], high[o][row]);
    };
    for (int64_t chunk = 0; chunk < correlation.count(); ++chunk, weights += OUTPUTS * TAPS) {
        if (spills[chunk]) {
            if (!has_spilled) std::memset(high, 0, sizeof high);
            has_spilled = true;
            spill();
        }
        const Element *from = block.image + correlation.offsets[chunk];
        Vector weight[OUTPUTS][TAPS];
#pragma GCC unroll 16
        for (int o = 0; o < OUTPUTS; ++o)
#pragma GCC unroll 16
            for (int tap = 0; tap < TAPS; ++tap) weight[o][tap] = Sums::everywhere(weights[o * TAPS + tap]);
#pragma GCC unroll 32
        for (int row = 0; row < ROWS + TAPS - 1; ++row, from += block.image_pitch) {
            const Vector pixels = Sums::loaded(from);
#pragma GCC unroll 16
            for (int tap = 0; tap < TAPS; ++tap)
                if (row >= tap && row - tap < ROWS)
#pragma GCC unroll 16
                    for (int o = 0; o < OUTPUTS; ++o)
                        sums[o][row - tap] = Sums::added(sums[o][row - tap], pixels, weight[o][tap]);
        }
    }
    if (has_spilled) spill();
    float *to = block.out;
    const int64_t row_stride = block.row_stride, output_stride = block.output_stride - ROWS * row_stride;
    const int used = block.used, lanes = block.lanes;
#pragma GCC unroll 16
    for (int o = 0; o < OUTPUTS; ++o, to += output_stride) {
        const Down down = block.down[o];
#pragma GCC unroll 16
        for (int row = 0; row < ROWS; ++row, to += row_stride) {
            if (row >= used) continue;
            if (!down.is_short)
                Sums::finish_long(sums[o][row], high[o][row], has_spilled, down, to, lanes);
            else if (has_spilled)
                Sums::store_scaled(Sums::joined(sums[o][row], high[o][row]), down.short_factor, to, lanes);
            else
                Sums::store_scaled(Sums::rounded(sums[o][row]), down.short_factor, to, lanes);
        }
    }
}

template <class Sums>
using BlockKernel = void (*)(const Block<Sums> &);

template <class Sums, int ROWS, int... TAPS>
static BlockKernel<Sums> kernel_of(int taps, std::integer_sequence<int, TAPS...>) {
    static constexpr BlockKernel<Sums> kernels[] = {correlate_block<Sums, 1, ROWS, TAPS + 1>...};
    return kernels[taps - 1];
}

// One output, 4, 8 or MOST_ROWS rows.
template <class Sums>
static BlockKernel<Sums> kernel_of(int taps, int rows) {
    constexpr auto all = std::make_integer_sequence<int, Sums::MOST_TAPS>();
    return rows == 4   ? kernel_of<Sums, 4>(taps, all)
           : rows == 8 ? kernel_of<Sums, 8>(taps, all)
                       : kernel_of<Sums, MOST_ROWS>(taps, all);
}

// Outputs in the plane of an image: `rows` rows of `columns`, the image's `pitch` apart.
struct OutputPlane {
    int64_t rows, columns, pitch;
    float *out;
    int64_t row_stride, output_stride;
};

// A block of outputs [first, first + outputs), of which 1, 2 or 4 are taken at a time.
template <class Sums>
static void correlate(const Correlation<Sums> &correlation, int64_t first, int outputs,
                      const typename Sums::Element *image, const Down *down, const OutputPlane &plane) {
    constexpr int64_t WIDTH = Sums::WIDTH;
    if (plane.rows == 1 && plane.columns > WIDTH) {  // one long row: as many short ones, one after another
        const int64_t whole = plane.columns / WIDTH, rest = plane.columns % WIDTH;
        correlate(correlation, first, outputs, image, down,
                  {whole, WIDTH, WIDTH, plane.out, WIDTH, plane.output_stride});
        if (rest)
            correlate(correlation, first, outputs, image + whole * WIDTH, down,
                      {1, rest, WIDTH, plane.out + whole * WIDTH, WIDTH, plane.output_stride});
        return;
    }
    const int64_t spacing = correlation.spacing;
    for (int64_t column = 0; column < plane.columns; column += WIDTH)
        for (int64_t begin = 0; begin < std::min(spacing, plane.rows); ++begin)
            for (int64_t row = begin; row < plane.rows;) {
                const int64_t left = (plane.rows - row + spacing - 1) / spacing;
                const int rows = outputs > 1 ? rows_of(outputs) : left > 8 ? MOST_ROWS : left > 4 ? 8 : 4;
                const BlockKernel<Sums> kernel = outputs == 4   ? correlate_block<Sums, 4, rows_of(4), 1>
                                                 : outputs == 2 ? correlate_block<Sums, 2, rows_of(2), 1>
                                                                : kernel_of<Sums>(correlation.taps, rows);
                kernel({&correlation, first, spacing * plane.pitch, image + row * plane.pitch + column, down,
                        plane.out + row * plane.row_stride + column, spacing * plane.row_stride, plane.output_stride,
                        static_cast<int>(std::min<int64_t>(rows, left)),
                        static_cast<int>(std::min(WIDTH, plane.columns - column))});
                row += rows * spacing;
            }
}

// Elements past an image that blocks read, for planes of so many columns.
template <class Sums>
static inline int64_t slack_of(const Correlation<Sums> &correlation, int64_t columns) {
    return (MOST_ROWS + Sums::MOST_TAPS) * correlation.spacing * columns + (MOST_ROWS + 2) * LANES;
}

}  // namespace isobit::ISOBIT_ISA
