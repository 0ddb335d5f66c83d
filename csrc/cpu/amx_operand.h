// A matrix on its way into AMX: scanned for its scales, quantised and cut into digits, in panels of sixteen lines.
#pragma once

#include "amx_tiles.h"
#include "product_operand.h"

namespace isobit::ISOBIT_ISA {

// Steps of a chunk: what a tile reads of one panel of each operand stays in L1 and L2.
static inline int64_t chunk_steps(int64_t steps, bool wide) {
    const int64_t longest = wide ? 16 : 32;
    const int64_t chunks = std::max<int64_t>((steps + longest - 1) / longest, 1);
    return std::max<int64_t>((steps + chunks - 1) / chunks, 1);
}

// Panels [panel][step][digit][1 KB]. Of the first operand (rows) a block is [line][64 integers]; of the second
// [16 groups of 4 integers][line][4 integers]: what the tile instruction multiplies. Filled up with zeros.
struct TiledOperand {
    int64_t lines, panels, steps, chunk;  // chunk: steps that are multiplied at a time
    int digits;
    bool is_rows;
    Scales scales;
    int8_t *packed;

    static int64_t padded(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }
    static int64_t bytes(int64_t lines, int64_t K, bool wide) {
        const int64_t all = padded(lines, SIDE);
        return all * padded(K, STEP) * (wide ? 3 : 2) + all * static_cast<int64_t>(sizeof(double) + 3 * sizeof(float));
    }

    // memory: bytes(lines, K, wide) of it, at a multiple of 64.
    TiledOperand(int64_t lines_, int64_t K, bool wide, bool rows, char *memory)
        : lines(lines_),
          panels((lines_ + SIDE - 1) / SIDE),
          steps((K + STEP - 1) / STEP),
          chunk(chunk_steps(steps, wide)),
          digits(wide ? 3 : 2),
          is_rows(rows),
          packed(reinterpret_cast<int8_t *>(memory)) {
        const int64_t all = panels * SIDE;
        scales.down = reinterpret_cast<double *>(memory + panels * panel_bytes());
        scales.up[0] = reinterpret_cast<float *>(scales.down + all);
        scales.up[1] = scales.up[0] + all;
        scales.moderate_down = scales.up[1] + all;
        scales.is_moderate = true;
        for (int64_t line = lines; line < all; ++line) scales.set(line, {{0, 0}, 1, 1, true});
    }

    int64_t panel_bytes() const { return steps * digits * BLOCK_BYTES; }
    const int8_t *panel(int64_t index) const { return packed + index * panel_bytes(); }
    const int8_t *at(int64_t index, int64_t step) const { return panel(index) + step * digits * BLOCK_BYTES; }

    // As the first operand of multiply_tiles.
    void open(int64_t) const {}
    int64_t chunk_end(int64_t begin) const { return std::min(begin + chunk, steps); }
    TileRows rows(int64_t index, int64_t begin, int64_t) const {
        return {at(index, begin), STEP, BLOCK_BYTES, digits * BLOCK_BYTES};
    }
    int64_t first(int64_t index) const { return index * SIDE; }
    int used(int64_t index) const { return static_cast<int>(std::min<int64_t>(SIDE, lines - first(index))); }
};

// The digits of integers as the bytes of their lanes, the lowest first; the fourth byte is of no use.
ISOBIT_INLINE Ints digits_of(Ints q) {
    const Ints offset = broadcast(0x808080);
    return _mm512_xor_si512(add(q, offset), offset);
}

// 64 integers of one line, sixteen in each vector, become 64 bytes for each digit.
template <int DIGITS>
ISOBIT_INLINE void split_along(const Ints *q, Ints *out) {
    const Ints gather = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const Ints order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    Ints v[4];
    for (int i = 0; i < 4; ++i) v[i] = _mm512_shuffle_epi8(digits_of(q[i]), gather);
    const Ints low = _mm512_unpacklo_epi32(v[0], v[1]), low2 = _mm512_unpacklo_epi32(v[2], v[3]);
    out[0] = _mm512_permutexvar_epi32(order, _mm512_unpacklo_epi64(low, low2));
    out[1] = _mm512_permutexvar_epi32(order, _mm512_unpackhi_epi64(low, low2));
    if (DIGITS == 3)
        out[2] = _mm512_permutexvar_epi32(
            order, _mm512_unpacklo_epi64(_mm512_unpackhi_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[2], v[3])));
}

// Four integers of each of sixteen lines, a line in each lane, become the four bytes of the lane for each digit.
template <int DIGITS>
ISOBIT_INLINE void split_across(const Ints *q, Ints *out) {
    const Ints even_bytes = broadcast(0x00ff00ff), low_half = broadcast(0x0000ffff);
    Ints v[4], even[2], odd[2];
    for (int i = 0; i < 4; ++i) v[i] = digits_of(q[i]);
    for (int i = 0; i < 2; ++i) {  // bytes 0 and 2, then 1 and 3, of two neighbours
        even[i] = _mm512_ternarylogic_epi32(even_bytes, v[2 * i], _mm512_slli_epi16(v[2 * i + 1], 8), 0xca);
        odd[i] = _mm512_ternarylogic_epi32(even_bytes, _mm512_srli_epi16(v[2 * i], 8), v[2 * i + 1], 0xca);
    }
    out[0] = _mm512_ternarylogic_epi32(low_half, even[0], _mm512_slli_epi32(even[1], 16), 0xca);
    out[1] = _mm512_ternarylogic_epi32(low_half, odd[0], _mm512_slli_epi32(odd[1], 16), 0xca);
    if (DIGITS == 3) out[2] = _mm512_ternarylogic_epi32(low_half, _mm512_srli_epi32(even[0], 16), even[1], 0xca);
}

// x * 2^s to the nearest integer; MODERATE: the second factor is 1.
template <bool MODERATE>
ISOBIT_INLINE Ints tile_integers(Floats x, Floats up0, Floats up1) {
    return nearest(MODERATE ? multiply(x, up0) : multiply(multiply(x, up0), up1));
}

// The sixteen rows of a block, one after another, turned where the operand wants the other order.
ISOBIT_INLINE void store_block(Ints *rows, bool turned, int8_t *to) {
    if (turned) transpose(rows);
    for (int i = 0; i < SIDE; ++i) _mm512_store_si512(to + i * STEP, rows[i]);
}

// 64 integers of a line, from `count` floats; WHOLE: count is 64.
template <bool MODERATE, bool WHOLE>
ISOBIT_INLINE void quantise_step(const float *x, int count, Floats up0, Floats up1, Ints *q) {
    for (int v = 0; v < 4; ++v) {
        const int some = WHOLE ? LANES : std::clamp(count - v * LANES, 0, LANES);
        q[v] = WHOLE  ? tile_integers<MODERATE>(load(x + v * LANES), up0, up1)
               : some ? tile_integers<MODERATE>(load_some(x + v * LANES, some), up0, up1)
                      : zero();
    }
}

// Lines that lie along memory: x[line * stride + k]. Fetches what lies `ahead` floats further on.
template <int DIGITS, bool MODERATE>
static void pack_tiles_along(const View &view, const TiledOperand &operand, int64_t panel, int64_t ahead) {
    int8_t *out = operand.packed + panel * operand.panel_bytes();
    const int64_t first = panel * SIDE;
    const int used = static_cast<int>(std::min<int64_t>(SIDE, view.lines - first));
    for (int64_t step = 0; step < operand.steps; ++step, out += DIGITS * BLOCK_BYTES) {
        const int64_t k = step * STEP;
        const int count = static_cast<int>(std::min<int64_t>(STEP, view.K - k));
        Ints rows[3][SIDE];
        for (int i = 0; i < SIDE; ++i) {
            Ints split[3] = {zero(), zero(), zero()};
            if (i < used) {
                const float *x = view.line(first + i) + k;
                for (int v = 0; v < 4; ++v) __builtin_prefetch(x + ahead + v * LANES, 0, 2);
                const Floats up0 = broadcast(operand.scales.up[0][first + i]),
                             up1 = broadcast(operand.scales.up[1][first + i]);
                Ints q[4];
                count == STEP ? quantise_step<MODERATE, true>(x, STEP, up0, up1, q)
                              : quantise_step<MODERATE, false>(x, count, up0, up1, q);
                split_along<DIGITS>(q, split);
            }
            for (int digit = 0; digit < DIGITS; ++digit) rows[digit][i] = split[digit];
        }
        for (int digit = 0; digit < DIGITS; ++digit)
            store_block(rows[digit], !operand.is_rows, out + digit * BLOCK_BYTES);
    }
}

// Fetches the lines of the cache [begin, begin + 64) of `across` in each of the rows from k on.
static inline void fetch_rows(const View &view, const float *x, int64_t k, int64_t across, int64_t begin) {
    for (int64_t i = begin; i < begin + STEP; ++i)
        __builtin_prefetch(x + std::min(k + i / across, view.K - 1) * view.k_stride + i % across * SIDE, 0, 2);
}

// One step of lines that lie side by side: x[k * stride + line].
template <int DIGITS, bool MODERATE>
static void pack_step_across(const View &view, const TiledOperand &operand, int64_t panel, int64_t step) {
    const int64_t first = panel * SIDE;
    const int used = static_cast<int>(std::min<int64_t>(SIDE, view.lines - first));
    const Floats up0 = load(operand.scales.up[0] + first), up1 = load(operand.scales.up[1] + first);
    const float *const x = view.line(first);
    Ints rows[3][SIDE];
    for (int i = 0; i < SIDE; ++i) {
        Ints q[4], split[3];
        for (int64_t j = 0, k = step * STEP + 4 * i; j < 4; ++j, ++k)
            q[j] = k < view.K ? tile_integers<MODERATE>(load_some(x + k * view.k_stride, used), up0, up1) : zero();
        split_across<DIGITS>(q, split);
        for (int digit = 0; digit < DIGITS; ++digit) rows[digit][i] = split[digit];
    }
    int8_t *const out = operand.packed + panel * operand.panel_bytes() + step * DIGITS * BLOCK_BYTES;
    for (int digit = 0; digit < DIGITS; ++digit) store_block(rows[digit], operand.is_rows, out + digit * BLOCK_BYTES);
}

// 64 rows of all panels [begin, end) at a time, while the next 64 are fetched in the order of memory, unless the
// panels' floats are all in the cache.
template <int DIGITS, bool MODERATE>
static void pack_tiles_across(const View &view, const TiledOperand &operand, int64_t begin, int64_t end) {
    const bool fetches = 4 * view.K * (end - begin) * SIDE > STRIP_BYTES;
    for (int64_t step = 0; step < operand.steps; ++step)
        for (int64_t panel = begin; panel < end; ++panel) {
            if (fetches)
                fetch_rows(view, view.line(begin * SIDE), (step + 1) * STEP, end - begin, (panel - begin) * STEP);
            pack_step_across<DIGITS, MODERATE>(view, operand, panel, step);
        }
}

// The panels [begin, end).
static inline void pack_tiles(const View &view, const TiledOperand &operand, int64_t begin, int64_t end,
                              bool is_moderate) {
    const auto pack = [&](auto digits, auto moderate) {
        constexpr int DIGITS = decltype(digits)::value;
        constexpr bool MODERATE = decltype(moderate)::value;
        if (!view.is_along()) return pack_tiles_across<DIGITS, MODERATE>(view, operand, begin, end);
        const int64_t ahead = (end - begin) * SIDE * view.line_stride;  // the strip that comes next
        for (int64_t panel = begin; panel < end; ++panel)
            pack_tiles_along<DIGITS, MODERATE>(view, operand, panel, ahead);
    };
    using Two = std::integral_constant<int, 2>;
    using Three = std::integral_constant<int, 3>;
    if (operand.digits == 2)
        is_moderate ? pack(Two(), std::true_type()) : pack(Two(), std::false_type());
    else
        is_moderate ? pack(Three(), std::true_type()) : pack(Three(), std::false_type());
}

constexpr int64_t ALONG_BYTES = 32 << 10;

// Strip by strip: a strip's floats are read for their scales, and again to be packed. Lines along memory are in the
// first cache then, while the strip that comes next is fetched. Lines side by side are read faster in strips as broad
// as they come: rows lie pages apart.
class TilePacking {
  public:
    TilePacking(const View &view, const Range &range, TiledOperand &operand, int threads,
                const int32_t *maxima = nullptr)
        : view_(view), range_(range), operand_(operand), maxima_(maxima) {
        const int64_t panel = 4 * std::max<int64_t>(view.K, 1) * SIDE;  // bytes
        const int64_t share = std::clamp<int64_t>((operand.panels + threads - 1) / threads, 1, STRIP_LINES / SIDE);
        const int64_t fitting = (view.is_along() ? ALONG_BYTES : STRIP_BYTES) / panel;
        strip_ = std::clamp<int64_t>(fitting, view.is_along() ? 1 : share, STRIP_LINES / SIDE);
    }

    int64_t strips() const { return (operand_.panels + strip_ - 1) / strip_; }

    void pack(int64_t strip) {
        const int64_t begin = strip * strip_, end = std::min(begin + strip_, operand_.panels);
        const int64_t line = begin * SIDE, count = std::min(end * SIDE, operand_.lines) - line;
        const bool moderate = scale_lines(view_, line, count, range_, operand_.scales, maxima_);
        if (!moderate) is_moderate_.store(false, std::memory_order_relaxed);
        pack_tiles(view_, operand_, begin, end, moderate);
    }

    void end() { operand_.scales.is_moderate = is_moderate_.load(); }

  private:
    const View &view_;
    const Range &range_;
    TiledOperand &operand_;
    const int32_t *maxima_;
    int64_t strip_;
    std::atomic<bool> is_moderate_{true};
};

static inline void prepare_tiles(const View &view, const Range &range, TiledOperand &operand, int threads,
                                 const int32_t *maxima = nullptr) {
    TilePacking packing(view, range, operand, threads, maxima);
    for_each_unit(threads, packing.strips(), [&](int64_t strip) { packing.pack(strip); });
    packing.end();
}

}  // namespace isobit::ISOBIT_ISA
