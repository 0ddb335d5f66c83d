// Products of many lines with few: each of the many is read twice while it is in the cache, and never packed.
#pragma once

#include "product_operand.h"

namespace isobit::ISOBIT_ISA {

constexpr int MOST_FEW = 8;

// The few lines, quantised: [plane][FEW][pairs], the pairs filled up to whole vectors with zeros.
struct FewLines {
    int32_t *q;
    int64_t pairs, padded;
    double down[MOST_FEW];

    const int32_t *line(int plane, int few, int index) const { return q + (plane * few + index) * padded; }
};

template <bool WIDE, int FEW>
struct FewSums {
    static constexpr int PLANES = WIDE ? 3 : 1;
    // Terms of a lane between two spills: 8 * 16383^2 and 128 * 4088^2 are below 2^31 - 2^16.
    static constexpr int64_t INTERVAL = WIDE ? 64 : 4;
    Ints low[PLANES][FEW], high[PLANES][FEW];

    __attribute__((always_inline)) inline void clear() {
        for (int plane = 0; plane < PLANES; ++plane)
            for (int f = 0; f < FEW; ++f) low[plane][f] = high[plane][f] = zero();
    }

    __attribute__((always_inline)) inline void spill() {
        const Ints upper = broadcast(0x10000), mask = broadcast(0xffff);
        for (int plane = 0; plane < PLANES; ++plane)
            for (int f = 0; f < FEW; ++f) {
                high[plane][f] = dot(high[plane][f], low[plane][f], upper);
                low[plane][f] = bit_and(low[plane][f], mask);
            }
    }

    // The sums of the lanes, one by one; wrapping in the parts, right in the whole.
    void totals(int f, int64_t *lanes) const {
        int32_t l[PLANES][LANES], h[PLANES][LANES];
        for (int plane = 0; plane < PLANES; ++plane) {
            store(l[plane], low[plane][f]);
            store(h[plane], high[plane][f]);
        }
        for (int lane = 0; lane < LANES; ++lane) {
            uint64_t sum[3] = {};
            for (int plane = 0; plane < PLANES; ++plane)
                sum[plane] = (static_cast<uint64_t>(static_cast<int64_t>(h[plane][lane])) << 16) +
                             static_cast<uint64_t>(static_cast<int64_t>(l[plane][lane]));
            lanes[lane] = static_cast<int64_t>(WIDE ? (sum[0] << 24) + ((sum[2] - sum[0] - sum[1]) << 12) + sum[1] : sum[0]);
        }
    }
};

template <bool WIDE>
static FewLines quantise_few(const View &view, const Range &range, int few, Scratch &scratch) {
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
    return lines;
}

static inline float rounded_sum(int64_t sum, double a_down, double b_down) {
    return static_cast<float>(static_cast<double>(static_cast<float>(sum)) * (a_down * b_down));
}

// One line that lies along memory, with each of the few.
template <bool WIDE, int FEW>
static void multiply_along(const float *x, int64_t K, const Range &range, const FewLines &few, int used, float *out, int64_t step) {
    const Scale scale = scale_of(static_cast<uint32_t>(largest_along(x, K)), range);
    const Floats up0 = broadcast(scale.up[0]), up1 = broadcast(scale.up[1]);
    FewSums<WIDE, FEW> sums;
    sums.clear();
    int64_t since = 0;
    for (int64_t k = 0; k < K; k += 2 * LANES) {
        const int first = static_cast<int>(std::min<int64_t>(LANES, K - k));
        const int second = static_cast<int>(std::clamp<int64_t>(K - k - LANES, 0, LANES));
        const bool is_whole = second == LANES;
        const Ints q = quantised(is_whole ? load(x + k) : load_some(x + k, first), up0, up1);
        const Ints r = is_whole ? quantised(load(x + k + LANES), up0, up1)
                                : second ? quantised(load_some(x + k + LANES, second), up0, up1) : zero();
        for (int plane = 0; plane < (WIDE ? 3 : 1); ++plane) {
            const Ints pairs = pack(digit<WIDE>(q, plane), digit<WIDE>(r, plane));
            for (int f = 0; f < FEW; ++f) sums.low[plane][f] = dot(sums.low[plane][f], pairs, load(few.line(plane, FEW, f) + k / 2));
        }
        if (++since == sums.INTERVAL) sums.spill(), since = 0;
    }
    for (int f = 0; f < used; ++f) {
        int64_t lanes[LANES], total = 0;
        sums.totals(f, lanes);
        for (int lane = 0; lane < LANES; ++lane) total = static_cast<int64_t>(static_cast<uint64_t>(total) + static_cast<uint64_t>(lanes[lane]));
        out[f * step] = rounded_sum(total, scale.down, few.down[f]);
    }
}

// Up to LANES lines that lie side by side, with each of the few.
template <bool WIDE, int FEW>
static void multiply_side_by_side(const float *x, int64_t stride, int64_t K, int count, const Scales &scales, const FewLines &few,
                                  int used, float *out, int64_t line_step, int64_t step) {
    const Floats up0 = load(scales.up[0]), up1 = load(scales.up[1]);
    FewSums<WIDE, FEW> sums;
    sums.clear();
    int64_t since = 0;
    for (int64_t k = 0; k < few.pairs; ++k, x += 2 * stride) {
        const Ints q = quantised(load_some(x, count), up0, up1);
        const Ints r = 2 * k + 1 < K ? quantised(load_some(x + stride, count), up0, up1) : zero();
        for (int plane = 0; plane < (WIDE ? 3 : 1); ++plane) {
            const Ints pairs = pair(digit<WIDE>(q, plane), digit<WIDE>(r, plane));
            for (int f = 0; f < FEW; ++f)
                sums.low[plane][f] = dot(sums.low[plane][f], pairs, broadcast(few.line(plane, FEW, f)[k]));
        }
        if (++since == sums.INTERVAL) sums.spill(), since = 0;
    }
    for (int f = 0; f < used; ++f) {
        int64_t lanes[LANES];
        sums.totals(f, lanes);
        for (int i = 0; i < count; ++i) out[i * line_step + f * step] = rounded_sum(lanes[i], scales.down[i], few.down[f]);
    }
}

// out[line * line_step + index * step] for the many lines and the few of index.
template <bool WIDE, int FEW>
static void multiply_few(const View &many, const View &few_view, const Range &range, float *out, int64_t line_step, int64_t step,
                         int threads) {
    static thread_local Scratch scratch;
    const FewLines few = quantise_few<WIDE>(few_view, range, FEW, scratch);
    const int used = static_cast<int>(few_view.lines);
    constexpr int64_t STRIP = 64;  // lines
    for_each_unit(threads, (many.lines + STRIP - 1) / STRIP, [&](int64_t unit) {
        const int64_t begin = unit * STRIP, end = std::min(begin + STRIP, many.lines);
        if (many.is_along()) {
            for (int64_t line = begin; line < end; ++line)
                multiply_along<WIDE, FEW>(many.x + line * many.line_stride, many.K, range, few, used, out + line * line_step, step);
            return;
        }
        float up0[STRIP] = {}, up1[STRIP] = {}, moderate[STRIP];
        double down[STRIP];
        Scales scales{{up0, up1}, moderate, down, true};
        const View strip{many.x + begin, end - begin, many.K, 1, many.k_stride};
        scale_lines(strip, 0, end - begin, range, scales, nullptr);
        for (int64_t v = 0; v < end - begin; v += LANES)
            multiply_side_by_side<WIDE, FEW>(strip.x + v, many.k_stride, many.K, static_cast<int>(std::min<int64_t>(LANES, end - begin - v)),
                                             {{up0 + v, up1 + v}, moderate + v, down + v, true}, few, used,
                                             out + (begin + v) * line_step, line_step, step);
    });
    scratch.release();
}

static inline void multiply_few(const View &many, const View &few, const Range &range, float *out, int64_t line_step, int64_t step,
                                int threads) {
    const auto choose = [&](auto count) {
        constexpr int FEW = decltype(count)::value;
        range.wide ? multiply_few<true, FEW>(many, few, range, out, line_step, step, threads)
                   : multiply_few<false, FEW>(many, few, range, out, line_step, step, threads);
    };
    if (few.lines == 1) return choose(std::integral_constant<int, 1>());
    if (few.lines <= 4) return choose(std::integral_constant<int, 4>());
    choose(std::integral_constant<int, MOST_FEW>());
}

}  // namespace isobit::ISOBIT_ISA
