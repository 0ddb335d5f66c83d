// A convolution on AMX: as conv_multiply.h, with panels of sixteen columns in int8 digits.
#pragma once

#include "amx_multiply.h"
#include "conv_panels.h"

namespace isobit::ISOBIT_ISA {

// The filters of one group, packed.
using ConvRows = TiledOperand;

static inline int64_t conv_rows_bytes(int64_t lines, int64_t K, bool wide) {
    return TiledOperand::bytes(lines, K, wide);
}
static inline TiledOperand conv_rows(int64_t lines, int64_t K, bool wide, char *memory) {
    return TiledOperand(lines, K, wide, true, memory);
}
static inline int64_t panels_of(const TiledOperand &rows) { return rows.panels; }
static inline int64_t first_of(const TiledOperand &, int64_t panel) { return panel * SIDE; }
static inline int used_of(const TiledOperand &rows, int64_t panel) {
    return static_cast<int>(std::min<int64_t>(SIDE, rows.lines - panel * SIDE));
}

// One panel from lines of its own; whether their scales are moderate.
static inline bool prepare_panel(const View &view, const Range &range, TiledOperand &rows, int64_t panel,
                                 const int32_t *maxima) {
    const bool moderate = scale_lines(view, view.first, used_of(rows, panel), range, rows.scales, maxima);
    pack_tiles(view, rows, panel, panel + 1, moderate);
    return moderate;
}

static inline void prepare(const View &view, const Range &range, TiledOperand &rows, int threads,
                           const int32_t *maxima) {
    prepare_tiles(view, range, rows, threads, maxima);
}

using ConvProduct = ProductOf<ConvRows>;
using TilePlan = PanelPlan<SIDE>;

// Lanes [16 begin, 16 end) of k, up to `lanes`. Copies whole vectors: what lies past a piece is overwritten by the next
// one, past a lane by the next lane or digit. What a last step lacks stays as it is: the filters are 0 there.
static inline void copy_tiles(const int32_t *image, int64_t plane_size, int digits, const std::vector<int64_t> &steps,
                              int64_t begin, int64_t end, const TilePlan &plan, int32_t *out) {
    const int64_t lanes = static_cast<int64_t>(steps.size());
    for (int64_t step = begin; step < end; ++step) {
        const int64_t first = step * SIDE;
        const int count = static_cast<int>(std::min<int64_t>(SIDE, lanes - first));
        for (int digit = 0; digit < digits; ++digit, out += TILE) {
            const int32_t *const plane = image + digit * plane_size;
            for (int k = 0; k < count; ++k)
                for (int i = 0; i < plan.count; ++i)
                    store(out + k * SIDE + plan.pieces[i].to, load(plane + steps[first + k] + plan.pieces[i].source));
        }
    }
}

// Rows of one tile, to the places of a panel's columns.
struct PlanWriter {
    const TilePlan *plan;
    float *to;
    int64_t stride;

    void fetch() const {
        for (int row = 0; row < SIDE; ++row) __builtin_prefetch(to + row * stride + plan->destination[0], 1);
    }
    inline __attribute__((always_inline)) void operator()(int row, Floats values) const {
        float *const at = to + row * stride;
        if (plan->is_row)
            return _mm512_mask_storeu_ps(at + plan->destination[0], static_cast<__mmask16>((1u << plan->used) - 1),
                                         values);
        alignas(64) float each[SIDE];
        _mm512_store_ps(each, values);
        for (int j = 0; j < plan->used; ++j) at[plan->destination[j]] = each[j];
    }
};

template <bool WIDE, class GetPlace>
static void multiply_places(const ConvProduct &product, const ConvUnit &unit, const GetPlace &place) {
    static thread_local Scratch scratch;
    constexpr int DIGITS = WIDE ? 3 : 2;
    std::vector<TilePlan> plans(unit.column_end - unit.column);
    for (int64_t j = unit.column; j < unit.column_end; ++j) plan_panel(product, j, place, plans[j - unit.column]);
    const int64_t panel_size = chunk_steps(product.rows->steps, WIDE) * DIGITS * TILE;
    int32_t *packed = scratch.get<int32_t>(2 * panel_size + SIDE);
    multiply_tiles<WIDE>(
        *product.rows, {unit.row, unit.row_end, unit.column, unit.column_end, false, true},
        product.rows->scales.is_moderate && product.scales->is_moderate,
        [&](int64_t panel, int count, int64_t begin, int64_t end) {
            for (int i = 0; i < count; ++i)
                copy_tiles(product.image, product.plane_size, DIGITS, *product.steps, begin, end,
                           plans[panel + i - unit.column], packed + i * panel_size);
            return TileColumns{reinterpret_cast<const int8_t *>(packed), panel_size * 4};
        },
        [&](int64_t panel) {
            const TilePlan &plan = plans[panel - unit.column];
            return TileScales{plan.moderate_down, plan.down};
        },
        [&](int64_t row, int64_t panel) {
            return PlanWriter{&plans[panel - unit.column], product.out + row * SIDE * product.row_stride,
                              product.row_stride};
        });
    scratch.release();
}

// Few columns: all of them packed once, so that a panel of filters is multiplied right where it was packed.
struct PackedColumns {
    std::vector<TilePlan> plans;
    int64_t panel_size;  // int32
    int32_t *packed;

    static int64_t panels_of(const ConvProduct &product) { return (product.columns + SIDE - 1) / SIDE; }
    static int64_t steps_of(const ConvProduct &product) {
        return (static_cast<int64_t>(product.steps->size()) + SIDE - 1) / SIDE;
    }
    static int64_t panel_size_of(const ConvProduct &product) {
        return steps_of(product) * (product.wide ? 3 : 2) * TILE;
    }

    template <class GetPlace>
    PackedColumns(const ConvProduct &product, int threads, const GetPlace &place, Scratch &scratch)
        : plans(panels_of(product)), panel_size(panel_size_of(product)) {
        const int64_t panels = panels_of(product);
        packed = scratch.get<int32_t>(panels * panel_size + panels * SIDE);
        for_each_unit(threads, panels, [&](int64_t panel) {
            plan_panel(product, panel, place, plans[panel]);
            copy_tiles(product.image, product.plane_size, product.wide ? 3 : 2, *product.steps, 0, steps_of(product),
                       plans[panel], at(panel));
        });
    }

    // Apart from each other by what copying a panel writes past it.
    int32_t *at(int64_t panel) const { return packed + panel * (panel_size + SIDE); }
};

static inline bool has_few_columns(const ConvProduct &product, int64_t lines) {
    constexpr int64_t ROOM = int64_t{3} << 17;  // int32: with a panel of filters they stay in L2
    return PackedColumns::panels_of(product) * PackedColumns::panel_size_of(product) <= ROOM && lines >= 4 * SIDE;
}

// lines: of the filters. view and maxima as for prepare_panels.
template <bool WIDE, class GetView, class GetPlace>
static void multiply_few_columns(const ConvProduct &product, int64_t lines, int64_t K, const Range &range, int threads,
                                 Scratch &scratch, const GetView &view, const int32_t *maxima, const GetPlace &place) {
    const PackedColumns columns(product, threads, place, scratch);
    const int64_t panels = static_cast<int64_t>(columns.plans.size());
    const int64_t blocks = (lines + SIDE - 1) / SIDE;
    UnitRuns runs(threads_for(threads, blocks), blocks);
    in_threads(threads_for(threads, blocks), [&](int thread) {
        static thread_local Scratch floats, panel;
        const Tiles tiles;
        runs.take(thread, [&](int64_t block) {
            const int64_t first = block * SIDE;
            const int used = static_cast<int>(std::min<int64_t>(SIDE, lines - first));
            TiledOperand rows(used, K, WIDE, true, panel.get<char>(TiledOperand::bytes(used, K, WIDE)));
            View panel_lines = view(first, used, floats.get<float>(used * K));
            panel_lines.lines = used, panel_lines.first = 0;
            prepare_tiles(panel_lines, range, rows, 1, maxima ? maxima + first : nullptr);
            multiply_tiles<WIDE>(
                rows, {0, 1, 0, panels, false, true}, rows.scales.is_moderate && product.scales->is_moderate,
                [&](int64_t index, int, int64_t begin, int64_t) {
                    return TileColumns{reinterpret_cast<const int8_t *>(columns.at(index) + begin * rows.digits * TILE),
                                       (columns.panel_size + SIDE) * 4};
                },
                [&](int64_t index) {
                    return TileScales{columns.plans[index].moderate_down, columns.plans[index].down};
                },
                [&](int64_t, int64_t index) {
                    return PlanWriter{&columns.plans[index], product.out + first * product.row_stride,
                                      product.row_stride};
                });
        });
        floats.release(), panel.release();
    });
}

// place(product index, column) gives the Place.
template <class GetPlace>
static void multiply_all(const std::vector<ConvProduct> &products, int threads, const GetPlace &place) {
    const std::vector<ConvUnit> units = share_out<SIDE>(products, threads, BLOCK_LINES / SIDE, panels_of);
    const int64_t count = static_cast<int64_t>(units.size());
    UnitRuns runs(threads_for(threads, count), count);
    in_threads(threads_for(threads, count), [&](int thread) {
        const Tiles tiles;
        runs.take(thread, [&](int64_t at) {
            const ConvUnit &unit = units[at];
            const auto placed = [&](int64_t column) { return place(unit.product, column); };
            products[unit.product].wide ? multiply_places<true>(products[unit.product], unit, placed)
                                        : multiply_places<false>(products[unit.product], unit, placed);
        });
    });
}

}  // namespace isobit::ISOBIT_ISA
