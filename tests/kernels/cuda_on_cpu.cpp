// csrc/cuda/matmul.cu with a thread of the CPU for each of a block's: its indices, its sums and its rounding.
//
// mma.m16n8k32 is what the PTX manual says of it (section "Matrix fragments for mma.m16n8k32", .s8): lane 4 g + t holds
// rows g and g + 8 of a, row g of b's transpose, at terms 4 t and 16 + 4 t on, and columns 2 t and 2 t + 1 of c.
#include <barrier>
#include <thread>
#include <vector>

#include "cuda_words.h"

static thread_local Place threadIdx, blockIdx;

static std::barrier block(128);
static std::barrier<> warps[4]{std::barrier(32), std::barrier(32), std::barrier(32), std::barrier(32)};
static uint32_t held[4][32][6];

static void __syncthreads() { block.arrive_and_wait(); }

namespace isobit_cuda {
static void copy_16(int8_t *to, const int8_t *from) { std::memcpy(to, from, 16); }
static void close_copies() {}
static void wait_for_copies() {}

static int byte_of(uint32_t word, int i) { return (int8_t)(word >> 8 * i); }

static void multiply_add(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    std::copy(a, a + 4, held[warp][lane]);
    std::copy(b, b + 2, held[warp][lane] + 4);
    warps[warp].arrive_and_wait();
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 32; k++) {
            const int member = k % 16 / 4, half = k / 16;
            const uint32_t left = held[warp][row % 8 * 4 + member][row / 8 + 2 * half];
            const uint32_t right = held[warp][column * 4 + member][4 + half];
            c[i] += byte_of(left, k % 4) * byte_of(right, k % 4);
        }
    }
    warps[warp].arrive_and_wait();
}
}  // namespace isobit_cuda

#include "../../csrc/cuda/matmul.cu"

extern "C" __attribute__((visibility("default"))) void multiply_on_cpu(const isobit_cuda::Product *product,
                                                                       int digits) {
    using namespace isobit_cuda;
    const int64_t tiles = (product->M + TILE - 1) / TILE * ((product->N + TILE - 1) / TILE);
    const int64_t parts = (product->P + product->terms - 1) / product->terms;
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < THREADS; thread++)
        threads.emplace_back([=] {
            threadIdx = {thread, 0, 0};
            for (unsigned z = 0; z < product->batch; z++)
                for (unsigned y = 0; y < parts; y++)
                    for (unsigned x = 0; x < tiles; x++) {
                        blockIdx = {x, y, z};
                        digits == 2 ? product_kernel<2>(*product) : product_kernel<3>(*product);
                        __syncthreads();  // the next block takes the same shared memory
                    }
        });
    for (auto &thread : threads) thread.join();
}
