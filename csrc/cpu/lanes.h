// Vectors of float32 as wide as the instruction set has them, and the operations on them that are no operator of C++.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "float_bits.h"

namespace isobit::ISOBIT_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
#elif defined(__AVX2__)
constexpr int VECTOR_BYTES = 32;
#else
constexpr int VECTOR_BYTES = 16;
#endif

typedef float Lanes __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t Signed __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t Unsigned __attribute__((vector_size(VECTOR_BYTES)));

constexpr int64_t WIDTH = VECTOR_BYTES / 4;

static inline Lanes all_lanes(float x) { return x - Lanes{}; }

static inline Lanes chosen(Signed mask, Lanes a, Lanes b) { return (Lanes)(((Signed)a & mask) | ((Signed)b & ~mask)); }

static inline Signed rising_keys(Lanes x) { return (Signed)x ^ (Signed)((Unsigned)((Signed)x >> 31) >> 1); }
static inline Signed falling_keys(Lanes x) { return (Signed)((Unsigned)rising_keys(x) + NAN_STEP); }

static inline Lanes loaded_lanes(const float *from) {
    Lanes x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

// a b + c and a b - c where a b is exact: with one rounding or with two the same.
#if defined(__AVX512F__)
static inline Lanes exact_product_plus(Lanes a, Lanes b, Lanes c) {
    return (Lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
static inline Lanes exact_product_less(Lanes a, Lanes b, Lanes c) {
    return (Lanes)_mm512_fmsub_ps((__m512)a, (__m512)b, (__m512)c);
}
#elif defined(__AVX2__) && defined(__FMA__)
static inline Lanes exact_product_plus(Lanes a, Lanes b, Lanes c) {
    return (Lanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
static inline Lanes exact_product_less(Lanes a, Lanes b, Lanes c) {
    return (Lanes)_mm256_fmsub_ps((__m256)a, (__m256)b, (__m256)c);
}
#else
static inline Lanes exact_product_plus(Lanes a, Lanes b, Lanes c) { return a * b + c; }
static inline Lanes exact_product_less(Lanes a, Lanes b, Lanes c) { return a * b - c; }
#endif

// To the nearest integers, ties to even, for |x| < 2^31. (The unmasked intrinsic makes GCC 12 warn of a value not set.)
static inline Signed nearest_integers(Lanes x) {
#if defined(__AVX512F__)
    return (Signed)_mm512_maskz_cvtps_epi32(0xffff, (__m512)x);
#elif defined(__AVX2__)
    return (Signed)_mm256_cvtps_epi32((__m256)x);
#elif defined(__x86_64__)
    return (Signed)_mm_cvtps_epi32((__m128)x);
#elif defined(__ARM_NEON)
    return (Signed)vcvtnq_s32_f32((float32x4_t)x);
#else
    Signed nearest;
    for (int i = 0; i < WIDTH; ++i) nearest[i] = static_cast<int32_t>(std::rint(x[i]));
    return nearest;
#endif
}

}  // namespace
}  // namespace isobit::ISOBIT_ISA
