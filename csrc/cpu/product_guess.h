// Products of many lines that lie side by side with one: their rows are streamed once, for scales that are guessed.
//
// A line's scale is known when all of it has been read. Its first rows nearly tell it: the largest magnitude of the
// whole lies mostly within the next power of two. So the sums are taken for two scales, 2^s and 2^(s - 1), beside the
// maxima; where the scale turns out to be another, the line is multiplied again.
#pragma once

#include "product_band.h"

namespace isobit::ISOBIT_ISA {

constexpr int64_t GUESS_ROWS = 128;  // that the scales are guessed from
constexpr int64_t LEAST_GUESSED = 4 * GUESS_ROWS;
constexpr int64_t GUESSED_LINES = 1024;       // of a band: 512 were read a fifth slower
constexpr int64_t CACHED = int64_t{1} << 18;  // elements: reading a cache twice costs less than two sums

// sums: [scale][plane][low, high][pitch].
struct GuessedBand {
    int64_t pitch;
    int32_t *largest, *sums;
    float *up, *down;  // 2^s and 2^-s, |s| < 60

    GuessedBand(Scratch &scratch, const View &view, const Range &range, int planes) {
        pitch = (view.lines + LANES - 1) / LANES * LANES;
        largest = scratch.get<int32_t>(pitch * (3 + 4 * planes));
        up = reinterpret_cast<float *>(largest + pitch), down = up + pitch;
        sums = largest + 3 * pitch;
        std::memset(largest, 0, pitch * (3 + 4 * planes) * sizeof(int32_t));
        largest_side_by_side(view.x, view.lines, std::min(GUESS_ROWS, view.K), view.k_stride, largest);
        const int32_t least = range.bits + 67;  // the biased exponent where s = 59; 118 above it s = -59
        for (int64_t i = 0; i < pitch; ++i) {
            const int32_t s = range.bits + 126 - std::clamp(largest[i] >> 23, least, least + 118);
            up[i] = float_of(static_cast<uint32_t>(127 + s) << 23);
            down[i] = float_of(static_cast<uint32_t>(127 - s) << 23);
        }
    }

    int32_t *low(int scale, int planes, int plane) const { return sums + 2 * (scale * planes + plane) * pitch; }
};

// Adds the terms of COUNT rows from k on, as add_rows_of_band, for both scales, and their magnitudes; fetches the rows
// that come next. Where a scale is too fine its sums wrap and are not used.
template <bool WIDE, int COUNT>
static void add_guessed_rows(const View &view, int64_t k, const FewLines &few, const GuessedBand &band, bool spills) {
    constexpr int PLANES = WIDE ? 3 : 1, PAIRS = (COUNT + 1) / 2;
    const float *const x = view.x + k * view.k_stride;
    const float *const next = k + 2 * COUNT <= view.K ? x + COUNT * view.k_stride : x;
    const Ints upper = broadcast(0x10000), mask = broadcast(0xffff);
    const Floats half = broadcast(0.5f);
    const auto take = [&](int64_t i, const auto &read) __attribute__((always_inline)) {
        const Floats up = load(band.up + i);
        Ints largest = load(band.largest + i), low[2][PLANES];
        for (int scale = 0; scale < 2; ++scale)
            for (int plane = 0; plane < PLANES; ++plane) low[scale][plane] = load(band.low(scale, PLANES, plane) + i);
        for (int p = 0; p < PAIRS; ++p) {
            Floats v[2];
            for (int r = 0; r < 2; ++r) {
                v[r] = 2 * p + r < COUNT ? read(x + (2 * p + r) * view.k_stride + i) : broadcast(0.0f);
                __builtin_prefetch(next + (2 * p + r < COUNT ? 2 * p + r : 0) * view.k_stride + i, 0, 2);
                largest = maximum(largest, magnitudes(v[r]));
                v[r] = multiply(v[r], up);
            }
            for (int scale = 0; scale < 2; ++scale) {
                const Ints q = nearest(scale ? multiply(v[0], half) : v[0]),
                           r = nearest(scale ? multiply(v[1], half) : v[1]);
                if (!WIDE) {
                    low[scale][0] = dot(low[scale][0], pair(q, r), broadcast(few.line(0, 1, 0)[k / 2 + p]));
                    continue;
                }
                const Ints halves[2] = {halves_of(q), halves_of(r)};
                for (int plane = 0; plane < PLANES; ++plane) {
                    const int32_t *const line = few.line(plane, 1, 0) + k + 2 * p;
                    low[scale][plane] = dot(low[scale][plane], halves[0], broadcast(line[0]));
                    if (COUNT > 1) low[scale][plane] = dot(low[scale][plane], halves[1], broadcast(line[1]));
                }
            }
        }
        store(band.largest + i, largest);
        for (int scale = 0; scale < 2; ++scale)
            for (int plane = 0; plane < PLANES; ++plane) {
                int32_t *const to = band.low(scale, PLANES, plane) + i;
                if (spills) {
                    store(to + band.pitch, dot(load(to + band.pitch), low[scale][plane], upper));
                    low[scale][plane] = bit_and(low[scale][plane], mask);
                }
                store(to, low[scale][plane]);
            }
    };
    int64_t i = 0;
    for (; i + LANES <= view.lines; i += LANES)
        take(i, [](const float *p) __attribute__((always_inline)) { return load(p); });
    const int rest = static_cast<int>(view.lines - i);
    if (rest) take(i, [rest](const float *p) __attribute__((always_inline)) { return load_some(p, rest); });
}

template <bool WIDE>
static void multiply_guessed(const View &view, const Range &range, const FewLines &few, float *out, int64_t line_step) {
    static thread_local Scratch scratch;
    constexpr int PLANES = WIDE ? 3 : 1;
    const GuessedBand band(scratch, view, range, PLANES);
    for_each_rows(view.K, few.interval, [&](auto count, int64_t k, bool spills) {
        add_guessed_rows<WIDE, decltype(count)::value>(view, k, few, band, spills);
    });
    int64_t wrong = 0;  // lines before i whose scale was not guessed
    const auto multiply_again = [&](int64_t end) {
        if (wrong)
            multiply_band<WIDE, 1>({view.x + end - wrong, wrong, view.K, 1, view.k_stride}, range, few, 1,
                                   out + (end - wrong) * line_step, line_step, 0);
        wrong = 0;
    };
    for (int64_t i = 0; i < view.lines; ++i) {
        const Scale scale = scale_of(static_cast<uint32_t>(band.largest[i]), range);
        const double guess = static_cast<double>(band.down[i]);
        const int coarser = scale.down == 2 * guess;
        if (!coarser && scale.down != guess && band.largest[i] != 0) {  // a NaN is not equal; zeros have any scale
            ++wrong;
            continue;
        }
        multiply_again(i);
        uint64_t sums[3] = {};
        for (int plane = 0; plane < PLANES; ++plane)
            sums[plane] = spilled_sum(band.low(coarser, PLANES, plane) + i, band.pitch);
        out[i * line_step] = rounded_sum(total_of_band<WIDE, 1>(sums), scale.down, few.down[0]);
    }
    multiply_again(view.lines);
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
