// The instructions of a GPU that CUDA C++ has no name for. tests/kernels/cuda_on_cpu.cpp has them for a CPU's threads.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace isobit_cuda {

__device__ inline void copy_16(int8_t *to, const int8_t *from) {
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from));
}

__device__ inline void close_copies() { asm volatile("cp.async.commit_group;"); }

// Waits for all copies but those closed last.
__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_group 1;" ::: "memory"); }

// c += a * b for 16 x 32 of a and 32 x 8 of b; it wraps or saturates only beyond int32.
__device__ inline void multiply_add(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace isobit_cuda
