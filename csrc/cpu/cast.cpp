// Conversions between dtypes (docs/numerics.md, `cast`).
#include <type_traits>

#include "blocks.h"
#include "float_bits.h"

namespace isobit::ISOBIT_ISA {
namespace {

// Truncated, saturated, NaN to 0. The comparisons come first: C++ does not define a conversion out of range.
template <class T>
static inline T saturate(float x) {
    constexpr double high = sizeof(T) == 8 ? 0x1p63 : std::is_signed_v<T> ? 0x1p31 : 0x1p32;  // the first too large
    constexpr double low = std::is_signed_v<T> ? -high : 0.0;
    constexpr T most = sizeof(T) == 8        ? static_cast<T>(INT64_MAX)
                       : std::is_signed_v<T> ? INT32_MAX
                                             : static_cast<T>(UINT32_MAX);
    constexpr T least = std::is_signed_v<T> ? static_cast<T>(-most - 1) : T{0};
    const double wide = x;
    const bool inside = wide >= low && wide < high;
    const T within = static_cast<T>(static_cast<int64_t>(inside ? wide : 0.0));
    return wide >= high ? most : wide < low ? least : within;
}

template <class T, class R>
struct Cast {
    static R value(T x) {
        if constexpr (std::is_same_v<T, float> && std::is_same_v<R, float>)
            return x;
        else if constexpr (std::is_same_v<T, float>)
            return saturate<R>(x);
        else if constexpr (std::is_same_v<R, float>)
            return static_cast<float>(x);
        else
            return static_cast<R>(x);  // modulo 2^bits
    }
};

struct IsNotZero {
    template <class T>
    static uint8_t value(T x) {
        return x != 0;
    }
};

template <class R>
Block cast_to(int32_t from) {
    constexpr Block blocks[] = {unary<Cast<float, R>, float, R>, unary<Cast<int64_t, R>, int64_t, R>,
                                unary<Cast<int32_t, R>, int32_t, R>, unary<Cast<uint32_t, R>, uint32_t, R>,
                                unary<Cast<uint8_t, R>, uint8_t, R>};
    return blocks[from];
}

Block cast_to_bool(int32_t from) {
    constexpr Block blocks[] = {unary<IsNotZero, float, uint8_t>, unary<IsNotZero, int64_t, uint8_t>,
                                unary<IsNotZero, int32_t, uint8_t>, unary<IsNotZero, uint32_t, uint8_t>,
                                unary<IsNotZero, uint8_t, uint8_t>};
    return blocks[from];
}

Block cast_block(int32_t from, int32_t to) {
    switch (to) {
        case FLOAT32: return cast_to<float>(from);
        case INT64: return cast_to<int64_t>(from);
        case INT32: return cast_to<int32_t>(from);
        case UINT32: return cast_to<uint32_t>(from);
        default: return cast_to_bool(from);
    }
}

}  // namespace

void op_cast(const isobit_call &call) {
    want_inputs(call, 1);
    const isobit_tensor &x = call.inputs[0];
    AttributeReader attributes(call);
    const int32_t dtype = static_cast<int32_t>(attributes.next_in("dtype", FLOAT32, BOOL));
    attributes.end();
    want_output(call, dtype, x.rank, x.shape);
    for_blocks(call, {cast_block(x.dtype, dtype)}, CHEAP, "");
}

}  // namespace isobit::ISOBIT_ISA
