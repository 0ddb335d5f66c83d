// Memory of a thread that outlives a call, so that a product asks the system for nothing once it has run.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace isobit::ISOBIT_ISA {

// One growing block; a block above KEPT bytes is given back by release().
class Scratch {
  public:
    static constexpr size_t KEPT = size_t{256} << 20, PAGE = size_t{2} << 20;

    Scratch() = default;
    Scratch(const Scratch &) = delete;
    ~Scratch() { std::free(data_); }

    template <class T>
    T *get(int64_t count) {
        const size_t bytes = static_cast<size_t>(count) * sizeof(T) + 64;
        if (bytes > size_) grow(bytes);
        return static_cast<T *>(data_);
    }

    void release() {
        if (size_ <= KEPT) return;
        std::free(data_);
        data_ = nullptr;
        size_ = 0;
    }

  private:
    void grow(size_t bytes) {
        std::free(data_);
        size_ = 0;
        bytes += bytes / 4;
        const size_t alignment = bytes >= PAGE ? PAGE : 64;
        bytes = (bytes + alignment - 1) / alignment * alignment;
        data_ = std::aligned_alloc(alignment, bytes);
        if (!data_) throw std::bad_alloc();
#if defined(__linux__)
        if (alignment == PAGE) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
        size_ = bytes;
    }

    void *data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace isobit::ISOBIT_ISA
