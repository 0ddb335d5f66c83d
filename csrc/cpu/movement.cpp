// Copies of views, concat, pad and iota: bytes move, nothing is computed (docs/numerics.md, Movement).
#include <cstring>

#include "strided.h"
#include "tensor.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int64_t COPY_GRAIN = 32768;  // elements worth a thread

// Two views of one shape, merged together.
struct Pair {
    int rank = 0;
    int64_t shape[8], from[8], to[8];
};

Pair merge_pair(int rank, const int64_t *shape, const int64_t *from, const int64_t *to) {
    Pair pair;
    for (int axis = 0; axis < rank; ++axis) {
        if (shape[axis] == 1) continue;
        const int last = pair.rank - 1;
        if (last >= 0 && pair.from[last] == from[axis] * shape[axis] && pair.to[last] == to[axis] * shape[axis]) {
            pair.shape[last] *= shape[axis], pair.from[last] = from[axis], pair.to[last] = to[axis];
        } else {
            pair.shape[pair.rank] = shape[axis], pair.from[pair.rank] = from[axis], pair.to[pair.rank++] = to[axis];
        }
    }
    if (pair.rank == 0) pair.rank = 1, pair.shape[0] = 1, pair.from[0] = 0, pair.to[0] = 1;
    return pair;
}

Strided side(const Pair &pair, const int64_t *stride, int rank) {
    Strided view;
    view.rank = std::max(rank, 1);
    for (int axis = 0; axis < rank; ++axis) view.shape[axis] = pair.shape[axis], view.stride[axis] = stride[axis];
    return view;
}

template <class T>
void copy_apart(const T *from, int64_t from_stride, T *to, int64_t to_stride, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i * to_stride] = from[i * from_stride];
}

template <class T>
void copy_line(const T *from, int64_t from_stride, T *to, int64_t to_stride, int64_t count) {
    if (from_stride == 1 && to_stride == 1)
        std::memcpy(to, from, count * sizeof(T));
    else if (to_stride == 1)
        copy_run(from, from_stride, to, count);
    else
        copy_apart(from, from_stride, to, to_stride, count);
}

// A single long line is cut up for the threads; otherwise they share the lines along the last axis.
template <class T>
void copy_lines(const Pair &pair, const T *from, T *to, int threads) {
    const int last = pair.rank - 1;
    const int64_t length = pair.shape[last], from_step = pair.from[last], to_step = pair.to[last];
    if (last == 0) {
        return parallel_for(threads, length, COPY_GRAIN, [&](int64_t begin, int64_t end) {
            copy_line(from + begin * from_step, from_step, to + begin * to_step, to_step, end - begin);
        });
    }
    int64_t lines = 1;
    for (int axis = 0; axis < last; ++axis) lines *= pair.shape[axis];
    const Strided sources = side(pair, pair.from, last), targets = side(pair, pair.to, last);
    parallel_for(threads, lines, COPY_GRAIN / length + 1, [&](int64_t begin, int64_t end) {
        Walk source(sources, begin), target(targets, begin);
        for (int64_t at = begin; at < end;) {
            const int64_t run = std::min(source.left_in_run(), end - at);
            const T *source_line = from + source.offset();
            T *target_line = to + target.offset();
            for (int64_t i = 0; i < run; ++i)
                copy_line(source_line + i * pair.from[last - 1], from_step, target_line + i * pair.to[last - 1],
                          to_step, length);
            source.advance(run), target.advance(run), at += run;
        }
    });
}

// One tile of a transposition: reads along rows, writes along columns, both within the nearest cache.
template <class T>
void transpose_tile(const T *from, int64_t from_row, T *to, int64_t to_row, int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) to[i * to_row + j] = from[j * from_row + i];
}

constexpr int64_t TILE = 32;

// The last axis is contiguous in `to`, the axis `swapped` in `from`.
template <class T>
void copy_transposed(const Pair &pair, int swapped, const T *from, T *to, int threads) {
    const int last = pair.rank - 1;
    Pair outer;  // the other axes
    for (int axis = 0; axis < last; ++axis) {
        if (axis == swapped) continue;
        outer.shape[outer.rank] = pair.shape[axis], outer.from[outer.rank] = pair.from[axis];
        outer.to[outer.rank++] = pair.to[axis];
    }
    int64_t outer_count = 1;
    for (int axis = 0; axis < outer.rank; ++axis) outer_count *= outer.shape[axis];
    const int64_t rows = pair.shape[swapped], columns = pair.shape[last];
    const int64_t bands = (rows + TILE - 1) / TILE;
    parallel_for(threads, outer_count * bands, COPY_GRAIN / (TILE * columns) + 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) {
            const Walk source(side(outer, outer.from, outer.rank), task / bands);
            const Walk target(side(outer, outer.to, outer.rank), task / bands);
            const int64_t row = task % bands * TILE;
            for (int64_t column = 0; column < columns; column += TILE)
                transpose_tile(from + source.offset() + row + column * pair.from[last], pair.from[last],
                               to + target.offset() + row * pair.to[swapped] + column, pair.to[swapped],
                               std::min(TILE, rows - row), std::min(TILE, columns - column));
        }
    });
}

template <class T>
void copy_pair(const Pair &pair, const void *from, void *to, int threads) {
    const int last = pair.rank - 1;
    if (pair.to[last] == 1 && pair.from[last] > 1 && pair.shape[last] >= 8)
        for (int axis = last - 1; axis >= 0; --axis)
            if (pair.from[axis] == 1 && pair.shape[axis] >= 8)
                return copy_transposed(pair, axis, static_cast<const T *>(from), static_cast<T *>(to), threads);
    copy_lines(pair, static_cast<const T *>(from), static_cast<T *>(to), threads);
}

void copy_into(const isobit_tensor &from, const isobit_tensor &output, int64_t offset, int threads) {
    char *to = data_of<char>(output) + offset * item_size(output.dtype);
    copy_view(item_size(from.dtype), from.rank, from.shape, from.data, from.stride, to, output.stride, threads);
}

// The strides that a contiguous array of this shape has, whatever the caller wrote for axes of size 1.
isobit_tensor with_row_major_strides(isobit_tensor tensor) {
    int64_t stride = 1;
    for (int axis = tensor.rank - 1; axis >= 0; --axis) tensor.stride[axis] = stride, stride *= tensor.shape[axis];
    return tensor;
}

template <class T>
void fill(T *to, int64_t count, T value, int threads) {
    parallel_for(threads, count, COPY_GRAIN,
                 [&](int64_t begin, int64_t end) { std::fill(to + begin, to + end, value); });
}

template <class T>
void count_along(const isobit_tensor &output, int axis, int threads) {
    int64_t inner = 1;
    for (int i = axis + 1; i < output.rank; ++i) inner *= output.shape[i];
    const int64_t size = output.shape[axis];
    T *to = data_of<T>(output);
    parallel_for(threads, element_count(output) / inner, COPY_GRAIN / inner + 1, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) std::fill_n(to + row * inner, inner, static_cast<T>(row % size));
    });
}

}  // namespace

void copy_view(int64_t item_size, int rank, const int64_t *shape, const void *from, const int64_t *from_stride,
               void *to, const int64_t *to_stride, int threads) {
    for (int axis = 0; axis < rank; ++axis)
        if (shape[axis] == 0) return;
    const Pair pair = merge_pair(rank, shape, from_stride, to_stride);
    if (item_size == 8)
        copy_pair<uint64_t>(pair, from, to, threads);
    else if (item_size == 4)
        copy_pair<uint32_t>(pair, from, to, threads);
    else
        copy_pair<uint8_t>(pair, from, to, threads);
}

void op_copy(const isobit_call &call) {
    want_inputs(call, 1), want_attributes(call, 0);
    const isobit_tensor &x = call.inputs[0];
    want_output(call, x.dtype, x.rank, x.shape);
    copy_into(x, with_row_major_strides(*call.output), 0, call.threads);
}

void op_concat(const isobit_call &call) {
    if (call.input_count < 1) invalid("got no operands, want 1 or more");
    const isobit_tensor &first = call.inputs[0];
    AttributeReader attributes(call);
    const int axis = static_cast<int>(attributes.next_in("axis", 0, first.rank - 1));
    attributes.end();
    int64_t shape[8], total = 0;
    std::copy_n(first.shape, 8, shape);
    for (int i = 0; i < call.input_count; ++i) {
        const isobit_tensor &x = call.inputs[i];
        shape[axis] = x.rank > axis ? x.shape[axis] : 0;
        bool fits = x.rank == first.rank && x.dtype == first.dtype;
        for (int k = 0; fits && k < x.rank; ++k) fits = x.shape[k] == shape[k];
        if (!fits) invalid("got operand %d %s, want %s but along axis %d", i, show(x).text, show(first).text, axis);
        total += x.shape[axis];
    }
    shape[axis] = total;
    want_output(call, first.dtype, first.rank, shape);
    const isobit_tensor output = with_row_major_strides(*call.output);
    for (int64_t i = 0, at = 0; i < call.input_count; at += call.inputs[i++].shape[axis])
        copy_into(call.inputs[i], output, at * output.stride[axis], call.threads);
}

void op_pad(const isobit_call &call) {
    want_inputs(call, 2);
    const isobit_tensor &x = call.inputs[0], &value = call.inputs[1];
    want_rank("fill", value, 0);
    if (value.dtype != x.dtype) invalid("got fill %s, want the dtype of %s", show(value).text, show(x).text);
    AttributeReader attributes(call);
    int64_t low[8], high[8], shape[8], offset = 0;
    attributes.next_list("low", low, x.rank);
    attributes.next_list("high", high, x.rank);
    attributes.end();
    for (int axis = 0; axis < x.rank; ++axis) {
        constexpr int64_t most = int64_t{1} << 40;
        if (low[axis] < 0 || high[axis] < 0 || low[axis] > most || high[axis] > most)
            invalid("got low %lld and high %lld in axis %d, want 0 or more", (long long)low[axis],
                    (long long)high[axis], axis);
        shape[axis] = low[axis] + x.shape[axis] + high[axis];
    }
    want_output(call, x.dtype, x.rank, shape);
    const isobit_tensor output = with_row_major_strides(*call.output);
    const int64_t count = element_count(output);
    if (item_size(x.dtype) == 8)
        fill(data_of<uint64_t>(output), count, *data_of<uint64_t>(value), call.threads);
    else if (item_size(x.dtype) == 4)
        fill(data_of<uint32_t>(output), count, *data_of<uint32_t>(value), call.threads);
    else
        fill(data_of<uint8_t>(output), count, *data_of<uint8_t>(value), call.threads);
    for (int axis = 0; axis < x.rank; ++axis) offset += low[axis] * output.stride[axis];
    copy_into(x, output, offset, call.threads);
}

void op_iota(const isobit_call &call) {
    want_inputs(call, 0);
    AttributeReader attributes(call);
    int64_t shape[8];
    const int rank = attributes.next_list("shape", shape);
    const int axis = static_cast<int>(attributes.next_in("axis", 0, rank - 1));
    const int32_t dtype = static_cast<int32_t>(attributes.next_in("dtype", INT64, INT32));
    attributes.end();
    want_output(call, dtype, rank, shape);
    if (element_count(*call.output) == 0) return;
    if (dtype == INT64)
        count_along<int64_t>(*call.output, axis, call.threads);
    else
        count_along<int32_t>(*call.output, axis, call.threads);
}

}  // namespace isobit::ISOBIT_ISA
