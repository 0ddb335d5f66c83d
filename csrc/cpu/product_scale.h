// Scales of the exact products: docs/numerics.md, Products.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "../operators.h"

namespace isobit::ISOBIT_ISA {

// The integers of one width: |q| <= qmax, and qmax < 2^bits.
struct Range {
    int bits;
    int64_t qmax;
};

static inline Range range_of(int64_t width, int64_t K) {
    const int64_t longest = width == 0 ? int64_t{1} << 24 : int64_t{1} << 21;
    if (K > longest) invalid("got K = %lld, want at most %lld", (long long)K, (long long)longest);
    if (width == 0) return {14, 16383};
    return K <= 131071 ? Range{23, 8355711} : Range{21, 2097151};
}

// A group's scale from the bits of its largest |x|; not finite: every output that uses it is NaN.
struct Scale {
    int32_t exponent;  // q = rne(x * 2^exponent)
    bool finite;
};

static inline Scale scale_of(uint32_t maximum, Range range) {
    if (maximum >= 0x7f800000u) return {0, false};
    if (maximum == 0) return {0, true};
    float value;
    std::memcpy(&value, &maximum, sizeof value);
    int e;
    std::frexp(value, &e);
    const int s = range.bits - e;  // value * 2^s is in [2^(bits-1), 2^bits): one more would pass qmax
    const bool fits = std::nearbyint(std::ldexp(static_cast<double>(value), s)) <= static_cast<double>(range.qmax);
    return {fits ? s : s - 1, true};
}

static inline uint32_t magnitude_bits(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffu;
}

static inline int32_t quantise(float x, Scale scale) {
    if (!scale.finite) return 0;
    return static_cast<int32_t>(std::nearbyint(std::ldexp(static_cast<double>(x), scale.exponent)));
}

// store(S, a + b): the conversion from int64 rounds to 24 bits, the product is exact in float64.
static inline float store(int64_t sum, Scale a, Scale b) {
    if (!a.finite || !b.finite) return __builtin_nanf("");
    const double rounded = static_cast<float>(sum);
    return static_cast<float>(std::ldexp(rounded, -(a.exponent + b.exponent)));
}

}  // namespace isobit::ISOBIT_ISA
