// A convolution as a product whose second operand is never built: its panels are copied from a quantised image.
#pragma once

#include "conv_panels.h"
#include "product_multiply.h"

namespace isobit::ISOBIT_ISA {

// The filters of one group, packed.
using ConvRows = Operand;

static inline int64_t conv_rows_bytes(int64_t lines, int64_t K, bool wide) {
    return Operand::bytes(Layout(lines, K, wide, false));
}
static inline Operand conv_rows(int64_t lines, int64_t K, bool wide, char *memory) {
    return Operand(Layout(lines, K, wide, false), memory);
}
static inline int64_t panels_of(const Operand &rows) { return rows.layout.panels; }
static inline int64_t first_of(const Operand &rows, int64_t panel) { return rows.layout.first(panel); }
static inline int used_of(const Operand &rows, int64_t panel) { return rows.layout.used(panel); }

// One panel from lines of its own; whether their scales are moderate.
static inline bool prepare_panel(const View &view, const Range &range, Operand &rows, int64_t panel,
                                 const int32_t *maxima) {
    const bool moderate = scale_lines(view, view.first, used_of(rows, panel), range, rows.scales, maxima);
    range.wide ? pack_panel<true>(view, rows, panel) : pack_panel<false>(view, rows, panel);
    return moderate;
}

using ConvProduct = ProductOf<ConvRows>;

// Copies whole vectors: what lies past a piece is overwritten by the next one, past a panel by the next lane of k.
static inline void copy_panel(const int32_t *image, const int64_t *steps, int64_t pairs,
                              const PanelPlan<TILE_COLUMNS> &plan, int32_t *out) {
    for (int64_t k = 0; k < pairs; ++k, out += TILE_COLUMNS)
        for (int i = 0; i < plan.count; ++i) {
            const Piece &piece = plan.pieces[i];
            const int32_t *from = image + steps[k] + piece.source;
            store(out + piece.to, load(from));
            if (piece.length > LANES) store(out + piece.to + LANES, load(from + LANES));
        }
}

// Rows [row_begin, row_end) and columns [column_begin, column_end), counted in panels.
template <class GetPlace>
static void multiply_places(const ConvProduct &product, int64_t row_begin, int64_t row_end, int64_t column_begin,
                            int64_t column_end, const GetPlace &place) {
    static thread_local Scratch scratch;
    const Layout &layout = product.rows->layout;
    std::vector<PanelPlan<TILE_COLUMNS>> plans(column_end - column_begin);
    for (int64_t j = column_begin; j < column_end; ++j) plan_panel(product, j, place, plans[j - column_begin]);
    const int64_t plane = layout.chunk_pairs * TILE_COLUMNS;
    int32_t *packed = scratch.get<int32_t>(layout.planes * plane + 2 * TILE_COLUMNS);
    Bounds bounds;
    multiply_block(
        *product.rows, product.wide, row_begin, row_end, column_begin, column_end,
        [&](int64_t chunk, int64_t panel) {
            const PanelPlan<TILE_COLUMNS> &plan = plans[panel - column_begin];
            const int64_t pairs = layout.size_of(chunk);
            const int64_t *steps = product.steps->data() + chunk * layout.chunk_pairs;
            for (int i = 0; i < layout.planes; ++i)
                copy_panel(product.image + i * product.plane_size, steps, pairs, plan,
                           packed + i * pairs * TILE_COLUMNS);
            if (!product.wide) bound_panel(packed, pairs, plan.used, TILE_COLUMNS, bounds);
            return Columns{packed,
                           &bounds,
                           plan.moderate_down,
                           plan.down,
                           product.scales->is_moderate,
                           reinterpret_cast<const char *>(packed),
                           0};
        },
        [](int64_t, int, int64_t) {},
        [&](int64_t row, int64_t panel, const float *values) {
            const PanelPlan<TILE_COLUMNS> &plan = plans[panel - column_begin];
            float *to = product.out + row * product.row_stride;
            if (plan.is_row && plan.used == TILE_COLUMNS)
                std::memcpy(to + plan.destination[0], values, TILE_COLUMNS * sizeof(float));
            else
                for (int j = 0; j < plan.used; ++j) to[plan.destination[j]] = values[j];
        });
}

// place(product index, column) gives the Place.
template <class GetPlace>
static void multiply_all(const std::vector<ConvProduct> &products, int threads, const GetPlace &place) {
    const std::vector<ConvUnit> units = share_out<TILE_COLUMNS>(products, threads, BLOCK_LINES / TILE_ROWS, panels_of);
    for_each_unit(threads, static_cast<int64_t>(units.size()), [&](int64_t index) {
        const ConvUnit &unit = units[index];
        multiply_places(products[unit.product], unit.row, unit.row_end, unit.column, unit.column_end,
                        [&](int64_t column) { return place(unit.product, column); });
    });
}

}  // namespace isobit::ISOBIT_ISA
