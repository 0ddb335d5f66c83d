// The innermost loop of the exact products on AMX: int8 digits, sixteen lines by sixteen, summed in int32.
//
// q + 0x808080 written in base 256 has digits of 0 to 255; less 128 each they are the signed digits of q, all of them
// within [-128, 127]: two for a narrow integer (|q| <= 16383, so the upper within [-64, 64]), three for a wide one.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace isobit::ISOBIT_ISA {

constexpr int SIDE = 16, STEP = 64, BLOCK_BYTES = SIDE * STEP;  // a block: 16 lines, 64 integers of each, one digit
constexpr int64_t INT32_LIMIT = int64_t{1} << 31;

// Accumulators of one pair of panels: sums of products of digits i and j, by i + j. Bounds over K integers:
// narrow: (0) 128 * 128 K, (1) 2 * 64 * 128 K, (2) 64 * 64 K; wide: at most three products of 128 * 128 each. Joining
// carries the upper part of one sum, less than a part in 128 of its bound, into the next.
constexpr int64_t LONGEST_NARROW = 129024, LONGEST_WIDE = 43008, LONGEST_SHORT = 4032, LONGEST_PAIRED = 192;
static_assert(LONGEST_NARROW * 128 * 129 < INT32_LIMIT, "a narrow sum and its carry fit int32");
static_assert(LONGEST_WIDE * 3 * 128 * 129 < INT32_LIMIT, "a wide sum and its carry fit int32");
static_assert(LONGEST_PAIRED * 128 * 128 * (1 + 2 * 256 + 3) < INT32_LIMIT, "two wide sums fit int32");
static_assert(LONGEST_SHORT * (64 * 64 + 65) <= 1 << 24, "the upper part of a narrow sum is a float32");

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
static inline __attribute__((always_inline)) void load_rows(const int8_t *rows, int64_t stride) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(TILE), "r"(rows), "r"(stride));
}
template <int TILE>
static inline __attribute__((always_inline)) void store_tile(int32_t *rows) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(TILE), "r"(rows), "r"(int64_t{STEP}) : "memory");
}
template <int SUMS, int A, int B>
static inline __attribute__((always_inline)) void dot_tiles() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(SUMS), "i"(A), "i"(B));
}

// The unit that adds vectors of 512 bits rests after some 2000 cycles without work, and the next tile that is stored
// then waits 700 cycles for it: one addition a step keeps it awake. zero: 0, and stays it.
static inline __attribute__((always_inline)) void keep_awake(__m512 &zero) {
    asm volatile("vaddps %0, %0, %0" : "+v"(zero));
}

template <int N>
using Index = std::integral_constant<int, N>;

// c[e] += rest[e] for one tile of sums.
static inline void add_tile(int32_t *c, const int32_t *rest) {
    for (int e = 0; e < SIDE * SIDE; e += 16)
        _mm512_storeu_si512(c + e, _mm512_add_epi32(_mm512_loadu_si512(c + e), _mm512_loadu_si512(rest + e)));
}

constexpr int TILE = SIDE * SIDE;  // int32 sums

// The accumulators 0 to COUNT - 1: from `sums`, or from zero where the sums begin.
template <bool BEGINS, int COUNT>
static inline __attribute__((always_inline)) void open_sums(const int32_t *sums) {
    const auto open = [&](auto index) __attribute__((always_inline)) {
        constexpr int TO = decltype(index)::value;
        if (TO < COUNT) BEGINS ? clear<TO>() : load_tile<TO>(reinterpret_cast<const int8_t *>(sums + TO * TILE));
    };
    open(Index<0>()), open(Index<1>()), open(Index<2>()), open(Index<3>()), open(Index<4>()), open(Index<5>());
}
template <int COUNT>
static inline __attribute__((always_inline)) void close_sums(int32_t *sums) {
    const auto close = [&](auto index) __attribute__((always_inline)) {
        constexpr int FROM = decltype(index)::value;
        if (FROM < COUNT) store_tile<FROM>(sums + FROM * TILE);
    };
    close(Index<0>()), close(Index<1>()), close(Index<2>()), close(Index<3>()), close(Index<4>()), close(Index<5>());
}

// Accumulator R turns from the unit before, whose sum goes to `before`, to the next: from zero, or from its `sums`. It
// does so where it is first used: stores then run beside the products of other accumulators.
template <bool BEGINS>
struct Turn {
    int32_t *before;
    const int32_t *sums;

    template <int R>
    inline __attribute__((always_inline)) void operator()(Index<R>) const {
        store_tile<R>(before + R * TILE);
        BEGINS ? clear<R>() : load_tile<R>(reinterpret_cast<const int8_t *>(sums + R * TILE));
    }
};
struct Turned {
    template <int R>
    void operator()(Index<R>) const {}
};

// Without a step.
template <int COUNT, class Turning>
static inline void turn_all(const Turning &turn) {
    turn(Index<0>()), turn(Index<1>()), turn(Index<2>()), turn(Index<3>()), turn(Index<4>());
    if constexpr (COUNT > 5) turn(Index<5>());
}

// Where sixteen rows of the first operand lie, 64 integers of a digit in each: bytes from one row to the next, from one
// digit and from one step.
struct TileRows {
    const int8_t *first;
    int64_t stride, digit_size, step_size;
};

// Between the tile instructions of its first step a multiply_* calls between(0) to between(PAUSES - 1): vector
// instructions given there run beside the tile unit, which a longer run of them would starve.
constexpr int PAUSES = 8;
constexpr auto never = [](int) {};

// b: a panel of columns, [step][digit][16 groups of 4][16 lines][4].
// sums: [3][16][16], added to unless they begin.
template <bool BEGINS, class Between, class Ahead>
static inline void multiply_narrow(const TileRows &a, const int8_t *b, int64_t steps, int32_t *sums,
                                   const Between &between, Ahead &ahead) {
    asm volatile("" ::: "memory");  // what was packed is written
    open_sums<BEGINS, 3>(sums), clear<3>();
    const int8_t *rows = a.first;
    __m512 rest = _mm512_setzero_ps();
    const auto step = [&](const auto &pause) __attribute__((always_inline)) {
        load_rows<4>(rows, a.stride), load_tile<6>(b), dot_tiles<0, 4, 6>(), pause(0), pause(1);
        load_tile<7>(b + BLOCK_BYTES), dot_tiles<1, 4, 7>(), pause(2), pause(3);
        load_rows<5>(rows + a.digit_size, a.stride), dot_tiles<3, 5, 6>(), pause(4), pause(5);
        dot_tiles<2, 5, 7>(), pause(6), pause(7);
        ahead(), keep_awake(rest), rows += a.step_size, b += 2 * BLOCK_BYTES;
    };
    if (steps) step(between);
    while (--steps > 0) step(never);
    close_sums<3>(sums);
    alignas(64) int32_t second[TILE];
    store_tile<3>(second);
    add_tile(sums + TILE, second);
}

// Two panels of b at once, the second `next` bytes on; sums: [2][3][16][16]. Every accumulator rests for three products
// before it is used again: a product takes 16 cycles and its result 52. The sums stay in their registers, to be stored
// by the next unit or by close_sums; turn: has those of the unit before.
template <class Turning, class Between, class Ahead>
static inline void multiply_narrow_twice(const TileRows &a, const int8_t *b, int64_t next, int64_t steps,
                                         const Turning &first, const Between &between, Ahead &ahead) {
    asm volatile("" ::: "memory");
    const int8_t *rows = a.first;
    __m512 rest = _mm512_setzero_ps();
    const auto step = [&](const auto &turn, const auto &pause) __attribute__((always_inline)) {
        const int8_t *const second = b + next;
        load_rows<6>(rows, a.stride);
        load_tile<7>(second + BLOCK_BYTES), turn(Index<4>()), dot_tiles<4, 6, 7>(), pause(0);
        load_tile<7>(b + BLOCK_BYTES), turn(Index<1>()), dot_tiles<1, 6, 7>(), pause(1);
        load_tile<7>(b), turn(Index<0>()), dot_tiles<0, 6, 7>(), pause(2);
        load_tile<7>(second), turn(Index<3>()), dot_tiles<3, 6, 7>(), pause(3);
        load_rows<6>(rows + a.digit_size, a.stride), dot_tiles<4, 6, 7>(), pause(4);
        load_tile<7>(b), dot_tiles<1, 6, 7>(), pause(5);
        load_tile<7>(b + BLOCK_BYTES), turn(Index<2>()), dot_tiles<2, 6, 7>(), pause(6);
        load_tile<7>(second + BLOCK_BYTES), turn(Index<5>()), dot_tiles<5, 6, 7>(), pause(7);
        ahead(), keep_awake(rest), rows += a.step_size, b += 2 * BLOCK_BYTES;
    };
    steps ? step(first, between) : turn_all<6>(first);
    while (--steps > 0) step(Turned(), never);
}

// sums: [5][16][16]. Three registers of operands take eight loads; the order of the products was found by trying.
template <class Turning, class Between, class Ahead>
static inline void multiply_wide(const TileRows &a, const int8_t *b, int64_t steps, const Turning &first,
                                 const Between &between, Ahead &ahead) {
    asm volatile("" ::: "memory");
    const int8_t *rows = a.first;
    __m512 rest = _mm512_setzero_ps();
    const auto step = [&](const auto &turn, const auto &pause) __attribute__((always_inline)) {
        load_rows<6>(rows + 2 * a.digit_size, a.stride);
        load_tile<5>(b + BLOCK_BYTES), turn(Index<3>()), dot_tiles<3, 6, 5>(), pause(0);
        load_rows<7>(rows + a.digit_size, a.stride), turn(Index<2>()), dot_tiles<2, 7, 5>(), pause(1);
        load_tile<5>(b + 2 * BLOCK_BYTES), dot_tiles<3, 7, 5>(), pause(2);
        load_rows<7>(rows, a.stride), dot_tiles<2, 7, 5>(), pause(3);
        turn(Index<4>()), dot_tiles<4, 6, 5>(), pause(4);
        load_tile<5>(b), dot_tiles<2, 6, 5>(), pause(5);
        turn(Index<0>()), dot_tiles<0, 7, 5>(), pause(6);
        load_rows<6>(rows + a.digit_size, a.stride), turn(Index<1>()), dot_tiles<1, 6, 5>(), pause(7);
        load_tile<6>(b + BLOCK_BYTES), dot_tiles<1, 7, 6>();
        ahead(), keep_awake(rest), rows += a.step_size, b += 3 * BLOCK_BYTES;
    };
    steps ? step(first, between) : turn_all<5>(first);
    while (--steps > 0) step(Turned(), never);
}

}  // namespace isobit::ISOBIT_ISA
