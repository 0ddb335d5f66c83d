// Scales and the last rounding of a product, as kernels/spec/rounding.py has them.
#pragma once

#include <cstdint>

namespace isobit_cuda {

constexpr double ROUNDER = 6755399441055744.0;  // 1.5 * 2^52
constexpr int32_t INFINITY_BITS = 0x7f800000, NAN_BITS = 0x7fc00000;

__device__ inline double power_of_two(int s) { return __longlong_as_double((int64_t)(s + 1023) << 52); }

// The largest s with rne(max * 2^s) <= qmax; 0 where the maximum is zero or not finite.
__device__ inline int scale_of(int32_t maximum, int qmax, int bits) {
    if (maximum <= 0 || maximum >= INFINITY_BITS) return 0;
    const double value = __int_as_float(maximum);
    const int e = (int)((__double_as_longlong(value) >> 52) & 0x7ff) - 1022, s = bits - e;
    const double q = __dadd_rn(__dadd_rn(__dmul_rn(value, power_of_two(s)), ROUNDER), -ROUNDER);
    return q > qmax ? s - 1 : s;
}

// float32(rn24(total) * 2^-s)
__device__ inline float rounded(int64_t total, int s) {
    return __double2float_rn(__dmul_rn((double)__ll2float_rn(total), power_of_two(-s)));
}

}  // namespace isobit_cuda
