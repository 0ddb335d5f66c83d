// A convolution as a product whose second operand is never built: its panels are copied from a quantised image.
#pragma once

#include "conv_image.h"
#include "product_multiply.h"

namespace isobit::ISOBIT_ISA {

// Column j of the second operand: where its lanes begin in the image, where its results go, its scale.
struct Place {
    int64_t source, destination, scale;
};

// One product: rows x columns, for lane k of column j = image[steps[k] + place(j).source].
struct ConvProduct {
    const Operand *rows;
    const int32_t *image;  // its first plane
    int64_t plane_size;
    const std::vector<int64_t> *steps;
    int64_t columns;
    const GroupScales *scales;
    float *out;  // out[row * row_stride + destination]
    int64_t row_stride;
    bool wide;
};

// What a panel copies: `length` lanes from the image at `source` on, to column `to`.
struct Piece {
    int64_t source;
    int to, length;
};

struct PanelPlan {
    Piece pieces[TILE_COLUMNS];
    int count = 0, used = 0;
    bool is_row = true;  // whether the results lie side by side
    int64_t destination[TILE_COLUMNS];
    float moderate_down[TILE_COLUMNS];
    double down[TILE_COLUMNS];
};

template <class GetPlace>
static void plan_panel(const ConvProduct &product, int64_t panel, const GetPlace &place, PanelPlan &plan) {
    plan.used = static_cast<int>(std::min<int64_t>(TILE_COLUMNS, product.columns - panel * TILE_COLUMNS));
    for (int j = 0; j < TILE_COLUMNS; ++j) {
        const Place at = place(panel * TILE_COLUMNS + std::min(j, plan.used - 1));
        plan.destination[j] = at.destination;
        plan.moderate_down[j] = product.scales->scales[at.scale].moderate_down;
        plan.down[j] = product.scales->scales[at.scale].down;
        if (j >= plan.used) continue;
        plan.is_row &= at.destination == plan.destination[0] + j;
        const Piece *last = j ? &plan.pieces[plan.count - 1] : nullptr;
        if (last && at.source == last->source + last->length)
            ++plan.pieces[plan.count - 1].length;
        else
            plan.pieces[plan.count++] = {at.source, j, 1};
    }
}

// Copies whole vectors: what lies past a piece is overwritten by the next one, past a panel by the next lane of k.
static inline void copy_panel(const int32_t *image, const int64_t *steps, int64_t pairs, const PanelPlan &plan,
                              int32_t *out) {
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
    std::vector<PanelPlan> plans(column_end - column_begin);
    for (int64_t j = column_begin; j < column_end; ++j) plan_panel(product, j, place, plans[j - column_begin]);
    const int64_t plane = layout.chunk_pairs * TILE_COLUMNS;
    int32_t *packed = scratch.get<int32_t>(layout.planes * plane + 2 * TILE_COLUMNS);
    Bounds bounds;
    multiply_block(
        *product.rows, product.wide, row_begin, row_end, column_begin, column_end,
        [&](int64_t chunk, int64_t panel) {
            const PanelPlan &plan = plans[panel - column_begin];
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
            const PanelPlan &plan = plans[panel - column_begin];
            float *to = product.out + row * product.row_stride;
            if (plan.is_row && plan.used == TILE_COLUMNS)
                std::memcpy(to + plan.destination[0], values, TILE_COLUMNS * sizeof(float));
            else
                for (int j = 0; j < plan.used; ++j) to[plan.destination[j]] = values[j];
        });
}

// place(product index, column) gives the Place. Units are blocks of columns, and of rows where there are many.
template <class GetPlace>
static void multiply_all(const std::vector<ConvProduct> &products, int threads, int64_t block_rows,
                         const GetPlace &place) {
    struct Unit {
        int64_t product, row, row_end, column, column_end;
    };
    std::vector<Unit> units;
    for (size_t at = 0; at < products.size(); ++at) {
        const int64_t rows = products[at].rows->layout.panels,
                      columns = (products[at].columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
        int64_t across = 256 / TILE_COLUMNS;
        while (across > 1 && static_cast<int64_t>(products.size()) * ((columns + across - 1) / across) < 8 * threads)
            across /= 2;
        for (int64_t column = 0; column < columns; column += across)
            for (int64_t row = 0; row < rows; row += block_rows)
                units.push_back({static_cast<int64_t>(at), row, std::min(row + block_rows, rows), column,
                                 std::min(column + across, columns)});
    }
    for_each_unit(threads, static_cast<int64_t>(units.size()), [&](int64_t index) {
        const Unit &unit = units[index];
        multiply_places(products[unit.product], unit.row, unit.row_end, unit.column, unit.column_end,
                        [&](int64_t column) { return place(unit.product, column); });
    });
}

}  // namespace isobit::ISOBIT_ISA
