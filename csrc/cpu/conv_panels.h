// What a panel of columns of a convolution copies from the image, and where its results go.
#pragma once

#include "conv_image.h"

namespace isobit::ISOBIT_ISA {

// Column j of the second operand: where its lanes begin in the image, where its results go, its scale.
struct Place {
    int64_t source, destination, scale;
};

// One product: rows x columns, for lane k of column j = image[steps[k] + place(j).source].
template <class Rows>
struct ProductOf {
    const Rows *rows;
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

template <int COLUMNS>
struct PanelPlan {
    Piece pieces[COLUMNS];
    int count = 0, used = 0;
    bool is_row = true;  // whether the results lie side by side
    int64_t destination[COLUMNS];
    float moderate_down[COLUMNS];
    double down[COLUMNS];
};

template <class Product, class GetPlace, int COLUMNS>
static void plan_panel(const Product &product, int64_t panel, const GetPlace &place, PanelPlan<COLUMNS> &plan) {
    plan.used = static_cast<int>(std::min<int64_t>(COLUMNS, product.columns - panel * COLUMNS));
    for (int j = 0; j < COLUMNS; ++j) {
        const Place at = place(panel * COLUMNS + std::min(j, plan.used - 1));
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

// What one thread takes at a time, in panels.
struct ConvUnit {
    int64_t product, row, row_end, column, column_end;
};

constexpr int64_t BLOCK_LINES = 224;  // of the filters: their chunks stay in L2

// Blocks of rows and columns, several for each thread where there are so many panels. panels(rows) counts them.
template <int COLUMNS, class Product, class Panels>
static std::vector<ConvUnit> share_out(const std::vector<Product> &products, int threads, int64_t block_rows,
                                       const Panels &panels) {
    std::vector<ConvUnit> units;
    const auto blocks = [](int64_t all, int64_t block) { return (all + block - 1) / block; };
    for (size_t at = 0; at < products.size(); ++at) {
        const int64_t rows = panels(*products[at].rows), columns = blocks(products[at].columns, COLUMNS);
        const int64_t wanted = threads == 1 ? 1 : 6 * threads / static_cast<int64_t>(products.size()) + 1;
        int64_t down = std::min(block_rows, rows), across = std::min<int64_t>(256 / COLUMNS, columns);
        while (blocks(rows, down) * blocks(columns, across) < wanted && down + across > 2)
            across > 1 && (across >= down || down <= 2) ? across = blocks(across, 2) : down = blocks(down, 2);
        for (int64_t column = 0; column < columns; column += across)
            for (int64_t row = 0; row < rows; row += down)
                units.push_back({static_cast<int64_t>(at), row, std::min(row + down, rows), column,
                                 std::min(column + across, columns)});
    }
    return units;
}

}  // namespace isobit::ISOBIT_ISA
