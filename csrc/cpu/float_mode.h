// IEEE mode: round to nearest even, subnormals kept, for the life of one object in one thread.
#pragma once

#include <cstdint>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace isobit::ISOBIT_ISA {

class FloatMode {
  public:
#if defined(__x86_64__)
    FloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }  // all masks set, nothing flushed, nearest even
    ~FloatMode() { _mm_setcsr(saved_); }

  private:
    uint32_t saved_;
#elif defined(__aarch64__)
    FloatMode() {
        asm volatile("mrs %0, fpcr" : "=r"(saved_));
        asm volatile("msr fpcr, %0" ::"r"(uint64_t{0}));
    }
    ~FloatMode() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

  private:
    uint64_t saved_;
#else
#error "isobit: no way is known to set the floating-point mode of this processor"
#endif
    FloatMode(const FloatMode &) = delete;
};

}  // namespace isobit::ISOBIT_ISA
