// The innermost loop of the exact products on AMX: int8 digits, sixteen lines by sixteen, summed in int32.
//
// q + 0x808080 written in base 256 has digits of 0 to 255; less 128 each they are the signed digits of q, all of them
// within [-128, 127]: two for a narrow integer (|q| <= 16383, so the upper within [-64, 64]), three for a wide one.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace isobit::ISOBIT_ISA {

constexpr int SIDE = 16, STEP = 64, BLOCK_BYTES = SIDE * STEP;  // a block: 16 lines, 64 integers of each, one digit
constexpr int64_t INT32_LIMIT = int64_t{1} << 31;

// Accumulators of one pair of panels: sums of products of digits i and j, by i + j. Bounds over K integers:
// narrow: (0) 128 * 128 K, (1) 2 * 64 * 128 K, (2) 64 * 64 K; wide: at most three products of 128 * 128 each.
constexpr int64_t LONGEST_NARROW = 131008, LONGEST_WIDE = 43648;
static_assert(LONGEST_NARROW % STEP == 0 && LONGEST_NARROW * 128 * 128 < INT32_LIMIT, "a narrow sum fits int32");
static_assert(LONGEST_WIDE % STEP == 0 && LONGEST_WIDE * 3 * 128 * 128 < INT32_LIMIT, "a wide sum fits int32");

// The tile registers of one thread, for the life of the object: eight of 16 rows by 64 bytes.
class Tiles {
  public:
    Tiles() {
        struct alignas(64) {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t row_bytes[16] = {};
            uint8_t rows[16] = {};
        } shape;
        for (int tile = 0; tile < 8; ++tile) shape.row_bytes[tile] = STEP, shape.rows[tile] = SIDE;
        asm volatile("" ::"m"(shape) : "memory");
        _tile_loadconfig(&shape);
    }
    ~Tiles() { _tile_release(); }
    Tiles(const Tiles &) = delete;
};

// As assembly, because a macro of the compiler's header is a statement.
template <int TILE>
static inline __attribute__((always_inline)) void clear() {
    asm volatile("tilezero %%tmm%c0" ::"i"(TILE));
}
template <int TILE>
static inline __attribute__((always_inline)) void load_tile(const int8_t *block) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(TILE), "r"(block), "r"(int64_t{STEP}));
}
template <int TILE>
static inline __attribute__((always_inline)) void store_tile(int32_t *rows) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(TILE), "r"(rows), "r"(int64_t{STEP}) : "memory");
}
template <int SUMS, int A, int B>
static inline __attribute__((always_inline)) void dot_tiles() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(SUMS), "i"(A), "i"(B));
}

// c[e] += rest[e] for one tile of sums.
static inline void add_tile(int32_t *c, const int32_t *rest) {
    for (int e = 0; e < SIDE * SIDE; e += 16)
        _mm512_storeu_si512(c + e, _mm512_add_epi32(_mm512_loadu_si512(c + e), _mm512_loadu_si512(rest + e)));
}

constexpr int TILE = SIDE * SIDE;  // int32 sums

// a: a panel of rows, [step][digit][16 lines][64]; b: one of columns, [step][digit][16 groups of 4][16 lines][4].
// sums: [3][16][16].
static inline void multiply_narrow(const int8_t *a, const int8_t *b, int64_t steps, int32_t *sums) {
    asm volatile("" ::: "memory");  // what was packed is written
    clear<0>(), clear<1>(), clear<2>(), clear<3>();
    for (const int8_t *const end = a + steps * 2 * BLOCK_BYTES; a < end; a += 2 * BLOCK_BYTES, b += 2 * BLOCK_BYTES) {
        load_tile<4>(a), load_tile<5>(a + BLOCK_BYTES);
        load_tile<6>(b), load_tile<7>(b + BLOCK_BYTES);
        dot_tiles<0, 4, 6>(), dot_tiles<1, 4, 7>(), dot_tiles<3, 5, 6>(), dot_tiles<2, 5, 7>();
    }
    store_tile<0>(sums), store_tile<1>(sums + TILE), store_tile<2>(sums + 2 * TILE);
    alignas(64) int32_t rest[TILE];
    store_tile<3>(rest);
    add_tile(sums + TILE, rest);
}

// Two panels of b at once, the second `next` bytes on; sums: [2][3][16][16]. Every accumulator rests for three products
// before it is used again: a product takes 16 cycles and its result 52.
static inline void multiply_narrow_twice(const int8_t *a, const int8_t *b, int64_t next, int64_t steps, int32_t *sums) {
    asm volatile("" ::: "memory");
    clear<0>(), clear<1>(), clear<2>(), clear<3>(), clear<4>(), clear<5>();
    for (const int8_t *const end = a + steps * 2 * BLOCK_BYTES; a < end; a += 2 * BLOCK_BYTES, b += 2 * BLOCK_BYTES) {
        const int8_t *const second = b + next;
        load_tile<6>(a);
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<1, 6, 7>();
        load_tile<7>(second + BLOCK_BYTES), dot_tiles<4, 6, 7>();
        load_tile<7>(b), dot_tiles<0, 6, 7>();
        load_tile<7>(second), dot_tiles<3, 6, 7>();
        load_tile<6>(a + BLOCK_BYTES);
        load_tile<7>(b), dot_tiles<1, 6, 7>();
        load_tile<7>(second), dot_tiles<4, 6, 7>();
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<2, 6, 7>();
        load_tile<7>(second + BLOCK_BYTES), dot_tiles<5, 6, 7>();
    }
    store_tile<0>(sums), store_tile<1>(sums + TILE), store_tile<2>(sums + 2 * TILE);
    store_tile<3>(sums + 3 * TILE), store_tile<4>(sums + 4 * TILE);
    store_tile<5>(sums + 5 * TILE);
}

// sums: [5][16][16].
static inline void multiply_wide(const int8_t *a, const int8_t *b, int64_t steps, int32_t *sums) {
    asm volatile("" ::: "memory");
    clear<0>(), clear<1>(), clear<2>(), clear<3>(), clear<4>(), clear<5>();
    for (const int8_t *const end = a + steps * 3 * BLOCK_BYTES; a < end; a += 3 * BLOCK_BYTES, b += 3 * BLOCK_BYTES) {
        load_tile<6>(a);
        load_tile<7>(b), dot_tiles<0, 6, 7>();
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<1, 6, 7>();
        load_tile<7>(b + 2 * BLOCK_BYTES), dot_tiles<2, 6, 7>();
        load_tile<6>(a + BLOCK_BYTES), dot_tiles<3, 6, 7>();
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<5, 6, 7>();
        load_tile<7>(b), dot_tiles<1, 6, 7>();
        load_tile<6>(a + 2 * BLOCK_BYTES), dot_tiles<2, 6, 7>();
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<3, 6, 7>();
        load_tile<7>(b + 2 * BLOCK_BYTES), dot_tiles<4, 6, 7>();
    }
    store_tile<0>(sums), store_tile<1>(sums + TILE), store_tile<2>(sums + 2 * TILE);
    store_tile<3>(sums + 3 * TILE), store_tile<4>(sums + 4 * TILE);
    alignas(64) int32_t rest[TILE];  // the product of the middle digits
    store_tile<5>(rest);
    add_tile(sums + 2 * TILE, rest);
}

}  // namespace isobit::ISOBIT_ISA
