// The few lines of a product of many with few, and the sums of a vector of terms with each of them.
#pragma once

#include "product_operand.h"

namespace isobit::ISOBIT_ISA {

constexpr int MOST_FEW = 8;
constexpr int64_t LONGEST_FEW = int64_t{1} << 19;

// The few lines, quantised: [plane][FEW][pairs], the pairs filled up to whole vectors with zeros.
struct FewLines {
    int32_t *q;
    int64_t pairs, padded, interval;  // interval: terms of a lane between two spills
    double down[MOST_FEW];

    const int32_t *line(int plane, int few, int index) const { return q + (plane * few + index) * padded; }
};

template <bool WIDE, int FEW>
struct FewSums {
    static constexpr int PLANES = WIDE ? 3 : 1;
    Ints low[PLANES][FEW], high[PLANES][FEW];

    __attribute__((always_inline)) inline void clear() {
        for (int plane = 0; plane < PLANES; ++plane)
            for (int f = 0; f < FEW; ++f) low[plane][f] = high[plane][f] = zero();
    }

    // Exact: by FewLines.interval, low stays within int32 between two spills.
    __attribute__((always_inline)) inline void add(int plane, int f, Ints pairs, Ints few) {
        low[plane][f] = dot(low[plane][f], pairs, few);
    }

    // high stays below 2^31 for K <= LONGEST_FEW: a lane's sum is at most K * 16383^2 < 2^47, and high its upper part.
    __attribute__((always_inline)) inline void spill() {
        const Ints upper = broadcast(0x10000), mask = broadcast(0xffff);
        for (int plane = 0; plane < PLANES; ++plane)
            for (int f = 0; f < FEW; ++f) {
                high[plane][f] = dot(high[plane][f], low[plane][f], upper);
                low[plane][f] = bit_and(low[plane][f], mask);
            }
    }

    // high * 2^24 + (middle - high - low) * 2^12 + low: wrapping in the parts, right in the whole.
    static int64_t joined(const uint64_t *plane) {
        if (!WIDE) return static_cast<int64_t>(plane[0]);
        return static_cast<int64_t>((plane[0] << 24) + ((plane[2] - plane[0] - plane[1]) << 12) + plane[1]);
    }

    // The sum of all lanes, in int64.
    int64_t total(int f) const {
        uint64_t sum[3] = {};
        for (int plane = 0; plane < PLANES; ++plane) {
            int32_t l[LANES], h[LANES];
            store(l, low[plane][f]), store(h, high[plane][f]);
            int64_t low_sum = 0, high_sum = 0;
            for (int lane = 0; lane < LANES; ++lane) low_sum += l[lane], high_sum += h[lane];
            sum[plane] = (static_cast<uint64_t>(high_sum) << 16) + static_cast<uint64_t>(low_sum);
        }
        return joined(sum);
    }
};

// Whether no lane's sum reaches 2^31 - 2^16 within `interval` terms: 16383 times the sum of |q| over each such window,
// where a lane takes every `step`-th pair.
static inline bool is_safe(const int16_t *q, int64_t padded, int64_t step, int64_t interval) {
    for (int64_t begin = 0; begin < padded; begin += interval * step) {
        const int64_t end = std::min(begin + interval * step, padded);
        if (step == 1) {
            int32_t sum = 0;
            for (int64_t i = 2 * begin; i < 2 * end; ++i) sum += std::abs(static_cast<int32_t>(q[i]));
            if (int64_t{16383} * sum >= 2147418112) return false;
            continue;
        }
        int32_t sums[2 * LANES] = {};
        for (int64_t pair = begin; pair < end; pair += LANES)
            for (int i = 0; i < 2 * LANES; ++i) sums[i] += std::abs(static_cast<int32_t>(q[2 * pair + i]));
        for (int i = 0; i < LANES; ++i)
            if (int64_t{16383} * (sums[2 * i] + sums[2 * i + 1]) >= 2147418112) return false;
    }
    return true;
}

// Narrow: the longest safe interval; 4 always is, 8 * 16383^2 < 2^31 - 2^16. Wide: 128 * 4088^2 is below it too.
template <bool WIDE>
static int64_t few_interval(const FewLines &lines, int64_t count, int few, bool is_along) {
    if (WIDE) return 64;
    for (int64_t interval = 32; interval > 4; interval /= 2) {
        bool all = true;
        for (int64_t i = 0; i < count && all; ++i)
            all = is_safe(reinterpret_cast<const int16_t *>(lines.line(0, few, static_cast<int>(i))), lines.padded,
                          is_along ? LANES : 1, interval);
        if (all) return interval;
    }
    return 4;
}

template <bool WIDE>
static FewLines quantise_few(const View &view, const Range &range, int few, bool is_along, Scratch &scratch) {
    FewLines lines{};
    lines.pairs = (view.K + 1) / 2;
    lines.padded = (lines.pairs + LANES - 1) / LANES * LANES;
    const int planes = WIDE ? 3 : 1;
    lines.q = scratch.get<int32_t>((planes * few + 2) * lines.padded);
    float *copy = reinterpret_cast<float *>(lines.q + planes * few * lines.padded);
    std::memset(lines.q, 0, (planes * few + 2) * lines.padded * sizeof(int32_t));
    for (int64_t i = 0; i < view.lines; ++i) {
        for (int64_t k = 0; k < view.K; ++k) copy[k] = view.x[i * view.line_stride + k * view.k_stride];
        const Scale scale = scale_of(static_cast<uint32_t>(largest_along(copy, view.K)), range);
        lines.down[i] = scale.down;
        const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
        for (int plane = 0; plane < planes; ++plane)
            for (int64_t k = 0; k < lines.padded; k += LANES)
                store(lines.q + (plane * few + i) * lines.padded + k,
                      pack(digit<WIDE>(quantised(load(copy + 2 * k), up0, up1), plane),
                           digit<WIDE>(quantised(load(copy + 2 * k + LANES), up0, up1), plane)));
    }
    lines.interval = few_interval<WIDE>(lines, view.lines, few, is_along);
    return lines;
}

static inline float rounded_sum(int64_t sum, double a_down, double b_down) {
    return static_cast<float>(static_cast<double>(static_cast<float>(sum)) * (a_down * b_down));
}

}  // namespace isobit::ISOBIT_ISA
