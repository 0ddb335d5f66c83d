// Elementwise loops: an operator is a function over short contiguous blocks; the driver brings strided and repeated
// operands into that form, and shares the blocks out to threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tensor.h"

namespace isobit::ISOBIT_ISA {

// Computes n elements; gives the position of the first fault among them, or -1.
using Block = int64_t (*)(const void *const *inputs, void *output, int64_t n);

// The operators of two operands also take one value in place of n, for the operands whose bit is set in `repeated`.
using PairBlock = void (*)(const void *const *inputs, void *output, int64_t n, uint32_t repeated);

struct Blocks {
    Block block = nullptr;
    PairBlock pair = nullptr;
};

constexpr int64_t CHEAP = 32768;  // elements worth a thread: where memory is the limit, and
constexpr int64_t COSTLY = 4096;  // where arithmetic is

// While it points somewhere, for_blocks leaves its blocks there and computes nothing: a group asks operators for them.
extern thread_local Blocks *asked_blocks;

// Every input has the output's shape; the caller has checked dtypes. `reason` is that of a fault.
void for_blocks(const isobit_call &call, const Blocks &blocks, int64_t grain, const char *reason);

template <class F, class T, class R>
static int64_t unary(const void *const *inputs, void *output, int64_t n) {
    const T *x = static_cast<const T *>(inputs[0]);
    R *out = static_cast<R *>(output);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = F::value(x[i]);
    return -1;
}

template <class F, class T, class R>
static void pair(const void *const *inputs, void *output, int64_t n, uint32_t repeated) {
    const T *a = static_cast<const T *>(inputs[0]), *b = static_cast<const T *>(inputs[1]);
    R *out = static_cast<R *>(output);
    const T first = *a, second = *b;
    switch (repeated) {
        case 0:
#pragma GCC ivdep
            for (int64_t i = 0; i < n; ++i) out[i] = F::value(a[i], b[i]);
            return;
        case 1:
#pragma GCC ivdep
            for (int64_t i = 0; i < n; ++i) out[i] = F::value(first, b[i]);
            return;
        case 2:
#pragma GCC ivdep
            for (int64_t i = 0; i < n; ++i) out[i] = F::value(a[i], second);
            return;
        default: std::fill_n(out, n, static_cast<R>(F::value(first, second)));
    }
}

template <PairBlock PAIR>
static int64_t without_repeats(const void *const *inputs, void *output, int64_t n) {
    PAIR(inputs, output, n, 0);
    return -1;
}

template <class F, class T, class R>
constexpr Blocks binary() {
    return {without_repeats<pair<F, T, R>>, pair<F, T, R>};
}

static inline void run_blocks(const isobit_call &call, int inputs, const Blocks (&blocks)[5], int32_t dtype = -1,
                              int64_t grain = CHEAP, const char *reason = "") {
    want_inputs(call, inputs), want_attributes(call, 0);
    const isobit_tensor &x = call.inputs[0];
    if (!blocks[x.dtype].block) invalid("got %s, want another dtype", show(x).text);
    for (int i = 1; i < inputs; ++i)
        if (call.inputs[i].dtype != x.dtype || !same_shape(call.inputs[i], x))
            invalid("got %s and %s, want equal types", show(x).text, show(call.inputs[i]).text);
    want_output(call, dtype < 0 ? x.dtype : dtype, x.rank, x.shape);
    for_blocks(call, blocks[x.dtype], grain, reason);
}

}  // namespace isobit::ISOBIT_ISA
