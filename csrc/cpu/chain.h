// Elementwise float32 operators one after another on values that stay in registers: a link takes four vectors, changes
// them and calls the next, so a chain of operators reads and writes memory once.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "arithmetic.h"
#include "functions.h"

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
constexpr int64_t LINK_ELEMENTS = 4 * WIDTH;

struct Link;
using LinkRun = void (*)(Lanes, Lanes, Lanes, Lanes, const Link *, int64_t at);

struct Link {
    LinkRun run;
    char *place;  // what it reads or writes, at the chain's first element
};

static inline Lanes all_lanes(float x) { return x - Lanes{}; }

static inline Lanes chosen(Signed mask, Lanes a, Lanes b) { return (Lanes)(((Signed)a & mask) | ((Signed)b & ~mask)); }

static inline Lanes one_nan(Lanes x) {
#if defined(__AVX512F__)
    return canonical(x);
#else
    return chosen(x == x, x, all_lanes(float_of(CANONICAL_NAN)));
#endif
}

static inline Signed rising_keys(Lanes x) { return (Signed)x ^ (Signed)((Unsigned)((Signed)x >> 31) >> 1); }
static inline Signed falling_keys(Lanes x) { return (Signed)((Unsigned)rising_keys(x) + NAN_STEP); }

static inline Lanes each_lane(Lanes x, float (*f)(float)) {
    for (int i = 0; i < WIDTH; ++i) x[i] = f(x[i]);
    return x;
}

static inline Lanes square_root(Lanes x) {
#if defined(__AVX512F__)
    return (Lanes)_mm512_mask_sqrt_ps((__m512)x, 0xffff, (__m512)x);
#elif defined(__AVX2__)
    return (Lanes)_mm256_sqrt_ps((__m256)x);
#else
    return each_lane(x, [](float value) { return __builtin_sqrtf(value); });
#endif
}

// The operators: a is the chain's value, x the other operand.
#define TWO(NAME, VALUE)                                                                                               \
    struct NAME {                                                                                                      \
        static Lanes value(Lanes a, Lanes x) { return VALUE; }                                                         \
    };
TWO(Added, one_nan(a + x))
TWO(Less, one_nan(a - x))
TWO(LessFrom, one_nan(x - a))
TWO(Times, one_nan(a *x))
TWO(Over, one_nan(a / x))
TWO(Under, one_nan(x / a))
TWO(Larger, chosen(rising_keys(a) >= rising_keys(x), a, x))
TWO(Smaller, chosen(falling_keys(a) <= falling_keys(x), a, x))
#undef TWO

#define ONE(NAME, VALUE)                                                                                               \
    struct NAME {                                                                                                      \
        static Lanes value(Lanes a) { return VALUE; }                                                                  \
    };
ONE(Negated, one_nan((Lanes)((Signed)a ^ INT32_MIN)))
ONE(Magnitude, (Lanes)((Signed)a & INT32_MAX))
ONE(Root, one_nan(square_root(a)))
#undef ONE

struct FromLanes {
    static Lanes get(const Link *link, int64_t at, int i) {
        Lanes x;
        std::memcpy(&x, link->place + 4 * (at + i * WIDTH), sizeof x);
        return x;
    }
};

struct FromOne {
    static Lanes get(const Link *link, int64_t, int) {
        return all_lanes(*reinterpret_cast<const float *>(link->place));
    }
};

static inline void next(Lanes a, Lanes b, Lanes c, Lanes d, const Link *link, int64_t at) {
    ++link;
    return link->run(a, b, c, d, link, at);
}

template <class From>
void link_load(Lanes, Lanes, Lanes, Lanes, const Link *link, int64_t at) {
    return next(From::get(link, at, 0), From::get(link, at, 1), From::get(link, at, 2), From::get(link, at, 3), link,
                at);
}

void link_store(Lanes a, Lanes b, Lanes c, Lanes d, const Link *link, int64_t at) {
    char *to = link->place + 4 * at;
    std::memcpy(to, &a, sizeof a), std::memcpy(to + VECTOR_BYTES, &b, sizeof b);
    std::memcpy(to + 2 * VECTOR_BYTES, &c, sizeof c), std::memcpy(to + 3 * VECTOR_BYTES, &d, sizeof d);
    return next(a, b, c, d, link, at);
}

template <class F, class From>
void link_two(Lanes a, Lanes b, Lanes c, Lanes d, const Link *link, int64_t at) {
    a = F::value(a, From::get(link, at, 0)), b = F::value(b, From::get(link, at, 1));
    c = F::value(c, From::get(link, at, 2)), d = F::value(d, From::get(link, at, 3));
    return next(a, b, c, d, link, at);
}

template <class F>
void link_self(Lanes a, Lanes b, Lanes c, Lanes d, const Link *link, int64_t at) {
    return next(F::value(a, a), F::value(b, b), F::value(c, c), F::value(d, d), link, at);
}

template <class F>
void link_one(Lanes a, Lanes b, Lanes c, Lanes d, const Link *link, int64_t at) {
    return next(F::value(a), F::value(b), F::value(c), F::value(d), link, at);
}

void link_end(Lanes, Lanes, Lanes, Lanes, const Link *, int64_t) {}

#if defined(__AVX512DQ__)
void link_over_one(Lanes a, Lanes b, Lanes c, Lanes d, const Link *link, int64_t at) {
    divide_four(a, b, c, d, Divisor(*reinterpret_cast<const float *>(link->place)));
    return next(a, b, c, d, link, at);
}
#endif

#if defined(ISOBIT_PAIRS)
template <class Fast, float (*F)(float)>
void link_function(Lanes a, Lanes b, Lanes c, Lanes d, const Link *link, int64_t at) {
    const Floats left = isobit_of_lanes<Fast, F>({(Vector)a, (Vector)b});
    const Floats right = isobit_of_lanes<Fast, F>({(Vector)c, (Vector)d});
    return next((Lanes)left.first, (Lanes)left.second, (Lanes)right.first, (Lanes)right.second, link, at);
}
#endif

// The links of one operator: with an operand of as many values, of one, with itself (or alone, where it has no other);
// and with the operands exchanged.
struct Links {
    LinkRun lanes = nullptr, one = nullptr, self = nullptr, under_lanes = nullptr, under_one = nullptr;
};

template <class F, class Exchanged>
constexpr Links links_of_two(LinkRun one = link_two<F, FromOne>) {
    return {link_two<F, FromLanes>, one, link_self<F>, link_two<Exchanged, FromLanes>, link_two<Exchanged, FromOne>};
}

template <class F>
constexpr Links links_of_one() {
    return {nullptr, nullptr, link_one<F>};
}

#if defined(ISOBIT_PAIRS)
template <class Fast, float (*F)(float)>
constexpr Links links_of_function() {
    return {nullptr, nullptr, link_function<Fast, F>};
}
#endif

}  // namespace
}  // namespace isobit::ISOBIT_ISA
