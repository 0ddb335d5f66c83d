// take_rows and gather: elements at the given indices (docs/numerics.md, Indexing).
#include <cstring>

#include "index.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int64_t GRAIN = 16384;

template <class T>
void take(const T *table, int64_t row_stride, int64_t width, const int64_t *ids, int64_t count, T *out, int threads) {
    parallel_for(threads, count, GRAIN / std::max<int64_t>(width, 1) + 1, [&](int64_t begin, int64_t end) {
        if (width == 1)
            for (int64_t i = begin; i < end; ++i) out[i] = table[ids[i] * row_stride];
        else
            for (int64_t i = begin; i < end; ++i)
                std::memcpy(out + i * width, table + ids[i] * row_stride, width * sizeof(T));
    });
}

// Each row's elements lie side by side, however far apart the rows are.
bool has_contiguous_rows(const isobit_tensor &table) {
    isobit_tensor row{};
    row.rank = table.rank - 1;
    for (int axis = 1; axis < table.rank; ++axis)
        row.shape[axis - 1] = table.shape[axis], row.stride[axis - 1] = table.stride[axis];
    return is_contiguous(row);
}

template <class T>
void take_rows(const isobit_call &call) {
    const isobit_tensor &table = call.inputs[0], &ids = call.inputs[1];
    const int64_t count = element_count(ids), rows = table.shape[0];
    const RowMajor<int64_t> index(ids, call.threads);
    check_index(index.get(), count, rows, call.threads);
    if (element_count(*call.output) == 0) return;
    const int64_t width = element_count(table) / rows;
    T *out = data_of<T>(*call.output);
    if (has_contiguous_rows(table))
        return take(data_of<const T>(table), table.stride[0], width, index.get(), count, out, call.threads);
    const RowMajor<T> copy(table, call.threads);
    take(copy.get(), width, width, index.get(), count, out, call.threads);
}

// Rows [begin, end) of the result, seen as [outer, size, inner].
template <class T>
void gather_rows(const Along &from, const Along &to, const T *x, const int64_t *index, T *out, int64_t begin,
                 int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
        const T *source = x + row / to.size * from.size * from.inner;
        const int64_t *place = index + row * to.inner;
        for (int64_t i = 0; i < to.inner; ++i) out[row * to.inner + i] = source[place[i] * from.inner + i];
    }
}

// As gather_rows where inner is 1: a whole line along the axis at once.
template <class T>
void gather_lines(const Along &from, const Along &to, const T *x, const int64_t *index, T *out, int64_t begin,
                  int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
        const T *source = x + line * from.size;
        for (int64_t i = line * to.size; i < (line + 1) * to.size; ++i) out[i] = source[index[i]];
    }
}

template <class T>
void gather(const isobit_call &call, int axis) {
    const RowMajor<T> x(call.inputs[0], call.threads);
    const RowMajor<int64_t> index(call.inputs[1], call.threads);
    const Along from = along(call.inputs[0], axis), to = along(call.inputs[1], axis);
    check_index(index.get(), element_count(call.inputs[1]), from.size, call.threads);
    if (element_count(*call.output) == 0) return;
    T *out = data_of<T>(*call.output);
    const bool lines = to.inner == 1;
    const int64_t count = lines ? to.outer : to.outer * to.size, cost = lines ? to.size : to.inner;
    parallel_for(call.threads, count, GRAIN / cost + 1, [&](int64_t begin, int64_t end) {
        if (lines)
            gather_lines(from, to, x.get(), index.get(), out, begin, end);
        else
            gather_rows(from, to, x.get(), index.get(), out, begin, end);
    });
}

}  // namespace

void op_take_rows(const isobit_call &call) {
    want_inputs(call, 2), want_attributes(call, 0);
    const isobit_tensor &table = call.inputs[0], &ids = call.inputs[1];
    want_dtype("ids", ids, INT64, "int64");
    const int rank = ids.rank + table.rank - 1;
    if (table.rank < 1 || rank > 8)
        invalid("got table %s and ids %s, want a table of rank 1 or more, a result of rank 8 or less", show(table).text,
                show(ids).text);
    int64_t shape[16];
    std::copy_n(ids.shape, ids.rank, shape);
    std::copy_n(table.shape + 1, table.rank - 1, shape + ids.rank);
    want_output(call, table.dtype, rank, shape);
    if (item_size(table.dtype) == 8)
        take_rows<uint64_t>(call);
    else if (item_size(table.dtype) == 4)
        take_rows<uint32_t>(call);
    else
        take_rows<uint8_t>(call);
}

void op_gather(const isobit_call &call) {
    want_inputs(call, 2);
    const isobit_tensor &x = call.inputs[0], &index = call.inputs[1];
    want_dtype("index", index, INT64, "int64");
    AttributeReader attributes(call);
    const int axis = static_cast<int>(attributes.next_in("axis", 0, x.rank - 1));
    attributes.end();
    want_same_but_along(x, index, axis);
    want_output(call, x.dtype, index.rank, index.shape);
    if (item_size(x.dtype) == 8)
        gather<uint64_t>(call, axis);
    else if (item_size(x.dtype) == 4)
        gather<uint32_t>(call, axis);
    else
        gather<uint8_t>(call, axis);
}

}  // namespace isobit::ISOBIT_ISA
