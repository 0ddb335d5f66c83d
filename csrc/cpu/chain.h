// Elementwise float32 operators one after another on values that stay in registers: a link takes some vectors, changes
// them and calls the next, so a chain of operators reads and writes memory once. Within a chain a NaN may be any: only
// what looks at its bits, and memory, must see the law's.
#pragma once

#include <utility>

#include "arithmetic.h"
#include "functions.h"
#include "lane_sums.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int COUNT = VECTOR_BYTES == 64 ? 8 : 4;  // vectors of a link: half of the registers at most
constexpr int64_t LINK_ELEMENTS = COUNT * WIDTH;

static inline Lanes one_nan(Lanes x) {
#if defined(__AVX512F__)
    return canonical(x);
#else
    return chosen(x == x, x, all_lanes(float_of(CANONICAL_NAN)));
#endif
}

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

// The operators: a is the chain's value, x the other operand. Larger and Smaller look at the bits of a NaN.
#define TWO(NAME, VALUE)                                                                                               \
    struct NAME {                                                                                                      \
        static Lanes value(Lanes a, Lanes x) { return VALUE; }                                                         \
    };
TWO(Added, a + x)
TWO(Less, a - x)
TWO(LessFrom, x - a)
TWO(Times, a *x)
TWO(Over, a / x)
TWO(Under, x / a)
TWO(Larger, chosen(rising_keys(a) >= rising_keys(x), a, x))
TWO(Smaller, chosen(falling_keys(a) <= falling_keys(x), a, x))
#undef TWO

#define ONE(NAME, VALUE)                                                                                               \
    struct NAME {                                                                                                      \
        static Lanes value(Lanes a) { return VALUE; }                                                                  \
    };
ONE(Negated, (Lanes)((Signed)a ^ INT32_MIN))
ONE(Magnitude, (Lanes)((Signed)a & INT32_MAX))
ONE(Root, square_root(a))
ONE(OneNan, one_nan(a))
ONE(Same, a)
#undef ONE

struct Link;

template <size_t>
using EachLanes = Lanes;

template <class>
struct LinkCode;

// The vectors are arguments, which the calling convention keeps in registers.
template <size_t... I>
struct LinkCode<std::index_sequence<I...>> {
    using Run = void (*)(EachLanes<I>..., const Link *, int64_t at);

    static inline void next(EachLanes<I>... a, const Link *link, int64_t at);

    static void start(const Link *link, int64_t at);

    template <class From>
    static void load(EachLanes<I>..., const Link *link, int64_t at) {
        return next(From::get(link, at, I)..., link, at);
    }

    // F makes every NaN of what it stores the law's, where one may be another.
    template <class F>
    static void store(EachLanes<I>... a, const Link *link, int64_t at);

    template <class F, class From>
    static void two(EachLanes<I>... a, const Link *link, int64_t at) {
        return next(F::value(a, From::get(link, at, I))..., link, at);
    }

    template <class F>
    static void self(EachLanes<I>... a, const Link *link, int64_t at) {
        return next(F::value(a, a)..., link, at);
    }

    template <class F>
    static void one(EachLanes<I>... a, const Link *link, int64_t at) {
        return next(F::value(a)..., link, at);
    }

    // F changes them, some at a time.
    template <class F>
    static void all(EachLanes<I>... a, const Link *link, int64_t at) {
        F::change(link, a...);
        return next(a..., link, at);
    }

    static void end(EachLanes<I>..., const Link *, int64_t) {}
};

using Code = LinkCode<std::make_index_sequence<COUNT>>;

struct Link {
    Code::Run run;
    char *place;  // what it reads or writes, at the chain's first element
};

template <size_t... I>
inline void LinkCode<std::index_sequence<I...>>::next(EachLanes<I>... a, const Link *link, int64_t at) {
    ++link;
    return link->run(a..., link, at);
}

template <size_t... I>
void LinkCode<std::index_sequence<I...>>::start(const Link *link, int64_t at) {
    return link->run(((void)I, Lanes{})..., link, at);
}

template <size_t... I>
template <class F>
void LinkCode<std::index_sequence<I...>>::store(EachLanes<I>... a, const Link *link, int64_t at) {
    ((void)(a = F::value(a)), ...);
    (std::memcpy(link->place + 4 * at + I * VECTOR_BYTES, &a, sizeof a), ...);
    return next(a..., link, at);
}

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

#if defined(__AVX512DQ__)
struct OverOne {
    template <class... More>
    __attribute__((always_inline)) static void change(const Link *link, Lanes &a, Lanes &b, Lanes &c, Lanes &d,
                                                      More &...more) {
        divide_four(a, b, c, d, Divisor(*reinterpret_cast<const float *>(link->place)));
        if constexpr (sizeof...(more)) change(link, more...);
    }
};
#endif

#if defined(ISOBIT_PAIRS)
// The double functions of the values that are not sure, in place of y's.
template <float (*F)(float)>
__attribute__((noinline)) void settle(const float *x, const uint32_t *sure, float *y) {
    isobit_waiting<F> waiting;
    for (int64_t i = 0; i < LINK_ELEMENTS; i += LANES, waiting.finish()) waiting.add(x + i, *sure++ ^ EVERY, y + i);
}

// Arguments wait in memory for the rare case: a vector that lives across its call would always be kept there.
template <class Fast, float (*F)(float)>
struct Function {
    template <class... All>
    __attribute__((always_inline)) static void change(const Link *, All &...a) {
        Lanes x[COUNT] = {a...};
        uint32_t sure[COUNT / 2];
        if (__builtin_expect(pairs(sure, a...) == EVERY, 1)) return;
        Lanes y[COUNT] = {a...}, *next = y;
        settle<F>(reinterpret_cast<const float *>(x), sure, reinterpret_cast<float *>(y));
        ((void)(a = *next++), ...);
    }

    template <class... More>
    __attribute__((always_inline)) static uint32_t pairs(uint32_t *sure, Lanes &a, Lanes &b, More &...more) {
        const isobit_rounded result = Fast::value({(Vector)a, (Vector)b});
        a = (Lanes)result.y.first, b = (Lanes)result.y.second, *sure = result.sure;
        if constexpr (sizeof...(more))
            return result.sure & pairs(sure + 1, more...);
        else
            return result.sure;
    }
};
#endif

// The links of one operator: with an operand of as many values, of one, with itself (or alone, where it has no other);
// and with the operands exchanged.
struct Links {
    Code::Run lanes = nullptr, one = nullptr, self = nullptr, under_lanes = nullptr, under_one = nullptr;
    bool wants_one_nan = false;  // of the chain's value
    bool gives_any_nan = false;
};

template <class F, class Exchanged>
constexpr Links links_of_two(Code::Run one = Code::two<F, FromOne>) {
    return {Code::two<F, FromLanes>,       one,   Code::self<F>, Code::two<Exchanged, FromLanes>,
            Code::two<Exchanged, FromOne>, false, true};
}

template <class F>
constexpr Links links_of_extremum() {
    return {Code::two<F, FromLanes>, Code::two<F, FromOne>, Code::self<F>,
            Code::two<F, FromLanes>, Code::two<F, FromOne>, true};
}

template <class F>
constexpr Links links_of_one() {
    return {nullptr, nullptr, Code::one<F>, nullptr, nullptr, false, true};
}

#if defined(ISOBIT_PAIRS)
template <class Fast, float (*F)(float)>
constexpr Links links_of_function() {
    return {nullptr, nullptr, Code::all<Function<Fast, F>>};
}
#endif

}  // namespace
}  // namespace isobit::ISOBIT_ISA
