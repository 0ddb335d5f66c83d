// The float32 of the law: one NaN, and keys that order floats as integers.
#pragma once

#include <cstdint>
#include <cstring>

namespace isobit::ISOBIT_ISA {

constexpr uint32_t CANONICAL_NAN = 0x7fc00000u;
constexpr uint32_t INFINITY_BITS = 0x7f800000u;

static inline uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float canonical(float x) { return x != x ? float_of(CANONICAL_NAN) : x; }

// -inf < ... < -0 < +0 < ... < +inf < NaN.
static inline int32_t rising_key(float x) {
    const int32_t bits = static_cast<int32_t>(bits_of(x));
    return bits ^ static_cast<int32_t>(static_cast<uint32_t>(bits >> 31) >> 1);
}

static inline float from_rising_key(int32_t key) {
    return float_of(static_cast<uint32_t>(key ^ static_cast<int32_t>(static_cast<uint32_t>(key >> 31) >> 1)));
}

// NaN < -inf < ... < +inf: the NaN wins a minimum too. The canonical NaN wraps around to the least integer.
constexpr uint32_t NAN_STEP = 0x00400000u;
static inline int32_t falling_key(float x) {
    return static_cast<int32_t>(static_cast<uint32_t>(rising_key(x)) + NAN_STEP);
}
static inline float from_falling_key(int32_t key) {
    return from_rising_key(static_cast<int32_t>(static_cast<uint32_t>(key) - NAN_STEP));
}

// As rising_key, with both zeros equal.
static inline int32_t order_key(float x) {
    const int32_t key = rising_key(x);
    return key == -1 ? 0 : key;
}

}  // namespace isobit::ISOBIT_ISA
