// A matrix on its way into a product: scanned for its scales, quantised and packed into panels, strip by strip.
#pragma once

#include "product_bounds.h"
#include "product_scratch.h"
#include "product_units.h"

namespace isobit::ISOBIT_ISA {

// lines x K elements; one of the strides is 1, or that axis is of size 1. x begins with line `first`.
struct View {
    const float *x;
    int64_t lines, K, line_stride, k_stride, first = 0;

    bool is_along() const { return k_stride == 1 || K <= 1; }
    const float *line(int64_t index) const { return x + (index - first) * line_stride; }
};

struct Operand {
    Layout layout;
    Scales scales;
    Bounds *bounds;  // [chunk][panel], narrow only
    int32_t *packed;

    static int64_t bytes(const Layout &shape) {
        return shape.chunks * shape.panels * sizeof(Bounds) + (shape.stored() * 4 + 63) / 64 * 64 + 64 +
               padded_lines(shape) * (sizeof(double) + 3 * sizeof(float));
    }

    // memory: bytes(shape) of it, at a multiple of 64.
    Operand(const Layout &shape, char *memory) : layout(shape) {
        const int64_t lines = padded_lines(shape), panels = shape.chunks * shape.panels;
        char *at = memory;
        bounds = reinterpret_cast<Bounds *>(at);
        packed = reinterpret_cast<int32_t *>(at += panels * sizeof(Bounds));
        scales.down = reinterpret_cast<double *>(at += (shape.stored() * 4 + 63) / 64 * 64);
        scales.up[0] = reinterpret_cast<float *>(at += lines * sizeof(double));
        scales.up[1] = scales.up[0] + lines;
        scales.moderate_down = scales.up[1] + lines;
        scales.is_moderate = true;
    }

    Operand(const Layout &shape, Scratch &scratch) : Operand(shape, scratch.get<char>(bytes(shape))) {}

    const int32_t *panel(int64_t chunk, int64_t index) const { return packed + layout.offset(chunk, index); }
    const Bounds &bound(int64_t chunk, int64_t index) const { return bounds[chunk * layout.panels + index]; }

  private:
    static int64_t padded_lines(const Layout &shape) {
        return (shape.panels * shape.height + 2 * LANES) / LANES * LANES;
    }
};

static inline int32_t largest_along(const float *x, int64_t count) {
    Ints largest[4] = {zero(), zero(), zero(), zero()};
    int64_t k = 0;
    for (; k + 4 * LANES <= count; k += 4 * LANES)
        for (int i = 0; i < 4; ++i) largest[i] = maximum(largest[i], magnitudes(load(x + k + i * LANES)));
    for (; k < count; k += LANES)
        largest[0] =
            maximum(largest[0], magnitudes(load_some(x + k, static_cast<int>(std::min<int64_t>(LANES, count - k)))));
    return largest_lane(maximum(maximum(largest[0], largest[1]), maximum(largest[2], largest[3])));
}

// x[k * stride + i]: the largest over k of every i below count, 4 rows at a time.
static inline void largest_side_by_side(const float *x, int64_t count, int64_t K, int64_t stride, int32_t *largest) {
    std::fill_n(largest, count, 0);
    for (int64_t k = 0; k < K; k += 4) {
        const float *row[4];
        for (int64_t r = 0; r < 4; ++r) row[r] = x + std::min(k + r, K - 1) * stride;
        const auto take = [&](Ints so_far, const auto &read) __attribute__((always_inline)) {
            const Ints first = maximum(magnitudes(read(row[0])), magnitudes(read(row[1])));
            const Ints second = maximum(magnitudes(read(row[2])), magnitudes(read(row[3])));
            return maximum(so_far, maximum(first, second));
        };
        int64_t i = 0;
        for (; i + LANES <= count; i += LANES)
            store(largest + i, take(load(largest + i), [i](const float *p) { return load(p + i); }));
        const int rest = static_cast<int>(count - i);
        if (!rest) continue;
        const auto read = [i, rest](const float *p) { return load_some(p + i, rest); };
        store_some(largest + i, take(load_some(largest + i, rest), read), rest);
    }
}

// The scales of lines whose |s| <= 60, without a branch; false, and nothing done, where one may be another.
static inline bool set_moderate(const int32_t *largest, int64_t count, const Range &range, int64_t first,
                                Scales &scales) {
    const int32_t least = range.bits + 66;  // the biased exponent where s = 60; 119 above it s >= -60
    int32_t outside = 0;                    // negative where one is
    for (int64_t i = 0; i < count; ++i) outside |= ((largest[i] >> 23) - least) | (least + 119 - (largest[i] >> 23));
    if (outside < 0) return false;
    const int32_t limit = static_cast<int32_t>((2 * range.qmax + 1) << (23 - range.bits));
    for (int64_t i = 0; i < count; ++i) {  // as scale_of
        const int32_t passes = ((largest[i] & 0x7fffff) | 0x800000) >= limit;
        const int32_t s = range.bits + 126 - (largest[i] >> 23) - passes;
        scales.up[0][first + i] = float_of(static_cast<uint32_t>(127 + s) << 23);
        scales.up[1][first + i] = 1;
        scales.moderate_down[first + i] = float_of(static_cast<uint32_t>(127 - s) << 23);
        scales.down[first + i] = scales.moderate_down[first + i];
    }
    return true;
}

// The scales of any lines from their maxima; whether all are moderate.
static inline bool set_scales(const int32_t *largest, int64_t count, const Range &range, int64_t first,
                              Scales &scales) {
    if (set_moderate(largest, count, range, first, scales)) return true;
    bool is_moderate = true;
    for (int64_t i = 0; i < count; ++i) {
        const Scale scale = scale_of(static_cast<uint32_t>(largest[i]), range);
        scales.set(first + i, scale);
        is_moderate &= scale.is_moderate;
    }
    return is_moderate;
}

constexpr int64_t STRIP_LINES = 2048, STRIP_BYTES = int64_t{1} << 20;

// Scales of the lines [first, first + count), from maxima that are known or from the lines; whether all are moderate.
static inline bool scale_lines(const View &view, int64_t first, int64_t count, const Range &range, Scales &scales,
                               const int32_t *maxima) {
    int32_t largest[STRIP_LINES];
    const float *x = view.line(first);
    if (maxima)
        std::copy_n(maxima + first, count, largest);
    else if (view.is_along())
        for (int64_t i = 0; i < count; ++i) largest[i] = largest_along(x + i * view.line_stride, view.K);
    else
        largest_side_by_side(x, count, view.K, view.k_stride, largest);
    return set_scales(largest, count, range, first, scales);
}

template <bool WIDE>
static void pack_panel(const View &view, Operand &operand, int64_t panel) {
    const Layout &layout = operand.layout;
    const int64_t line = layout.first(panel);
    const int used = layout.used(panel), pitch = layout.pitch(panel);
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
        const int64_t k = 2 * chunk * layout.chunk_pairs, pairs = layout.size_of(chunk);
        const int64_t K = std::min(2 * pairs, view.K - k);
        const float *x = view.line(line) + k * view.k_stride;
        int32_t *out = operand.packed + layout.offset(chunk, panel);
        if (view.is_along())
            pack_along<WIDE>(x, view.line_stride, K, operand.scales, line, used, pitch, out);
        else
            pack_side_by_side<WIDE>(x, view.k_stride, K, operand.scales, line, used, pitch, out);
        if (!WIDE) bound_panel(out, pairs, used, pitch, operand.bounds[chunk * layout.panels + panel]);
    }
}

static inline void prepare(const View &view, const Range &range, Operand &operand, int threads,
                           const int32_t *maxima = nullptr) {
    const Layout &layout = operand.layout;
    const int64_t fitting = STRIP_BYTES / (4 * std::max<int64_t>(view.K, 1)) / layout.height;
    const int64_t strip =
        std::clamp<int64_t>(fitting, view.is_along() ? 1 : 64 / layout.height + 1, STRIP_LINES / layout.height);
    std::atomic<bool> is_moderate{true};
    for_each_unit(threads, (layout.panels + strip - 1) / strip, [&](int64_t unit) {
        const int64_t begin = unit * strip, end = std::min(begin + strip, layout.panels);
        const int64_t line = layout.first(begin), count = layout.first(end - 1) + layout.used(end - 1) - line;
        if (!scale_lines(view, line, count, range, operand.scales, maxima))
            is_moderate.store(false, std::memory_order_relaxed);
        for (int64_t panel = begin; panel < end; ++panel)
            range.wide ? pack_panel<true>(view, operand, panel) : pack_panel<false>(view, operand, panel);
    });
    operand.scales.is_moderate = is_moderate.load();
}

}  // namespace isobit::ISOBIT_ISA
