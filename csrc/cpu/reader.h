// One operand in row-major order, block after block: in place where it lies side by side, else through a buffer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "strided.h"

namespace isobit::ISOBIT_ISA {

class Reader {
  public:
    // `buffer` holds `room` elements of `size` bytes; no read asks for more. Reading begins at element `begin`.
    Reader(const Strided &view, const void *data, int64_t size, int64_t begin, char *buffer, int64_t room)
        : view_(view), walk_(view, begin), data_(static_cast<const char *>(data)), size_(size), buffer_(buffer) {
        if (view_.is_scalar()) copy(room, 0);
    }

    // How many of the next n elements make a good block for this operand.
    int64_t limit(int64_t n) const {
        constexpr int64_t long_run = 256;  // worth a block of its own
        if (view_.rank == 1 || view_.inner() < long_run) return n;
        return std::min(n, walk_.left_in_run());
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
        if (size_ == 4)
            copy_as<uint32_t>(count, at);
        else if (size_ == 8)
            copy_as<uint64_t>(count, at);
        else
            copy_as<uint8_t>(count, at);
    }

    Strided view_;
    Walk walk_;
    const char *data_;
    int64_t size_;
    char *buffer_;
};

}  // namespace isobit::ISOBIT_ISA
