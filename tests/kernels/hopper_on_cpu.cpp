// csrc/cuda/matmul_hopper.cu on fibers of the CPU: its ring, its descriptors, its tiles, its sums and its rounding.
#include "wgmma_on_cpu.h"

#include "../../csrc/cuda/matmul_hopper.cu"

// With that many processors, in the order that the seed draws. What went wrong, or null.
extern "C" __attribute__((visibility("default"))) const char *multiply_on_cpu(const isobit_cuda::Product *product,
                                                                              int digits, int tile, int cluster,
                                                                              unsigned count, uint64_t seed) {
    isobit_cuda::processors = count;
    isobit_cuda::schedule = seed;
    return isobit_cuda::multiply_on_hopper(*product, digits, tile, cluster, nullptr);
}
