// Panels: the quantised lines of an operand in the order in which the tile reads them.
//
// A line is a row of a or a column of b. A panel holds the lines of one tile: [pairs][height] int32, where a pair is
// the int16 elements k and k + 1. A narrow operand has one plane of integers; a wide one three, q = high * 2^12 + low
// and high + low. K is cut into chunks, and everything of one chunk lies together.
#pragma once

#include "product_scale.h"
#include "product_tile.h"

namespace isobit::ISOBIT_ISA {

constexpr int64_t NARROW_CHUNK = 512;  // pairs
// |low| <= 2^11, |high| <= 2040: 254 pairs of them sum to less than 2^31 - 2^16, so these planes never spill.
constexpr int64_t WIDE_CHUNK = 254;

struct Layout {
    int64_t lines, pairs, panels, chunk_pairs, chunks, base, extra;
    int height, planes;
    bool is_columns;

    Layout(int64_t lines_, int64_t K, bool wide, bool columns) : lines(lines_), is_columns(columns) {
        planes = wide ? 3 : 1;
        height = columns ? TILE_COLUMNS : TILE_ROWS;
        panels = (lines + height - 1) / height;
        base = panels ? lines / panels : 0;
        extra = panels ? lines % panels : 0;
        pairs = (K + 1) / 2;
        const int64_t longest = wide ? WIDE_CHUNK : NARROW_CHUNK;
        chunks = std::max<int64_t>((pairs + longest - 1) / longest, 1);
        chunk_pairs = (pairs + chunks - 1) / chunks;
        chunks = chunk_pairs ? (pairs + chunk_pairs - 1) / chunk_pairs : 1;
    }

    // Rows are shared out evenly; columns fill every panel, and the last is filled up with zeros.
    int64_t first(int64_t panel) const {
        return is_columns ? panel * TILE_COLUMNS : panel * base + std::min(panel, extra);
    }
    int used(int64_t panel) const {
        return static_cast<int>(is_columns ? std::min<int64_t>(TILE_COLUMNS, lines - panel * TILE_COLUMNS)
                                           : base + (panel < extra));
    }
    int pitch(int64_t panel) const { return is_columns ? TILE_COLUMNS : used(panel); }
    int64_t stored_lines() const { return is_columns ? panels * TILE_COLUMNS : lines; }
    int64_t size_of(int64_t chunk) const { return std::min(chunk_pairs, pairs - chunk * chunk_pairs); }
    int64_t offset(int64_t chunk, int64_t panel) const {
        return (chunk * chunk_pairs * stored_lines() + first(panel) * size_of(chunk)) * planes;
    }
    int64_t stored() const { return pairs * stored_lines() * planes; }
};

// The scales of the lines of an operand, as arrays.
struct Scales {
    float *up[2], *moderate_down;
    double *down;
    bool is_moderate;

    void set(int64_t line, const Scale &scale) {
        up[0][line] = scale.up[0];
        up[1][line] = scale.up[1];
        moderate_down[line] = scale.moderate_down;
        down[line] = scale.down;
    }
};

template <bool WIDE>
ISOBIT_INLINE Ints digit(Ints q, int plane) {
    if (!WIDE) return q;
    const Ints low = subtract(bit_and(add(q, broadcast(2048)), broadcast(4095)), broadcast(2048));
    const Ints high = shift_right<12>(subtract(q, low));
    return plane == 0 ? high : plane == 1 ? low : add(high, low);
}

ISOBIT_INLINE Ints quantised(Floats x, Floats up0, Floats up1) { return nearest(multiply(multiply(x, up0), up1)); }

// Lines that lie side by side in memory: x[k * stride + line], K of them in this chunk.
template <bool WIDE>
static void pack_side_by_side(const float *x, int64_t stride, int64_t K, const Scales &scales, int64_t line, int used,
                              int pitch, int32_t *out) {
    const int64_t pairs = (K + 1) / 2;
    for (int v = 0; v < pitch; v += LANES) {
        const int readable = std::clamp(used - v, 0, LANES), writable = std::min(pitch - v, LANES);
        const Floats up0 = readable ? load_some(scales.up[0] + line + v, readable) : broadcast(0.0f);
        const Floats up1 = readable ? load_some(scales.up[1] + line + v, readable) : broadcast(0.0f);
        const float *at = x + v;
        for (int64_t k = 0; k < pairs; ++k, at += 2 * stride) {
            const Ints even = quantised(load_some(at, readable), up0, up1);
            const Ints odd = 2 * k + 1 < K ? quantised(load_some(at + stride, readable), up0, up1) : zero();
            for (int plane = 0; plane < (WIDE ? 3 : 1); ++plane)
                store_some(out + (plane * pairs + k) * pitch + v,
                           pair(digit<WIDE>(even, plane), digit<WIDE>(odd, plane)), writable);
        }
    }
}

// Lines that lie along memory: x[line * stride + k].
template <bool WIDE>
static void pack_along(const float *x, int64_t stride, int64_t K, const Scales &scales, int64_t line, int used,
                       int pitch, int32_t *out) {
    const int64_t pairs = (K + 1) / 2;
    alignas(64) int32_t q[LANES][2 * LANES];
    for (int v = 0; v < pitch; v += LANES) {
        const int rows = std::clamp(used - v, 0, LANES), writable = std::min(pitch - v, LANES);
        if (WIDE || K % (2 * LANES)) std::memset(q, 0, sizeof q);
        for (int64_t k = 0; k < pairs; k += LANES) {
            const int count = static_cast<int>(std::min<int64_t>(LANES, pairs - k));
            const int first = static_cast<int>(std::min<int64_t>(LANES, K - 2 * k));
            const int second = static_cast<int>(std::clamp<int64_t>(K - 2 * k - LANES, 0, LANES));
            if (!WIDE && second == LANES) {  // whole vectors of one plane go from register to register
                Ints block[LANES];
                for (int i = 0; i < rows; ++i) {
                    const float *at = x + (v + i) * stride + 2 * k;
                    const Floats up0 = broadcast(scales.up[0][line + v + i]),
                                 up1 = broadcast(scales.up[1][line + v + i]);
                    block[i] = pack(quantised(load(at), up0, up1), quantised(load(at + LANES), up0, up1));
                }
                for (int i = rows; i < LANES; ++i) block[i] = zero();
                transpose(block);
                int32_t *to = out + k * pitch + v;
                for (int i = 0; i < LANES; ++i, to += pitch) store_some(to, block[i], writable);
                continue;
            }
            for (int i = 0; i < rows; ++i) {
                const float *at = x + (v + i) * stride + 2 * k;
                const Floats up0 = broadcast(scales.up[0][line + v + i]), up1 = broadcast(scales.up[1][line + v + i]);
                store(q[i], quantised(load_some(at, first), up0, up1));
                store(q[i] + LANES, second ? quantised(load_some(at + LANES, second), up0, up1) : zero());
            }
            for (int plane = 0; plane < (WIDE ? 3 : 1); ++plane) {
                Ints block[LANES];
                for (int i = 0; i < LANES; ++i)
                    block[i] = pack(digit<WIDE>(load(q[i]), plane), digit<WIDE>(load(q[i] + LANES), plane));
                transpose(block);
                int32_t *to = out + (plane * pairs + k) * pitch + v;
                for (int i = 0; i < count; ++i, to += pitch) store_some(to, block[i], writable);
            }
        }
    }
}

}  // namespace isobit::ISOBIT_ISA
