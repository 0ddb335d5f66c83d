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
                           const GetView &view, const int32_t *maxima = nullptr) {
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

}  // namespace isobit::ISOBIT_ISA
