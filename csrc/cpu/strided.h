// Walks over strided operands, and copies between them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../operators.h"

namespace isobit::ISOBIT_ISA {

// A view without its axes of size 1 and with neighbours merged where their strides allow it; rank 1 at least.
struct Strided {
    int rank = 1;
    int64_t shape[8] = {1};
    int64_t stride[8] = {0};

    int64_t inner() const { return shape[rank - 1]; }
    int64_t inner_stride() const { return stride[rank - 1]; }
    bool is_contiguous() const { return rank == 1 && (stride[0] == 1 || shape[0] <= 1); }
    bool is_scalar() const { return rank == 1 && stride[0] == 0; }
};

static inline Strided merge_axes(int rank, const int64_t *shape, const int64_t *stride) {
    Strided merged;
    merged.rank = 0;
    for (int axis = 0; axis < rank; ++axis) {
        if (shape[axis] == 1) continue;
        const int last = merged.rank - 1;
        if (last >= 0 && merged.stride[last] == stride[axis] * shape[axis]) {
            merged.shape[last] *= shape[axis];
            merged.stride[last] = stride[axis];
        } else {
            merged.shape[merged.rank] = shape[axis];
            merged.stride[merged.rank++] = stride[axis];
        }
    }
    if (merged.rank == 0) return Strided{};
    return merged;
}

static inline Strided merge_axes(const isobit_tensor &tensor) {
    return merge_axes(tensor.rank, tensor.shape, tensor.stride);
}

// A position in a view: runs of the innermost axis, one after another, in row-major order.
class Walk {
  public:
    Walk(const Strided &view, int64_t element) : view_(view) {
        for (int axis = view.rank - 1; axis >= 0; --axis) {
            index_[axis] = element % std::max<int64_t>(view.shape[axis], 1);
            element /= std::max<int64_t>(view.shape[axis], 1);
            offset_ += index_[axis] * view.stride[axis];
        }
    }

    int64_t offset() const { return offset_; }
    int64_t left_in_run() const { return view_.inner() - index_[view_.rank - 1]; }

    void advance(int64_t count) {  // count <= left_in_run()
        int axis = view_.rank - 1;
        index_[axis] += count;
        offset_ += count * view_.stride[axis];
        while (axis > 0 && index_[axis] == view_.shape[axis]) {
            offset_ += view_.stride[axis - 1] - index_[axis] * view_.stride[axis];
            index_[axis] = 0;
            ++index_[--axis];
        }
    }

  private:
    const Strided view_;
    int64_t index_[8] = {};
    int64_t offset_ = 0;
};

// `count` elements from a run to contiguous memory.
template <class T>
static inline void copy_run(const T *from, int64_t stride, T *to, int64_t count) {
    if (stride == 1) {
        for (int64_t i = 0; i < count; ++i) to[i] = from[i];
    } else if (stride == 0) {
        const T value = *from;
        for (int64_t i = 0; i < count; ++i) to[i] = value;
    } else {
        for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
    }
}

// Copies one view to another of the same shape.
void copy_view(int64_t item_size, int rank, const int64_t *shape, const void *from, const int64_t *from_stride,
               void *to, const int64_t *to_stride, int threads);

}  // namespace isobit::ISOBIT_ISA
