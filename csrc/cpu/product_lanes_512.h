// The vector of product_lanes.h on AVX-512, which includes this.
#pragma once

namespace isobit::ISOBIT_ISA {

constexpr int LANES = 16, TILE_ROWS = 14, TILE_UNROLL = 4;
using Ints = __m512i;
using Floats = __m512;

ISOBIT_INLINE Ints load(const int32_t *p) { return _mm512_loadu_si512(p); }
ISOBIT_INLINE void store(int32_t *p, Ints v) { _mm512_storeu_si512(p, v); }
ISOBIT_INLINE Ints broadcast(int32_t v) { return _mm512_set1_epi32(v); }
ISOBIT_INLINE Ints zero() { return _mm512_setzero_si512(); }
ISOBIT_INLINE Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
ISOBIT_INLINE Ints subtract(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
ISOBIT_INLINE Ints bit_and(Ints a, Ints b) { return _mm512_and_si512(a, b); }
ISOBIT_INLINE Ints bit_xor(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
template <int BITS>
ISOBIT_INLINE Ints shift_left(Ints v) {
    return _mm512_slli_epi32(v, BITS);
}
template <int BITS>
ISOBIT_INLINE Ints shift_right(Ints v) {
    return _mm512_srai_epi32(v, BITS);
}
ISOBIT_INLINE Ints pair(Ints even, Ints odd) {
    return _mm512_mask_blend_epi16(0xaaaaaaaau, even, _mm512_slli_epi32(odd, 16));
}
// c + a.even * b.even + a.odd * b.odd. As assembly: gcc 12 spills the accumulators around the intrinsic.
ISOBIT_INLINE Ints dot(Ints c, Ints a, Ints b) {
    asm("vpdpwssd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
ISOBIT_INLINE Ints multiply_pairs(Ints a, Ints b) { return _mm512_madd_epi16(a, b); }
ISOBIT_INLINE Floats load(const float *p) { return _mm512_loadu_ps(p); }
ISOBIT_INLINE Floats broadcast(float v) { return _mm512_set1_ps(v); }
ISOBIT_INLINE Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
ISOBIT_INLINE Ints nearest(Floats v) { return _mm512_cvtps_epi32(v); }
ISOBIT_INLINE Floats to_floats(Ints v) { return _mm512_cvtepi32_ps(v); }
ISOBIT_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
ISOBIT_INLINE Floats maximum(Floats a, Floats b) { return _mm512_max_ps(a, b); }
ISOBIT_INLINE void store(float *p, Floats v) { _mm512_storeu_ps(p, v); }
ISOBIT_INLINE Ints maximum(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
// The first n lanes, 0 elsewhere; nothing past them is read or written.
ISOBIT_INLINE Floats load_some(const float *p, int n) { return _mm512_maskz_loadu_ps((1u << n) - 1, p); }
ISOBIT_INLINE Ints load_some(const int32_t *p, int n) { return _mm512_maskz_loadu_epi32((1u << n) - 1, p); }
ISOBIT_INLINE void store_some(int32_t *p, Ints v, int n) { _mm512_mask_storeu_epi32(p, (1u << n) - 1, v); }
// The int32 lanes of a, then of b, as int16: pairs of neighbours.
ISOBIT_INLINE Ints pack(Ints a, Ints b) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), _mm512_packs_epi32(a, b));
}
// The same in the order that costs least; every pack_unordered has it.
ISOBIT_INLINE Ints pack_unordered(Ints a, Ints b) { return _mm512_packs_epi32(a, b); }
ISOBIT_INLINE void transpose(Ints *v) {
    Ints t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; ++j) {
            v[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
            v[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
    for (int i = 0; i < 4; ++i) {  // v[4 g + i] holds columns i, 4 + i, 8 + i, 12 + i of rows 4 g .. 4 g + 3
        t[i] = _mm512_shuffle_i32x4(v[i], v[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(v[i], v[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(v[8 + i], v[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(v[8 + i], v[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; ++i) {
        v[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        v[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        v[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        v[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}

}  // namespace isobit::ISOBIT_ISA
