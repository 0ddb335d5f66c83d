// Elementwise loops: an operator is a function over short contiguous blocks; the driver brings strided and repeated
// operands into that form, and shares the blocks out to threads.
#pragma once

#include <cstdint>

#include "tensor.h"

namespace isobit::ISOBIT_ISA {

// Computes n elements; gives the position of the first fault among them, or -1.
using Block = int64_t (*)(const void *const *inputs, void *output, int64_t n);

constexpr int64_t CHEAP = 32768;  // elements worth a thread: where memory is the limit, and
constexpr int64_t COSTLY = 4096;  // where arithmetic is

// While it points somewhere, for_blocks leaves its block there and computes nothing: a group asks operators for theirs.
extern thread_local Block *asked_block;

// Every input has the output's shape; the caller has checked dtypes. `reason` is that of a fault.
void for_blocks(const isobit_call &call, Block block, int64_t grain, const char *reason);

// The block of this dtype, or a refusal that names the operand.
static inline Block block_for(const isobit_tensor &x, const Block (&blocks)[5]) {
    if (!blocks[x.dtype]) invalid("got %s, want another dtype", show(x).text);
    return blocks[x.dtype];
}

template <class F, class T, class R>
static int64_t unary(const void *const *inputs, void *output, int64_t n) {
    const T *x = static_cast<const T *>(inputs[0]);
    R *out = static_cast<R *>(output);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = F::value(x[i]);
    return -1;
}

template <class F, class T, class R>
static int64_t binary(const void *const *inputs, void *output, int64_t n) {
    const T *a = static_cast<const T *>(inputs[0]), *b = static_cast<const T *>(inputs[1]);
    R *out = static_cast<R *>(output);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = F::value(a[i], b[i]);
    return -1;
}

static inline void run_blocks(const isobit_call &call, int inputs, const Block (&blocks)[5], int32_t dtype = -1,
                              int64_t grain = CHEAP, const char *reason = "") {
    want_inputs(call, inputs), want_attributes(call, 0);
    const isobit_tensor &x = call.inputs[0];
    const Block block = block_for(x, blocks);
    for (int i = 1; i < inputs; ++i)
        if (call.inputs[i].dtype != x.dtype || !same_shape(call.inputs[i], x))
            invalid("got %s and %s, want equal types", show(x).text, show(call.inputs[i]).text);
    want_output(call, dtype < 0 ? x.dtype : dtype, x.rank, x.shape);
    for_blocks(call, block, grain, reason);
}

}  // namespace isobit::ISOBIT_ISA
