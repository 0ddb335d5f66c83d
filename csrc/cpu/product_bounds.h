// How long a tile may add before it spills: by Cauchy and Schwarz, from the integers that are there.
//
// |sum of a * b over some k| <= |a| |b| over the same k. So each panel keeps, for several window lengths, the largest
// sum of squares of any of its lines over any window of that length; two panels together give the longest safe
// interval.
#pragma once

#include "product_panels.h"

namespace isobit::ISOBIT_ISA {

constexpr int LEVELS = 16, HALVES = 9;
// Pairs in a window. 4 pairs are safe for every narrow integer: 8 * 16383^2 < 2^31 - 2^16.
constexpr int INTERVALS[LEVELS] = {4, 8, 16, 32, 64, 128, 256, 512, 1024, 12, 24, 48, 96, 192, 384, 768};

struct alignas(64) Bounds {
    float squares[LEVELS];  // 0 in a panel that is all zero
};

// The maxima over windows of `step`, 2 * `step`, ... entries, halving `sums` in place.
static inline void window_maxima(float *sums, int64_t count, int step, float *squares, int levels) {
    int64_t windows = 0;
    for (int64_t i = 0; i < count; i += step, ++windows) {
        Floats sum = load(sums + i * LANES);
        for (int64_t j = i + 1; j < std::min(i + step, count); ++j) sum = add(sum, load(sums + j * LANES));
        store(sums + windows * LANES, sum);
    }
    bool is_whole = false;  // one window holds all, and has been looked at
    for (int level = 0; level < levels; ++level) {
        if (is_whole) {
            squares[level] = squares[level - 1];
            continue;
        }
        Floats largest = broadcast(0.0f);
        for (int64_t i = 0; i < windows; ++i) largest = maximum(largest, load(sums + i * LANES));
        squares[level] = std::max(squares[level], largest_lane(largest));
        for (int64_t i = 0; i < windows / 2; ++i)
            store(sums + i * LANES, add(load(sums + 2 * i * LANES), load(sums + (2 * i + 1) * LANES)));
        if (windows % 2) store(sums + windows / 2 * LANES, load(sums + (windows - 1) * LANES));
        is_whole = windows == 1;
        windows = (windows + 1) / 2;
    }
}

// panel: [pairs][pitch], narrow. The sums of squares of 4 pairs fit int32.
static inline void bound_panel(const int32_t *panel, int64_t pairs, int used, int pitch, Bounds &bounds) {
    alignas(64) float sums[(NARROW_CHUNK / 4 + 1) * LANES], copy[(NARROW_CHUNK / 4 + 1) * LANES];
    const int64_t blocks = (pairs + 3) / 4;
    std::memset(&bounds, 0, sizeof bounds);
    for (int v = 0; v < used; v += LANES) {
        const int readable = std::min(pitch - v, LANES);
        for (int64_t block = 0; block < blocks; ++block) {
            Ints sum = zero();
            for (int64_t k = 4 * block; k < std::min(4 * block + 4, pairs); ++k) {
                const Ints q = load_some(panel + k * pitch + v, readable);
                sum = dot(sum, q, q);
            }
            store(sums + block * LANES, to_floats(sum));
        }
        std::memcpy(copy, sums, sizeof(float) * LANES * blocks);
        window_maxima(sums, blocks, 1, bounds.squares, HALVES);
        window_maxima(copy, blocks, 3, bounds.squares + HALVES, LEVELS - HALVES);
    }
}

// The longest interval, in pairs, with |sum| < 2^31 - 2^16; a part in 1000 is left for the rounding of the bounds.
static inline int64_t safe_interval(const Bounds &a, const Bounds &b) {
    constexpr float LIMIT = 0.999f * 2147418112.0f * 2147418112.0f;
    int interval = INTERVALS[0];
    for (int level = 0; level < LEVELS; ++level)
        interval = std::max(interval, a.squares[level] * b.squares[level] < LIMIT ? INTERVALS[level] : 0);
    return interval;
}

}  // namespace isobit::ISOBIT_ISA
