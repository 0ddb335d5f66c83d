// Index operands: read once into row-major order, checked before anything is read or written through them.
#pragma once

#include <atomic>
#include <memory>

#include "strided.h"
#include "tensor.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {

// A tensor's elements in row-major order: its own memory where they lie so, else a copy.
template <class T>
class RowMajor {
  public:
    RowMajor(const isobit_tensor &tensor, int threads) : data_(data_of<const T>(tensor)) {
        if (is_contiguous(tensor)) return;
        copy_.reset(new T[element_count(tensor)]);
        int64_t stride[8], next = 1;
        for (int axis = tensor.rank - 1; axis >= 0; --axis) stride[axis] = next, next *= tensor.shape[axis];
        copy_view(sizeof(T), tensor.rank, tensor.shape, tensor.data, tensor.stride, copy_.get(), stride, threads);
        data_ = copy_.get();
    }
    const T *get() const { return data_; }

  private:
    const T *data_;
    std::unique_ptr<T[]> copy_;
};

// A fault at the lowest element outside [0, size).
static inline void check_index(const int64_t *index, int64_t count, int64_t size, int threads) {
    std::atomic<int64_t> least{INT64_MAX};
    parallel_for(threads, count, 32768, [&](int64_t begin, int64_t end) {
        uint64_t largest = 0;  // a negative index is a large unsigned one
        for (int64_t i = begin; i < end; ++i) largest = std::max(largest, static_cast<uint64_t>(index[i]));
        if (largest < static_cast<uint64_t>(size)) return;
        for (int64_t i = begin; i < end; ++i) {
            if (static_cast<uint64_t>(index[i]) < static_cast<uint64_t>(size)) continue;
            int64_t before = least.load();
            while (i < before && !least.compare_exchange_weak(before, i)) {
            }
            return;
        }
    });
    if (least != INT64_MAX)
        fault(least, "index %lld is outside [0, %lld)", (long long)index[least.load()], (long long)size);
}

// x[outer, size, inner], seen along one axis.
struct Along {
    int64_t outer = 1, size = 1, inner = 1;
};

static inline Along along(const isobit_tensor &tensor, int axis) {
    Along shape;
    for (int i = 0; i < axis; ++i) shape.outer *= tensor.shape[i];
    shape.size = tensor.shape[axis];
    for (int i = axis + 1; i < tensor.rank; ++i) shape.inner *= tensor.shape[i];
    return shape;
}

static inline void want_same_but_along(const isobit_tensor &x, const isobit_tensor &index, int axis) {
    bool fits = x.rank == index.rank;
    for (int i = 0; fits && i < x.rank; ++i) fits = i == axis || x.shape[i] == index.shape[i];
    if (!fits) invalid("got %s and %s, want equal shapes but along axis %d", show(x).text, show(index).text, axis);
}

}  // namespace isobit::ISOBIT_ISA
