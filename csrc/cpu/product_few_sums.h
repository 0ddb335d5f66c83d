// The few lines of a product of many with few, and the sums of a vector of terms with each of them.
#pragma once

#include "product_operand.h"

namespace isobit::ISOBIT_ISA {

constexpr int MOST_FEW = 8;
constexpr int64_t LONGEST_FEW = int64_t{1} << 19;

// A wide product of lines side by side with one takes the integers of the many as they are, a lane of two int16 each
// (halves_of), and those of the one as the three lanes of lanes_of_one: fewer instructions than three pairs of digits,
// which more lines share. Lines along memory would read too many lanes of the one.
template <bool WIDE, int FEW>
constexpr bool IN_HALVES = WIDE && FEW == 1;

// q = upper * 2^16 + lower as a lane: |upper| <= 128, |lower| <= 2^15.
ISOBIT_INLINE Ints halves_of(Ints q) {
    const Ints offset = broadcast(0x8000);
    return bit_xor(add(q, offset), offset);
}

// What halves are multiplied with, for w = high * 2^12 + low: (low | 0), (high | 16 low), (0 | high), written
// (for lower | for upper). Their sums weigh 1, 2^12 and 2^28: lower low + 2^12 (lower high + 16 upper low) +
// 2^28 upper high = (upper 2^16 + lower) w.
ISOBIT_INLINE Ints lanes_of_one(Ints w, int plane) {
    const Ints low = digit<true>(w, 1), high = digit<true>(w, 0);
    return plane == 0 ? pair(low, zero()) : plane == 1 ? pair(high, shift_left<4>(low)) : pair(zero(), high);
}

// |high| <= 2040, |low| <= 2048: 24 terms of (high | 16 low) sum to less than 2^31 - 2^16.
constexpr int64_t HALVES_INTERVAL = 12;  // pairs
static_assert(2 * HALVES_INTERVAL * (32768 * int64_t{2048} + 128 * 16 * int64_t{2048}) < (int64_t{1} << 31) - 65536);

// The few lines, quantised: [plane][FEW][pairs], the pairs filled up to whole vectors with zeros; in halves a lane an
// integer.
struct FewLines {
    int32_t *q;
    int64_t padded, interval;  // interval: pairs of a lane between two spills
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

    // The same of the lanes of one line.
    static int64_t joined_halves(const uint64_t *plane) {
        return static_cast<int64_t>(plane[0] + (plane[1] << 12) + (plane[2] << 28));
    }

    // The sum of all lanes, in int64.
    int64_t total(int f) const {
        uint64_t sum[3] = {};
        for (int plane = 0; plane < PLANES; ++plane) {
            sum[plane] = (static_cast<uint64_t>(sum_of_lanes(high[plane][f])) << 16) +
                         static_cast<uint64_t>(sum_of_lanes(low[plane][f]));
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
template <bool WIDE, int FEW>
static int64_t few_interval(const FewLines &lines, int64_t count, bool is_along) {
    if (WIDE) return IN_HALVES<WIDE, FEW> && !is_along ? HALVES_INTERVAL : 64;
    for (int64_t interval = 32; interval > 4; interval /= 2) {
        bool all = true;
        for (int64_t i = 0; i < count && all; ++i)
            all = is_safe(reinterpret_cast<const int16_t *>(lines.line(0, FEW, static_cast<int>(i))), lines.padded,
                          is_along ? LANES : 1, interval);
        if (all) return interval;
    }
    return 4;
}

template <bool WIDE, int FEW>
static FewLines quantise_few(const View &view, const Range &range, bool is_along, Scratch &scratch) {
    constexpr int PLANES = WIDE ? 3 : 1, VECTOR = 2 * LANES;
    const int64_t elements = (view.K + VECTOR - 1) / VECTOR * VECTOR;
    const bool in_halves = IN_HALVES<WIDE, FEW> && !is_along;
    FewLines lines{};
    lines.padded = in_halves ? elements : elements / 2;
    const int64_t size = PLANES * FEW * lines.padded;
    lines.q = scratch.get<int32_t>(size + elements);
    float *const copy = reinterpret_cast<float *>(lines.q + size);
    std::memset(lines.q, 0, (size + elements) * sizeof(int32_t));
    for (int64_t i = 0; i < view.lines; ++i) {
        for (int64_t k = 0; k < view.K; ++k) copy[k] = view.x[i * view.line_stride + k * view.k_stride];
        const Scale scale = scale_of(static_cast<uint32_t>(largest_along(copy, view.K)), range);
        lines.down[i] = scale.down;
        const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
        for (int plane = 0; plane < PLANES; ++plane) {
            int32_t *const to = lines.q + (plane * FEW + i) * lines.padded;
            for (int64_t k = 0; k < elements; k += VECTOR) {
                const Ints q = quantised(load(copy + k), up0, up1), r = quantised(load(copy + k + LANES), up0, up1);
                if (in_halves) {
                    store(to + k, lanes_of_one(q, plane)), store(to + k + LANES, lanes_of_one(r, plane));
                    continue;
                }
                const Ints a = digit<WIDE>(q, plane), b = digit<WIDE>(r, plane);
                store(to + k / 2, is_along ? pack_unordered(a, b) : pack(a, b));
            }
        }
    }
    lines.interval = few_interval<WIDE, FEW>(lines, view.lines, is_along);
    return lines;
}

static inline float rounded_sum(int64_t sum, double a_down, double b_down) {
    return static_cast<float>(static_cast<double>(static_cast<float>(sum)) * (a_down * b_down));
}

}  // namespace isobit::ISOBIT_ISA
