/* The C ABI of every native operator: what cffi reads, what bind.cpp binds, what another language links.

   What each operator computes is docs/numerics.md. Every function checks ranks, shapes, dtypes, strides and
   attributes before it touches memory; it cannot check that `data` points to as many elements as they say. */
#ifndef ISOBIT_H
#define ISOBIT_H

#include <stdint.h>

#ifdef __FAST_MATH__
#error "isobit: -ffast-math changes bits"
#endif

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* begin of the declarations */
typedef struct {
    void *data;
    int32_t dtype; /* 0 float32, 1 int64, 2 int32, 3 uint32, 4 bool (one byte, 0 or 1) */
    int32_t rank;
    int64_t shape[8];
    int64_t stride[8]; /* in elements, >= 0; an output is contiguous */
} isobit_tensor;

typedef struct {
    const isobit_tensor *inputs;
    int32_t input_count;
    const int64_t *attributes; /* in the order of the law; a list is its length, then its values */
    int32_t attribute_count;
    const isobit_tensor *output; /* allocated by the caller, apart from every input; elementwise operators also
                                    allow a contiguous input's own memory */
    int32_t threads;
} isobit_call;

typedef struct {
    int32_t status;    /* 0 ok, 1 invalid argument, 2 fault, 3 out of memory */
    int64_t element;   /* of a fault: the lowest faulting element, row-major in the operand that holds it */
    char message[256]; /* of an invalid argument: "operator: got ..., want ..."; of a fault: the reason */
} isobit_error;

typedef int32_t (*isobit_operator)(const isobit_call *, isobit_error *);

isobit_operator isobit_find(const char *name);   /* NULL if there is no such operator */
int32_t isobit_operator_index(const char *name); /* its number in the code of a group; -1 if there is none */

/* A group of elementwise operators, and of sums and extrema of rows, in one pass over memory: the bits of its members.
   The code is described in csrc/cpu/group.cpp. */
typedef struct {
    const isobit_tensor *inputs; /* of the domain's number of elements, or of one element per row */
    int32_t input_count;
    const isobit_tensor *outputs; /* contiguous, apart from every input */
    int32_t output_count;
    const int32_t *code;
    int32_t code_count;
    int64_t size;    /* elements of the domain */
    int64_t columns; /* elements per row; 0 where no member works on rows */
    int32_t threads;
} isobit_group;

int32_t isobit_run_group(const isobit_group *, isobit_error *);
const char *isobit_isa(void); /* plain, avx2, avx512, amx or neon; NULL where the variable ISOBIT_ISA names another */

int32_t isobit_copy(const isobit_call *, isobit_error *);         /* x as a contiguous array */
int32_t isobit_group_maxima(const isobit_call *, isobit_error *); /* (x; axes): maxima of |x| as bits, uint32 */

int32_t isobit_concat(const isobit_call *, isobit_error *);
int32_t isobit_pad(const isobit_call *, isobit_error *);
int32_t isobit_iota(const isobit_call *, isobit_error *);

int32_t isobit_add(const isobit_call *, isobit_error *);
int32_t isobit_sub(const isobit_call *, isobit_error *);
int32_t isobit_mul(const isobit_call *, isobit_error *);
int32_t isobit_div(const isobit_call *, isobit_error *);
int32_t isobit_floor_divide(const isobit_call *, isobit_error *);
int32_t isobit_remainder(const isobit_call *, isobit_error *);
int32_t isobit_maximum(const isobit_call *, isobit_error *);
int32_t isobit_minimum(const isobit_call *, isobit_error *);
int32_t isobit_neg(const isobit_call *, isobit_error *);
int32_t isobit_abs(const isobit_call *, isobit_error *);
int32_t isobit_sqrt(const isobit_call *, isobit_error *);
int32_t isobit_rsqrt(const isobit_call *, isobit_error *);
int32_t isobit_exp(const isobit_call *, isobit_error *);
int32_t isobit_exp2(const isobit_call *, isobit_error *);
int32_t isobit_expm1(const isobit_call *, isobit_error *);
int32_t isobit_log(const isobit_call *, isobit_error *);
int32_t isobit_log2(const isobit_call *, isobit_error *);
int32_t isobit_log10(const isobit_call *, isobit_error *);
int32_t isobit_log1p(const isobit_call *, isobit_error *);
int32_t isobit_sin(const isobit_call *, isobit_error *);
int32_t isobit_cos(const isobit_call *, isobit_error *);
int32_t isobit_tanh(const isobit_call *, isobit_error *);
int32_t isobit_erf(const isobit_call *, isobit_error *);
int32_t isobit_sigmoid(const isobit_call *, isobit_error *);
int32_t isobit_floor(const isobit_call *, isobit_error *);
int32_t isobit_ceil(const isobit_call *, isobit_error *);
int32_t isobit_trunc(const isobit_call *, isobit_error *);
int32_t isobit_round(const isobit_call *, isobit_error *);
int32_t isobit_eq(const isobit_call *, isobit_error *);
int32_t isobit_lt(const isobit_call *, isobit_error *);
int32_t isobit_le(const isobit_call *, isobit_error *);
int32_t isobit_bit_and(const isobit_call *, isobit_error *);
int32_t isobit_bit_or(const isobit_call *, isobit_error *);
int32_t isobit_bit_xor(const isobit_call *, isobit_error *);
int32_t isobit_bit_not(const isobit_call *, isobit_error *);
int32_t isobit_shift_left(const isobit_call *, isobit_error *);
int32_t isobit_shift_right(const isobit_call *, isobit_error *);
int32_t isobit_select(const isobit_call *, isobit_error *);
int32_t isobit_cast(const isobit_call *, isobit_error *);

int32_t isobit_sum(const isobit_call *, isobit_error *);
int32_t isobit_amax(const isobit_call *, isobit_error *);
int32_t isobit_amin(const isobit_call *, isobit_error *);
int32_t isobit_argmax(const isobit_call *, isobit_error *);
int32_t isobit_cumsum(const isobit_call *, isobit_error *);

int32_t isobit_matmul(const isobit_call *, isobit_error *);
int32_t isobit_conv(const isobit_call *, isobit_error *);
int32_t isobit_conv_grad_input(const isobit_call *, isobit_error *);
int32_t isobit_conv_grad_weight(const isobit_call *, isobit_error *);

int32_t isobit_take_rows(const isobit_call *, isobit_error *);
int32_t isobit_add_rows(const isobit_call *, isobit_error *);
int32_t isobit_gather(const isobit_call *, isobit_error *);
int32_t isobit_scatter_add(const isobit_call *, isobit_error *);
int32_t isobit_argsort(const isobit_call *, isobit_error *);
int32_t isobit_max_pool_index(const isobit_call *, isobit_error *);

int32_t isobit_random_bits(const isobit_call *, isobit_error *);
/* end of the declarations */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
