// What an operator asks of its call before it touches memory, and views of the operands.
#pragma once

#include <cstdint>
#include <cstring>

#include "../operators.h"

namespace isobit::ISOBIT_ISA {

static inline int64_t item_size(int32_t dtype) { return dtype == INT64 ? 8 : dtype == BOOL ? 1 : 4; }

static inline int64_t element_count(const isobit_tensor &tensor) {
    int64_t count = 1;
    for (int axis = 0; axis < tensor.rank; ++axis) count *= tensor.shape[axis];
    return count;
}

static inline bool is_contiguous(const isobit_tensor &tensor) {
    int64_t expected = 1;
    if (element_count(tensor) == 0) return true;
    for (int axis = tensor.rank - 1; axis >= 0; --axis) {
        if (tensor.shape[axis] > 1 && tensor.stride[axis] != expected) return false;
        expected *= tensor.shape[axis];
    }
    return true;
}

static inline bool same_shape(const isobit_tensor &a, const isobit_tensor &b) {
    return a.rank == b.rank && std::memcmp(a.shape, b.shape, sizeof(int64_t) * a.rank) == 0;
}

static inline void want_inputs(const isobit_call &call, int count) {
    if (call.input_count != count) invalid("got %d operands, want %d", call.input_count, count);
}

static inline void want_attributes(const isobit_call &call, int count) {
    if (call.attribute_count != count) invalid("got %d attribute values, want %d", call.attribute_count, count);
}

static inline void want_dtype(const char *what, const isobit_tensor &tensor, int32_t dtype, const char *name) {
    if (tensor.dtype != dtype) invalid("got %s %s, want dtype %s", what, show(tensor).text, name);
}

static inline void want_rank(const char *what, const isobit_tensor &tensor, int rank) {
    if (tensor.rank != rank) invalid("got %s %s, want rank %d", what, show(tensor).text, rank);
}

static inline void want_same_shape(const char *what, const isobit_tensor &got, const isobit_tensor &want) {
    if (!same_shape(got, want)) invalid("got %s %s, want the shape of %s", what, show(got).text, show(want).text);
}

// The output has this dtype and this shape.
static inline void want_output(const isobit_call &call, int32_t dtype, int rank, const int64_t *shape) {
    isobit_tensor want{};
    want.dtype = dtype;
    want.rank = rank;
    for (int axis = 0; axis < rank; ++axis) want.shape[axis] = shape[axis];
    if (call.output->dtype != dtype || !same_shape(*call.output, want))
        invalid("got output %s, want %s", show(*call.output).text, show(want).text);
}

template <class T>
static inline T *data_of(const isobit_tensor &tensor) {
    return static_cast<T *>(tensor.data);
}

// Reads the attributes one after another, in the order of the law.
class AttributeReader {
  public:
    explicit AttributeReader(const isobit_call &call) : call_(call) {}

    int64_t next(const char *name) {
        if (at_ >= call_.attribute_count) invalid("got no attribute %s, want one", name);
        return call_.attributes[at_++];
    }

    int64_t next_in(const char *name, int64_t low, int64_t high) {  // low <= value <= high
        const int64_t value = next(name);
        if (value < low || value > high)
            invalid("got %s %lld, want %lld to %lld", name, (long long)value, (long long)low, (long long)high);
        return value;
    }

    // A list of `count` values, or of any number up to 8 where count is -1. Returns the number read.
    int next_list(const char *name, int64_t *values, int count = -1) {
        const int length = static_cast<int>(next_in(name, count < 0 ? 0 : count, count < 0 ? 8 : count));
        for (int i = 0; i < length; ++i) values[i] = next(name);
        return length;
    }

    void end() const {
        if (at_ != call_.attribute_count) want_attributes(call_, at_);
    }

  private:
    const isobit_call &call_;
    int at_ = 0;
};

}  // namespace isobit::ISOBIT_ISA
