// The words of CUDA C++ that csrc/cuda uses, for a compiler of the CPU.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#define ISOBIT_ON_CPU
#define __device__
#define __global__
#define __launch_bounds__(...)
#define __shared__ static
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

struct Place {
    unsigned x, y, z;
};

using std::min;

template <class To, class From>
static To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

static inline double __longlong_as_double(int64_t bits) { return same_bits<double>(bits); }
static inline int64_t __double_as_longlong(double value) { return same_bits<int64_t>(value); }
static inline float __int_as_float(int32_t bits) { return same_bits<float>(bits); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __ll2float_rn(int64_t x) { return (float)x; }
static inline float __int2float_rn(int32_t x) { return (float)x; }
static inline float __double2float_rn(double x) { return (float)x; }
static inline int32_t __float2int_rz(float x) { return (int32_t)x; }
static inline int32_t __float2int_rn(float x) { return (int32_t)__builtin_rintf(x); }
static inline void atomicAdd(unsigned long long *to, unsigned long long value) {
    std::atomic_ref(*to).fetch_add(value);
}
