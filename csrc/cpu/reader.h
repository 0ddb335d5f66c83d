// One operand in row-major order, block after block: in place where it lies side by side, else through a buffer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "strided.h"
#include "tensor.h"

namespace isobit::ISOBIT_ISA {

class Reader {
  public:
    // `buffer` holds `room` elements; no read asks for more. Reading begins at element `begin`.
    Reader(const isobit_tensor &tensor, char *buffer, int64_t room, int64_t begin)
        : view_(merge_axes(tensor)), walk_(view_, begin), data_(data_of<const char>(tensor)),
          size_(item_size(tensor.dtype)), buffer_(buffer) {
        if (view_.is_scalar()) copy(room, 0);
    }

    const void *read(int64_t n) {
        if (view_.is_scalar()) return buffer_;
        if (view_.inner_stride() == 1 && n <= walk_.left_in_run()) {
            const char *here = data_ + walk_.offset() * size_;
            walk_.advance(n);
            return here;
        }
        for (int64_t done = 0; done < n;) {
            const int64_t run = std::min(n - done, walk_.left_in_run());
            copy(run, done);
            walk_.advance(run), done += run;
        }
        return buffer_;
    }

  private:
    template <class T>
    void copy_as(int64_t count, int64_t at) {
        copy_run(reinterpret_cast<const T *>(data_) + walk_.offset(), view_.inner_stride(),
                 reinterpret_cast<T *>(buffer_) + at, count);
    }

    void copy(int64_t count, int64_t at) {
        if (size_ == 4) copy_as<uint32_t>(count, at);
        else if (size_ == 8) copy_as<uint64_t>(count, at);
        else copy_as<uint8_t>(count, at);
    }

    Strided view_;
    Walk walk_;
    const char *data_;
    int64_t size_;
    char *buffer_;
};

}  // namespace isobit::ISOBIT_ISA
