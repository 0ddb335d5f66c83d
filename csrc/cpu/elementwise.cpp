// Arithmetic, comparisons and bit operators, one element at a time (docs/numerics.md, Elementwise).
#include <cmath>
#include <type_traits>

#include "arithmetic.h"

namespace isobit::ISOBIT_ISA {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

// Integers wrap: computed as unsigned, where overflow is defined.
#define WRAPPING(NAME, SIGN)                                                                                           \
    struct NAME {                                                                                                      \
        static float value(float a, float b) { return canonical(a SIGN b); }                                           \
        ISOBIT_LANES(SIGN)                                                                                             \
        template <class T>                                                                                             \
        static T value(T a, T b) {                                                                                     \
            return static_cast<T>(static_cast<Unsigned<T>>(a) SIGN static_cast<Unsigned<T>>(b));                       \
        }                                                                                                              \
    };
WRAPPING(Add, +)
WRAPPING(Sub, -)
WRAPPING(Mul, *)
#undef WRAPPING

struct Div {
    static float value(float a, float b) { return canonical(a / b); }
    ISOBIT_LANES(/)
};

struct Maximum {
    static float value(float a, float b) { return rising_key(a) >= rising_key(b) ? a : b; }
    template <class T>
    static T value(T a, T b) {
        return a >= b ? a : b;
    }
};

struct Minimum {
    static float value(float a, float b) { return falling_key(a) <= falling_key(b) ? a : b; }
    template <class T>
    static T value(T a, T b) {
        return a <= b ? a : b;
    }
};

struct Neg {
    static float value(float x) { return canonical(float_of(bits_of(x) ^ 0x80000000u)); }
    template <class T>
    static T value(T x) {
        return static_cast<T>(Unsigned<T>{0} - static_cast<Unsigned<T>>(x));
    }
};

struct Abs {
    static float value(float x) { return float_of(bits_of(x) & 0x7fffffffu); }
    template <class T>
    static T value(T x) {
        return x < 0 ? Neg::value(x) : x;
    }
};

#define COMPARISON(NAME, SIGN)                                                                                         \
    struct NAME {                                                                                                      \
        template <class T>                                                                                             \
        static uint8_t value(T a, T b) {                                                                               \
            return a SIGN b;                                                                                           \
        }                                                                                                              \
    };
COMPARISON(Eq, ==)
COMPARISON(Lt, <)
COMPARISON(Le, <=)
#undef COMPARISON

#define BITWISE(NAME, SIGN)                                                                                            \
    struct NAME {                                                                                                      \
        template <class T>                                                                                             \
        static T value(T a, T b) {                                                                                     \
            return static_cast<T>(a SIGN b);                                                                           \
        }                                                                                                              \
    };
BITWISE(And, &)
BITWISE(Or, |)
BITWISE(Xor, ^)
#undef BITWISE

struct Not {
    static uint8_t value(uint8_t x) { return x ^ 1; }
    template <class T>
    static T value(T x) {
        return static_cast<T>(~x);
    }
};

// An amount outside [0, bits) is clamped first: a shift by it is not defined in C++.
struct ShiftLeft {
    template <class T>
    static T value(T x, T amount) {
        using U = Unsigned<T>;
        constexpr U bits = 8 * sizeof(T);
        const U by = static_cast<U>(amount);
        return static_cast<T>(by < bits ? static_cast<U>(x) << (by & (bits - 1)) : U{0});
    }
};

struct ShiftRight {
    template <class T>
    static T value(T x, T amount) {
        using U = Unsigned<T>;
        constexpr U bits = 8 * sizeof(T);
        const U by = static_cast<U>(amount);
        if constexpr (std::is_signed_v<T>)
            return x >> (by < bits ? by : bits - 1);
        else
            return by < bits ? x >> (by & (bits - 1)) : T{0};
    }
};

// q rounds toward minus infinity, r has the divisor's sign. Dividing by -1 is negation, which wraps where `/` is
// undefined.
template <class T, bool WANT_REMAINDER>
int64_t divide_block(const void *const *inputs, void *output, int64_t n) {
    const T *a = static_cast<const T *>(inputs[0]), *b = static_cast<const T *>(inputs[1]);
    T *out = static_cast<T *>(output);
    for (int64_t i = 0; i < n; ++i) {
        const T x = a[i], y = b[i];
        if (y == 0) return i;
        T quotient, remainder;
        if (std::is_signed_v<T> && y == static_cast<T>(-1)) {
            quotient = Sub::value(T{0}, x), remainder = 0;
        } else {
            quotient = x / y, remainder = x % y;
            if (remainder != 0 && (remainder < 0) != (y < 0)) quotient -= 1, remainder += y;
        }
        out[i] = WANT_REMAINDER ? remainder : quotient;
    }
    return -1;
}

template <class T>
int64_t select_block(const void *const *inputs, void *output, int64_t n) {
    const uint8_t *c = static_cast<const uint8_t *>(inputs[0]);
    const T *a = static_cast<const T *>(inputs[1]), *b = static_cast<const T *>(inputs[2]);
    T *out = static_cast<T *>(output);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
        const T x = a[i], y = b[i];
        out[i] = c[i] ? x : y;
    }
    return -1;
}

template <class F>
void run_arithmetic(const isobit_call &call) {
    run_blocks(call, 2,
               {float_arithmetic<F>(),
                binary<F, int64_t, int64_t>(),
                binary<F, int32_t, int32_t>(),
                binary<F, uint32_t, uint32_t>(),
                {}});
}

template <class F>
void run_extremum(const isobit_call &call) {
    run_blocks(call, 2,
               {binary<F, float, float>(), binary<F, int64_t, int64_t>(), binary<F, int32_t, int32_t>(),
                binary<F, uint32_t, uint32_t>(), binary<F, uint8_t, uint8_t>()});
}

template <class F>
void run_signed(const isobit_call &call) {
    run_blocks(call, 1, {{unary<F, float, float>}, {unary<F, int64_t, int64_t>}, {unary<F, int32_t, int32_t>}, {}, {}});
}

template <class F>
void run_comparison(const isobit_call &call, const Blocks &of_bool) {
    run_blocks(call, 2,
               {binary<F, float, uint8_t>(), binary<F, int64_t, uint8_t>(), binary<F, int32_t, uint8_t>(),
                binary<F, uint32_t, uint8_t>(), of_bool},
               BOOL);
}

template <class F>
void run_bitwise(const isobit_call &call) {
    run_blocks(call, 2,
               {{},
                binary<F, int64_t, int64_t>(),
                binary<F, int32_t, int32_t>(),
                binary<F, uint32_t, uint32_t>(),
                binary<F, uint8_t, uint8_t>()});
}

template <class F>
void run_shift(const isobit_call &call) {
    run_blocks(call, 2,
               {{}, binary<F, int64_t, int64_t>(), binary<F, int32_t, int32_t>(), binary<F, uint32_t, uint32_t>(), {}});
}

template <bool WANT_REMAINDER>
void run_division(const isobit_call &call) {
    run_blocks(call, 2,
               {{},
                {divide_block<int64_t, WANT_REMAINDER>},
                {divide_block<int32_t, WANT_REMAINDER>},
                {divide_block<uint32_t, WANT_REMAINDER>},
                {}},
               -1, COSTLY, "division by zero");
}

}  // namespace

void op_add(const isobit_call &call) { run_arithmetic<Add>(call); }
void op_sub(const isobit_call &call) { run_arithmetic<Sub>(call); }
void op_mul(const isobit_call &call) { run_arithmetic<Mul>(call); }
void op_div(const isobit_call &call) { run_blocks(call, 2, {float_arithmetic<Div>(), {}, {}, {}, {}}); }
void op_floor_divide(const isobit_call &call) { run_division<false>(call); }
void op_remainder(const isobit_call &call) { run_division<true>(call); }
void op_maximum(const isobit_call &call) { run_extremum<Maximum>(call); }
void op_minimum(const isobit_call &call) { run_extremum<Minimum>(call); }
void op_neg(const isobit_call &call) { run_signed<Neg>(call); }
void op_abs(const isobit_call &call) { run_signed<Abs>(call); }
void op_eq(const isobit_call &call) { run_comparison<Eq>(call, binary<Eq, uint8_t, uint8_t>()); }
void op_lt(const isobit_call &call) { run_comparison<Lt>(call, {}); }
void op_le(const isobit_call &call) { run_comparison<Le>(call, {}); }
void op_bit_and(const isobit_call &call) { run_bitwise<And>(call); }
void op_bit_or(const isobit_call &call) { run_bitwise<Or>(call); }
void op_bit_xor(const isobit_call &call) { run_bitwise<Xor>(call); }
void op_shift_left(const isobit_call &call) { run_shift<ShiftLeft>(call); }
void op_shift_right(const isobit_call &call) { run_shift<ShiftRight>(call); }

void op_bit_not(const isobit_call &call) {
    run_blocks(call, 1,
               {{},
                {unary<Not, int64_t, int64_t>},
                {unary<Not, int32_t, int32_t>},
                {unary<Not, uint32_t, uint32_t>},
                {unary<Not, uint8_t, uint8_t>}});
}

void op_select(const isobit_call &call) {
    want_inputs(call, 3), want_attributes(call, 0);
    const isobit_tensor &condition = call.inputs[0], &a = call.inputs[1], &b = call.inputs[2];
    want_dtype("condition", condition, BOOL, "bool");
    if (!same_shape(condition, a) || !same_shape(condition, b) || a.dtype != b.dtype)
        invalid("got %s, %s and %s, want equal shapes and equal types of the last two", show(condition).text,
                show(a).text, show(b).text);
    want_output(call, a.dtype, a.rank, a.shape);
    const int64_t size = item_size(a.dtype);
    for_blocks(call,
               {size == 8   ? select_block<uint64_t>
                : size == 4 ? select_block<uint32_t>
                            : select_block<uint8_t>},
               CHEAP, "");
}

}  // namespace isobit::ISOBIT_ISA
