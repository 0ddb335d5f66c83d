// wgmma of int8: 64 x 32 of a, 32 x N of b, both in shared memory, added to int32 registers of a warp group's threads.
#pragma once

#include <cstdint>

namespace isobit_cuda {

// The text "%0,%1,...": ten of a decade, and what is left of the last.
#define ISOBIT_0_TO_9 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9"
#define ISOBIT_TEN(d) ",%" #d "0,%" #d "1,%" #d "2,%" #d "3,%" #d "4,%" #d "5,%" #d "6,%" #d "7,%" #d "8,%" #d "9"
#define ISOBIT_0_TO_15 ISOBIT_0_TO_9 ",%10,%11,%12,%13,%14,%15"
#define ISOBIT_0_TO_31 ISOBIT_0_TO_9 ISOBIT_TEN(1) ISOBIT_TEN(2) ",%30,%31"
#define ISOBIT_0_TO_63                                                                                                 \
    ISOBIT_0_TO_9 ISOBIT_TEN(1) ISOBIT_TEN(2) ISOBIT_TEN(3) ISOBIT_TEN(4) ISOBIT_TEN(5) ",%60,%61,%62,%63"
#define ISOBIT_0_TO_127                                                                                                \
    ISOBIT_0_TO_9 ISOBIT_TEN(1) ISOBIT_TEN(2) ISOBIT_TEN(3) ISOBIT_TEN(4) ISOBIT_TEN(5) ISOBIT_TEN(6) ISOBIT_TEN(7)    \
        ISOBIT_TEN(8) ISOBIT_TEN(9) ISOBIT_TEN(10) ISOBIT_TEN(11) ",%120,%121,%122,%123,%124,%125,%126,%127"

#define ISOBIT_4_OF(c, i) "+r"(c[i]), "+r"(c[i + 1]), "+r"(c[i + 2]), "+r"(c[i + 3])
#define ISOBIT_16_OF(c, i) ISOBIT_4_OF(c, i), ISOBIT_4_OF(c, i + 4), ISOBIT_4_OF(c, i + 8), ISOBIT_4_OF(c, i + 12)
#define ISOBIT_32_OF(c, i) ISOBIT_16_OF(c, i), ISOBIT_16_OF(c, i + 16)
#define ISOBIT_64_OF(c, i) ISOBIT_32_OF(c, i), ISOBIT_32_OF(c, i + 32)
#define ISOBIT_128_OF(c, i) ISOBIT_64_OF(c, i), ISOBIT_64_OF(c, i + 64)

// c += a b, begun and not yet done; a and b are matrix descriptors. It wraps only beyond int32.
#define ISOBIT_WGMMA(N, COUNT, REGISTERS, A, B)                                                                        \
    __device__ inline void multiply_add(int32_t (&c)[COUNT], uint64_t a, uint64_t b) {                                 \
        asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k32.s32.s8.s8 {" REGISTERS "}, " A ", " B ", 1;"          \
                     : ISOBIT_##COUNT##_OF(c, 0)                                                                       \
                     : "l"(a), "l"(b)                                                                                  \
                     : "memory");                                                                                      \
    }
ISOBIT_WGMMA(32, 16, ISOBIT_0_TO_15, "%16", "%17")
ISOBIT_WGMMA(64, 32, ISOBIT_0_TO_31, "%32", "%33")
ISOBIT_WGMMA(128, 64, ISOBIT_0_TO_63, "%64", "%65")
ISOBIT_WGMMA(256, 128, ISOBIT_0_TO_127, "%128", "%129")

// Before the first product, and after registers of sums were written otherwise.
__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Makes one group of the products begun since the last.
__device__ inline void close_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits for this warp's products but those of the last PENDING groups.
template <int PENDING>
__device__ inline void wait_for_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// Nothing that reads or writes these registers moves across this place.
template <int COUNT>
__device__ inline void settle(int32_t (&c)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) asm volatile("" : "+r"(c[i])::"memory");
}

}  // namespace isobit_cuda
