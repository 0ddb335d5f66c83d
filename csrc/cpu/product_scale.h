// Scales of the exact products: docs/numerics.md, Products.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "../operators.h"

namespace isobit::ISOBIT_ISA {

// The integers of one width: |q| <= qmax, and qmax < 2^bits.
struct Range {
    int bits;
    int64_t qmax;
    bool wide;
};

static inline Range range_of(int64_t width, int64_t K) {
    const int64_t longest = width == 0 ? int64_t{1} << 24 : int64_t{1} << 21;
    if (K > longest) invalid("got %lld terms per output, want at most %lld", (long long)K, (long long)longest);
    if (width == 0) return {14, 16383, false};
    return K <= 131071 ? Range{23, 8355711, true} : Range{21, 2097151, true};
}

// The scale s of one group: q = rne(x * up[0] * up[1]), for up[0] * up[1] = 2^s. Two factors, because 2^s need not be a
// float32; the products are exact unless q is 0. down = 2^-s, NaN where the group holds a NaN or an infinity.
struct Scale {
    float up[2];
    float moderate_down;  // 2^-s as a float32, right only where is_moderate
    double down;
    bool is_moderate;  // |s| <= 60: float32 then has room for 2^63 * 2^-s * 2^-t and for its every factor
};

static inline float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double power_of_two(int exponent) {
    const uint64_t bits = static_cast<uint64_t>(1023 + exponent) << 52;
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// The largest s with rne(max * 2^s) <= qmax, from the bits of the largest |x|.
static inline Scale scale_of(uint32_t maximum, const Range &range) {
    if (maximum >= 0x7f800000u) return {{0, 0}, __builtin_nanf(""), __builtin_nan(""), true};
    if (maximum == 0) return {{1, 1}, 1, 1, true};
    const int shift = maximum < 0x00800000u ? __builtin_clz(maximum) - 8 : 0;  // a subnormal's leading zeros
    const int exponent =
        shift ? -125 - shift : static_cast<int>(maximum >> 23) - 126;  // max = f * 2^exponent, f in [1/2, 1)
    const uint32_t mantissa = ((maximum << shift) & 0x7fffffu) | 0x800000u;
    // f * 2^bits rounds above qmax from qmax + 1/2 on: qmax is odd, so the tie goes up.
    const bool passes = mantissa >= static_cast<uint64_t>(2 * range.qmax + 1) << (23 - range.bits);
    const int s = range.bits - exponent - passes;
    const int first = std::min(s, 127);
    const bool moderate = s >= -60 && s <= 60;
    return {{static_cast<float>(power_of_two(first)), static_cast<float>(power_of_two(s - first))},
            moderate ? static_cast<float>(power_of_two(-s)) : 0,
            power_of_two(-s),
            moderate};
}

}  // namespace isobit::ISOBIT_ISA
