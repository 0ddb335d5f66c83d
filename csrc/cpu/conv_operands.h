// The filters of a convolution as operands of its products, and the memory that they and the images lie in.
#pragma once

#include "conv_filters.h"
#if defined(__AMX_INT8__)
#include "amx_conv.h"
#else
#include "conv_multiply.h"
#endif

namespace isobit::ISOBIT_ISA {

// Scratch of the calling thread, one block for each thing that lives as long as a call.
struct Room {
    Scratch first, second, image, filters, operands;

    void release() {
        for (Scratch *scratch : {&first, &second, &image, &filters, &operands}) scratch->release();
    }
};

static inline Room &room() {
    static thread_local Room rooms;
    return rooms;
}

// Padding and strides may make a padded image far larger than the image: then the definition itself is computed.
static inline bool is_roomy(double image_lanes, double elements) { return image_lanes > 16 * elements + (1 << 24); }

// One operand per group in one block of memory.
static inline std::vector<ConvRows> make_operands(int64_t lines, int64_t K, bool wide, int64_t groups,
                                                  Scratch &scratch) {
    const int64_t bytes = (conv_rows_bytes(lines, K, wide) + 63) / 64 * 64;
    char *memory = scratch.get<char>(groups * bytes);
    std::vector<ConvRows> operands;
    for (int64_t group = 0; group < groups; ++group)
        operands.push_back(conv_rows(lines, K, wide, memory + group * bytes));
    return operands;
}

// view(group, first line, lines, floats) lays the lines of a panel out in `floats`, enough of them for K a line.
template <class GetView>
static void prepare_panels(std::vector<ConvRows> &operands, const Range &range, int64_t K, int threads,
                           const GetView &view, const int32_t *maxima) {
    const int64_t groups = static_cast<int64_t>(operands.size()), panels = panels_of(operands[0]);
    const int64_t lines = first_of(operands[0], panels - 1) + used_of(operands[0], panels - 1);
    std::vector<char> is_moderate(groups * panels);
    for_each_unit(threads, groups * panels, [&](int64_t unit) {
        static thread_local Scratch scratch;
        const int64_t group = unit / panels, panel = unit % panels, first = first_of(operands[group], panel);
        const int used = used_of(operands[group], panel);
        is_moderate[unit] = prepare_panel(view(group, first, used, scratch.get<float>(used * K)), range,
                                          operands[group], panel, maxima ? maxima + group * lines : nullptr);
        scratch.release();
    });
    for (int64_t unit = 0; unit < groups * panels; ++unit)
        operands[unit / panels].scales.is_moderate &= is_moderate[unit] != 0;
}

// Products of filters, `lines` of each group, with columns of an image; view and maxima as for prepare_panels, place as
// for multiply_all.
template <class GetView, class GetPlace>
static void multiply_filters(std::vector<ConvProduct> &products, int64_t lines, int64_t K, const Range &range,
                             int threads, Room &scratch, const GetView &view, const int32_t *maxima,
                             const GetPlace &place) {
#if defined(__AMX_INT8__)
    if (has_few_columns(products[0], lines)) {
        for (size_t group = 0; group < products.size(); ++group) {
            const int64_t index = static_cast<int64_t>(group);
            const auto lines_of = [&](int64_t first, int used, float *out) { return view(index, first, used, out); };
            const auto placed = [&](int64_t column) { return place(index, column); };
            const int32_t *known = maxima ? maxima + index * lines : nullptr;
            (range.wide ? multiply_few_columns<true, decltype(lines_of), decltype(placed)>
                        : multiply_few_columns<false, decltype(lines_of), decltype(placed)>)(products[group], lines, K,
                                                                                             range, threads,
                                                                                             scratch.operands, lines_of,
                                                                                             known, placed);
        }
        return;
    }
#endif
    std::vector<ConvRows> operands =
        make_operands(lines, K, range.wide, static_cast<int64_t>(products.size()), scratch.operands);
    prepare_panels(operands, range, K, threads, view, maxima);
    for (size_t group = 0; group < products.size(); ++group) products[group].rows = &operands[group];
    multiply_all(products, threads, place);
}

}  // namespace isobit::ISOBIT_ISA
