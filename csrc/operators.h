// The list of the native operators, and the table that each instruction set fills.
//
// csrc/cpu/<family>.cpp defines `void isobit::<isa>::op_<name>(const isobit_call &)`. Every file is compiled once per
// instruction set; -DISOBIT_ISA=<isa> names the namespace, so two builds of one file never share a symbol.
#pragma once

#include <cstddef>

#include "isobit.h"

#define ISOBIT_OPERATORS(X)                                                                                            \
    X(copy)                                                                                                            \
    X(group_maxima)                                                                                                    \
    X(concat)                                                                                                          \
    X(pad) X(iota) X(add) X(sub) X(mul) X(div) X(floor_divide) X(remainder) X(maximum) X(minimum) X(neg) X(abs)        \
        X(sqrt) X(rsqrt) X(exp) X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(sin) X(cos) X(tanh) X(erf)         \
            X(sigmoid) X(floor) X(ceil) X(trunc) X(round) X(eq) X(lt) X(le) X(bit_and) X(bit_or) X(bit_xor) X(bit_not) \
                X(shift_left) X(shift_right) X(select) X(cast) X(sum) X(amax) X(amin) X(argmax) X(cumsum) X(matmul)    \
                    X(conv) X(conv_grad_input) X(conv_grad_weight) X(take_rows) X(add_rows) X(gather) X(scatter_add)   \
                        X(argsort) X(max_pool_index) X(random_bits)

namespace isobit {

using Kernel = void (*)(const isobit_call &);
using GroupKernel = void (*)(const isobit_group &);

enum Dtype : int32_t { FLOAT32 = 0, INT64 = 1, INT32 = 2, UINT32 = 3, BOOL = 4 };

// Refusals: thrown here, caught where the C ABI begins. The operator's name is put in front of the message there.
[[noreturn]] void invalid(const char *format, ...) __attribute__((format(printf, 1, 2)));
[[noreturn]] void fault(int64_t element, const char *reason, ...) __attribute__((format(printf, 2, 3)));

struct Shown {  // a type as text: "float32[2, 3]"
    char text[112];
};
Shown show(const isobit_tensor &tensor);

const char *isa_name(char *message, size_t room);  // NULL and a message where ISOBIT_ISA asks for what is not there

}  // namespace isobit
