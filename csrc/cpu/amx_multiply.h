// Blocks of an exact product on AMX: tiles over chunks of K, summed in int32, joined and rounded once.
#pragma once

#include "amx_join.h"

namespace isobit::ISOBIT_ISA {

// Panels [row, row_end) by [column, column_end).
struct TileBlock {
    int64_t row, row_end, column, column_end;
    bool by_rows = false;  // all columns of some rows one after another, not all rows of a pair of panels of columns:
                           // which of the two is asked for less often
    bool fetches = false;  // what will be written is fetched one unit ahead: it is not in a cache
};

// A pair of panels of the second operand (of a wide one only the first), from the first step of a chunk on.
struct TileColumns {
    const int8_t *panel;
    int64_t next;                   // bytes from one panel to the other
    const int8_t *ahead = nullptr;  // what is asked for next, in the same order: fetched into L2 meanwhile; or null
};

// Fetches a few lines a step of the panels that are asked for next, all of them during some eleven units.
template <bool WIDE>
struct FetchAhead {
    static constexpr int PANELS = WIDE ? 1 : 2, LINES = WIDE ? 6 : 4, BYTES = LINES * 64;
    const int8_t *at[PANELS];

    // The share of unit `unit`; where there is nothing left to fetch it goes for what is there.
    FetchAhead(const TileColumns &b, const int8_t *there, int64_t unit, int64_t steps) {
        const int64_t done = unit * steps * BYTES;
        const bool is_left = b.ahead && done < steps * (WIDE ? 3 : 2) * BLOCK_BYTES;
        for (int panel = 0; panel < PANELS; ++panel) at[panel] = is_left ? b.ahead + panel * b.next + done : there;
    }
    inline __attribute__((always_inline)) void operator()() {
        for (const int8_t *&panel : at) {
            for (int line = 0; line < LINES; ++line) __builtin_prefetch(panel + line * 64, 0, 2);
            panel += BYTES;
        }
    }
};

// Takes the rows of one tile of a row-major result.
struct RowWriter {
    float *to;
    int64_t stride;
    int rows;
    bool streams;  // whole lines of the cache go to memory past it, unread: of columns that fill them
    __mmask16 used;

    RowWriter(float *out, int64_t stride_, int64_t rows_, int64_t columns, bool streams_ = false)
        : to(out),
          stride(stride_),
          rows(static_cast<int>(std::min<int64_t>(SIDE, rows_))),
          streams(streams_),
          used(static_cast<__mmask16>((1u << std::min<int64_t>(SIDE, columns)) - 1)) {}
    RowWriter() = default;

    void fetch() const {
        for (int row = 0; !streams && row < rows; ++row) __builtin_prefetch(to + row * stride, 1);
    }
    inline __attribute__((always_inline)) void operator()(int row, Floats values) const {
        float *const at = to + row * stride;
        streams ? _mm512_stream_ps(at, values) : _mm512_mask_storeu_ps(at, used, values);
    }
};

// Registers of the sums of a unit, which is a wide tile or two narrow ones.
template <bool WIDE>
constexpr int SUMS = WIDE ? 5 : 6;
template <bool WIDE>
constexpr int UNIT = SUMS<WIDE> * TILE;

// Where in K the sums of a unit end: in the first stretch, in the last; is_short: K is at most LONGEST_SHORT, or
// LONGEST_PAIRED where wide.
struct Ending {
    bool is_short, is_first, is_last;
};

// A unit that has been multiplied: its sums are in the tiles' registers, to be stored while the next one is multiplied,
// or in memory, to be joined then.
template <bool WIDE, class Writer>
struct Multiplied {
    static constexpr int PANELS = WIDE ? 1 : 2;
    int32_t *sums = nullptr;
    bool is_stored = true;
    int64_t *totals = nullptr;
    int panels = 0;         // of its tiles that are still to be joined
    bool is_quick = false;  // by quick()
    Join join[PANELS];
    Writer writer[PANELS];

    void store() {
        if (!is_stored) close_sums<SUMS<WIDE>>(sums);
        is_stored = true;
    }

    // A part of the work for each pause of multiply_*: rows of one tile.
    inline __attribute__((always_inline)) void quick(int pause, bool is_short) const {
        constexpr int ROWS = PANELS * SIDE / PAUSES;
        const int panel = pause * ROWS / SIDE;
        if (!is_quick || panel >= panels) return;
        for (int row = pause * ROWS % SIDE, i = 0; i < ROWS; ++i)
            if (!WIDE)
                join_short<true>(sums + panel * 3 * TILE, row + i, join[panel], writer[panel]);
            else if (is_short)
                join_paired(sums, row + i, join[panel], writer[panel]);
            else
                join_long<true, true>(sums, row + i, join[panel], writer[panel]);
    }

    void finish(const Ending &ending) {
        for (int panel = 0; panel < panels; ++panel)
            join_tile<WIDE>(sums + panel * 3 * TILE, totals ? totals + panel * TILE : nullptr, ending.is_short,
                            ending.is_first, ending.is_last, join[panel], writer[panel]);
        panels = 0;
    }
};

// The last unit that was multiplied, and the one before it, which is stored.
template <bool WIDE, class Writer>
struct Units {
    using Unit = Multiplied<WIDE, Writer>;
    Unit units[2], *last = units, *stored = units + 1;
    alignas(64) int32_t nobodys[UNIT<WIDE>];

    // What was stored is joined, and what comes next is the last.
    Unit &next(int32_t *sums, bool is_stored) {
        stored->panels = 0, last->is_stored = true;
        std::swap(last, stored);
        last->sums = sums, last->is_stored = is_stored, last->panels = 0, last->is_quick = false;
        return *last;
    }
    void store(const Ending &ending) {
        last->store(), stored->finish(ending);
        std::swap(last, stored);
    }

    // The unit of these rows and columns. A single narrow panel is stored at once.
    template <bool BEGINS>
    Unit &multiply(const TileRows &a, const TileColumns &b, int panels, int64_t steps, int32_t *sums,
                   FetchAhead<WIDE> ahead, const Ending &ending) {
        const bool is_pair = WIDE || panels == 2;
        if (!is_pair) store(ending);
        if (!stored->is_quick) stored->finish(ending);
        const auto between = [&](int pause) __attribute__((always_inline)) { stored->quick(pause, ending.is_short); };
        const Turn<BEGINS> turn{last->is_stored ? nobodys : last->sums, sums};
        if (WIDE)
            multiply_wide(a, b.panel, steps, turn, between, ahead);
        else if (is_pair)
            multiply_narrow_twice(a, b.panel, b.next, steps, turn, between, ahead);
        else
            multiply_narrow<BEGINS>(a, b.panel, steps, sums, between, ahead);
        return next(sums, !is_pair);
    }
};

// a has steps and scales, cuts the steps into chunks, begin to chunk_end(begin), and hears of each by open(begin)
// before its operands are asked for. Of its panel i it gives rows(i, begin, end), the TileRows for the steps [begin,
// end); first(i), where its scales are; used(i), how many rows it has. columns(panel, count, begin, end) gives the
// TileColumns, scales(panel) the TileScales; writer(i, panel) what takes a tile: writer(row, values) the sixteen values
// of one row, fetch() its memory ahead.
template <bool WIDE, class Rows, class Columns, class GetScales, class GetWriter>
static void multiply_tiles(const Rows &a, const TileBlock &block, bool is_moderate, const Columns &columns,
                           const GetScales &scales, const GetWriter &writer) {
    static thread_local Scratch scratch;
    constexpr int PANELS = WIDE ? 1 : 2;
    const int64_t steps = a.steps, stretch = (WIDE ? LONGEST_WIDE : LONGEST_NARROW) / STEP;  // one int32 sum
    const int64_t tall = block.row_end - block.row, wide = (block.column_end - block.column + PANELS - 1) / PANELS;
    const bool is_whole = a.chunk_end(0) >= steps, has_totals = steps > stretch;
    const bool is_short = steps * STEP <= (WIDE ? LONGEST_PAIRED : LONGEST_SHORT);
    int32_t *const memory = scratch.get<int32_t>(
        is_whole ? 2 * UNIT<WIDE> : tall * wide * (UNIT<WIDE> + (has_totals ? 2 * PANELS * TILE : 0)));
    int64_t *const totals = has_totals ? reinterpret_cast<int64_t *>(memory + tall * wide * UNIT<WIDE>) : nullptr;
    Units<WIDE, decltype(writer(0, 0))> units;
    int64_t begin = 0, stretch_begin = 0, at = 0;
    do {  // once where K is 0
        a.open(begin);
        const int64_t end = a.chunk_end(begin);
        const bool begins = begin == stretch_begin;
        const bool ends = end == steps || a.chunk_end(end) - stretch_begin > stretch;
        const Ending ending{is_short, stretch_begin == 0, end == steps};
        const auto multiply = [&](int64_t i, const TileRows &rows, int64_t j, int panels, const TileColumns &b) {
            const int64_t index = (j - block.column) / PANELS * tall + i - block.row;
            int32_t *const sums = memory + (is_whole ? at++ % 2 : index) * UNIT<WIDE>;
            if (ending.is_last && block.fetches)
                for (int panel = 0; panel < panels; ++panel) writer(i, j + panel).fetch();
            const FetchAhead<WIDE> ahead(b, rows.first, i - block.row, end - begin);
            auto &unit = begins ? units.template multiply<true>(rows, b, panels, end - begin, sums, ahead, ending)
                                : units.template multiply<false>(rows, b, panels, end - begin, sums, ahead, ending);
            if (!ends) return;
            unit.panels = panels, unit.totals = has_totals ? totals + index * PANELS * TILE : nullptr;
            const int count = a.used(i);
            unit.is_quick = is_moderate && !has_totals && (WIDE || is_short) && count == SIDE && steps > 0;
            for (int panel = 0; panel < panels; ++panel) {
                unit.join[panel] = Join(a.scales, a.first(i), count, scales(j + panel), is_moderate);
                unit.writer[panel] = writer(i, j + panel);
            }
        };
        const auto panels_at = [&](int64_t j) {
            return static_cast<int>(std::min<int64_t>(PANELS, block.column_end - j));
        };
        if (block.by_rows) {
            for (int64_t i = block.row; i < block.row_end; ++i) {
                const TileRows rows = a.rows(i, begin, end);
                for (int64_t j = block.column; j < block.column_end; j += PANELS)
                    multiply(i, rows, j, panels_at(j), columns(j, panels_at(j), begin, end));
            }
        } else {
            for (int64_t j = block.column; j < block.column_end; j += PANELS) {
                const TileColumns b = columns(j, panels_at(j), begin, end);
                for (int64_t i = block.row; i < block.row_end; ++i)
                    multiply(i, a.rows(i, begin, end), j, panels_at(j), b);
            }
        }
        units.store(ending), units.store(ending);
        begin = end;
        if (ends) stretch_begin = end;
    } while (begin < steps);
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA
