// The product of int8 digits on the tensor cores of an NVIDIA GPU, as kernels/triton/matmul.py has it.
#pragma once

#include <cstdint>

namespace isobit_cuda {

constexpr int RESIDUES = 8;

struct Product {
    const int8_t *a;          // [batch, digits, M, P]
    const int8_t *b;          // [batch, digits, N, P]
    const int32_t *maxima_a;  // [batch, M], bits of the largest |x| of each row
    const int32_t *maxima_b;  // [batch, N]
    float *out;               // [batch, M, N]; not written where sums is given
    int64_t *sums;            // [batch, M, N] zeros that parts are added to, or null
    int64_t batch, M, N, P;   // P: a multiple of 128
    int64_t terms;            // of one part, a multiple of 128: few enough that no accumulator overflows
    int32_t qmax, bits;       // the largest integer, and how many bits it has
    // Of residues (digits = 1), plane i modulo moduli[i % RESIDUES] to [batch, M, N], in place of out.
    int8_t *residues;
    int32_t moduli[RESIDUES];
};

// Starts the product on a stream, on any GPU from Ampere on (matmul.cu). The name of the error, or null.
const char *multiply(const Product &product, int digits, void *stream);

// Starts it on Hopper (matmul_hopper.cu), in tiles of 128 x `tile`, by clusters of that many blocks.
const char *multiply_on_hopper(const Product &product, int digits, int tile, int cluster, void *stream);

// The GPUs that this process can use; 0 where there is no driver.
int devices();

}  // namespace isobit_cuda
