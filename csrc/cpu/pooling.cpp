// max_pool_index: the place of each window's largest element (docs/numerics.md, Indexing).
#include <vector>

#include "float_bits.h"
#include "index.h"

namespace isobit::ISOBIT_ISA {
namespace {

struct Window {
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    int64_t size[2], places[2];  // of the image, of the result

    int64_t start(int axis, int64_t place) const { return place * stride[axis] - padding[axis]; }

    // The first place whose tap `offset` (already times dilation) is at index 0 or more.
    int64_t first_place(int axis, int64_t offset) const {
        const int64_t short_by = padding[axis] - offset;
        return short_by <= 0 ? 0 : std::min(places[axis], (short_by + stride[axis] - 1) / stride[axis]);
    }

    // One past the last place whose tap is inside.
    int64_t end_place(int axis, int64_t offset) const {
        const int64_t room = size[axis] - 1 + padding[axis] - offset;
        return room < 0 ? 0 : std::min(places[axis], room / stride[axis] + 1);
    }
};

constexpr int64_t LARGEST = int64_t{1} << 31;

Window read_window(const isobit_call &call) {
    Window window;
    AttributeReader attributes(call);
    attributes.next_list("kernel", window.kernel, 2);
    attributes.next_list("stride", window.stride, 2);
    attributes.next_list("padding", window.padding, 2);
    attributes.next_list("dilation", window.dilation, 2);
    attributes.end();
    for (int axis = 0; axis < 2; ++axis) {
        const int64_t kernel = window.kernel[axis], stride = window.stride[axis], padding = window.padding[axis];
        const int64_t dilation = window.dilation[axis], size = call.inputs[0].shape[2 + axis];
        if (kernel < 1 || stride < 1 || padding < 0 || dilation < 1 ||
            std::max({kernel, stride, padding, dilation}) > LARGEST)
            invalid("got kernel %lld, stride %lld, padding %lld, dilation %lld, want 1, 1, 0, 1 or more, at most 2^31",
                    (long long)kernel, (long long)stride, (long long)padding, (long long)dilation);
        const __int128 room =
            static_cast<__int128>(size) + 2 * padding - static_cast<__int128>(dilation) * (kernel - 1) - 1;
        if (room < 0 || size < 1) invalid("got %s, want windows with an element", show(call.inputs[0]).text);
        window.size[axis] = size, window.places[axis] = static_cast<int64_t>(room / stride) + 1;
    }
    if (window.kernel[0] > LARGEST / 2 / window.kernel[1])
        invalid("got a kernel of %lld x %lld, want at most 2^30 elements", (long long)window.kernel[0],
                (long long)window.kernel[1]);
    return window;
}

// The best element so far of each window in one row of windows, as the number of its tap.
struct Best {
    std::vector<int32_t> key, tap;
};

// STRIDE 0 stands for any.
template <int64_t STRIDE>
void meet_tap(const float *row, int64_t shift, int64_t stride, int64_t begin, int64_t end, int32_t tap,
              int32_t *best_key, int32_t *best_tap) {
    const int64_t step = STRIDE ? STRIDE : stride;
#pragma GCC ivdep
    for (int64_t q = begin; q < end; ++q) {
        const int32_t found = order_key(row[q * step + shift]);
        const bool better = found > best_key[q];  // a window's first element beats INT32_MIN, which no key is
        best_key[q] = better ? found : best_key[q];
        best_tap[q] = better ? tap : best_tap[q];
    }
}

void meet_row(const Window &window, const float *row, int64_t r, Best &best) {
    for (int64_t s = 0; s < window.kernel[1]; ++s) {
        const int64_t offset = s * window.dilation[1], begin = window.first_place(1, offset),
                      end = window.end_place(1, offset);
        const int32_t tap = static_cast<int32_t>(r * window.kernel[1] + s);
        const auto meet = window.stride[1] == 1 ? meet_tap<1> : window.stride[1] == 2 ? meet_tap<2> : meet_tap<0>;
        meet(row, offset - window.padding[1], window.stride[1], begin, end, tap, best.key.data(), best.tap.data());
    }
}

void pool_row(const Window &window, const float *image, int64_t p, Best &best, int64_t *out) {
    std::fill(best.key.begin(), best.key.end(), INT32_MIN);
    std::fill(best.tap.begin(), best.tap.end(), 0);
    for (int64_t r = 0; r < window.kernel[0]; ++r) {
        const int64_t h = window.start(0, p) + r * window.dilation[0];
        if (h >= 0 && h < window.size[0]) meet_row(window, image + h * window.size[1], r, best);
    }
    const int32_t width = static_cast<int32_t>(window.kernel[1]);
    for (int64_t q = 0; q < window.places[1]; ++q) {
        const int64_t h = window.start(0, p) + best.tap[q] / width * window.dilation[0];
        out[q] = h * window.size[1] + window.start(1, q) + best.tap[q] % width * window.dilation[1];
    }
}

}  // namespace

void op_max_pool_index(const isobit_call &call) {
    want_inputs(call, 1);
    const isobit_tensor &x = call.inputs[0];
    want_dtype("x", x, FLOAT32, "float32");
    want_rank("x", x, 4);
    const Window window = read_window(call);
    const int64_t shape[4] = {x.shape[0], x.shape[1], window.places[0], window.places[1]};
    want_output(call, INT64, 4, shape);
    const RowMajor<float> image(x, call.threads);
    int64_t *out = data_of<int64_t>(*call.output);
    const int64_t rows = shape[0] * shape[1] * shape[2], cost = shape[3] * window.kernel[0] * window.kernel[1];
    parallel_for(call.threads, rows, 32768 / std::max<int64_t>(cost, 1) + 1, [&](int64_t begin, int64_t end) {
        Best best{std::vector<int32_t>(shape[3]), std::vector<int32_t>(shape[3])};
        for (int64_t row = begin; row < end; ++row)
            pool_row(window, image.get() + row / shape[2] * window.size[0] * window.size[1], row % shape[2], best,
                     out + row * shape[3]);
    });
}

}  // namespace isobit::ISOBIT_ISA
