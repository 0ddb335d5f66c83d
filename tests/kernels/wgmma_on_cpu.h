// wgmma of int8 and setmaxnreg for the fibers of hopper_on_cpu.h, as the PTX manual (ISA 9.0) describes them.
#pragma once

#include "hopper_on_cpu.h"

namespace isobit_cuda {

// A row of 32 bytes of the matrix that a descriptor names ("Matrix Descriptor Format", K-major, 128-byte swizzle).
static std::array<int8_t, 32> row_at(uint64_t descriptor, int row) {
    const uint64_t fields = 0x3fffull | 0x3fffull << 16 | 0x3fffull << 32 | 7ull << 49 | 3ull << 62;
    require((descriptor & ~fields) == 0, "a descriptor with bits that mean nothing");
    require(descriptor >> 62 == 1, "a swizzle that is not the 128-byte one, as which TMA laid the rows");
    require((descriptor >> 49 & 7) == 0, "a base offset, though the pattern begins at a multiple of 1024");
    const uint32_t start = (descriptor & 0x3fff) << 4, eight_rows = (descriptor >> 32 & 0x3fff) << 4;
    require(start % 128 + 32 <= 128, "terms beyond the row of 128 bytes");
    std::array<int8_t, 32> found;
    for (uint32_t byte = 0; byte < 32; byte += 16) {
        const uint32_t plain = start + row / 8 * eight_rows + row % 8 * 128 + byte;
        std::memcpy(&found[byte], bytes_at(block(), plain ^ (plain >> 3 & 0x70), 16), 16);  // Swizzle<3, 4, 3>
    }
    return found;
}

static int dot(const std::array<int8_t, 32> &a, const std::array<int8_t, 32> &b) {
    int sum = 0;
    for (int k = 0; k < 32; k++) sum += a[k] * b[k];
    return sum;
}

// "Matrix fragments for wgmma.mma_async.m64nNk32", accumulator D.
static void finish_product(const Begun &product) {
    const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    std::array<int8_t, 32> rows[2];
    for (int half = 0; half < 2; half++) rows[half] = row_at(product.a, 16 * warp + lane / 4 + 8 * half);
    for (int column = 0; column < product.count / 2; column++) {
        const int n = column / 2 * 8 + lane % 4 * 2 + column % 2;
        const std::array<int8_t, 32> right = row_at(product.b, n);
        for (int half = 0; half < 2; half++)
            product.sums[column / 2 * 4 + half * 2 + column % 2] += dot(rows[half], right);
    }
}

static Products &own_products() { return products[fibers.current->rank * block_threads + threadIdx.x]; }

template <int COUNT>
static void multiply_add(int32_t (&c)[COUNT], uint64_t a, uint64_t b) {
    Products &own = own_products();
    require(own.is_fenced, "a product before wgmma.fence");
    const auto [found, is_new] =
        block().products.try_emplace({threadIdx.x / 128, own.begun++}, std::array<uint64_t, 2>{a, b});
    require(found->second == std::array<uint64_t, 2>{a, b}, "descriptors that differ within a warp group");
    own.groups.back().push_back({c, COUNT, a, b});
}
static void begin_products() { own_products().is_fenced = true; }
static void close_products() { own_products().groups.emplace_back(); }
template <int PENDING>
static void wait_for_products() {
    Products &own = own_products();
    while (own.groups.size() > PENDING + 1) {
        for (const Begun &product : own.groups.front()) finish_product(product);
        own.groups.erase(own.groups.begin());
    }
    if (PENDING == 0) own.is_fenced = false;
    meet(block().warps[threadIdx.x / 32], 32, "its warp");  // .sync: no lane goes on before all have waited
}
template <int COUNT>
static void settle(int32_t (&)[COUNT]) {}

// "setmaxnreg": a multiple of 8 in [24, 256]; what a block's warps take must have been given by others.
template <int N>
static void give_registers() {
    static_assert(N % 8 == 0 && N >= 24 && N <= 256);
    block().registers += N;
    block().asked_for_registers++;
}
template <int N>
static void take_registers() {
    give_registers<N>();
}

}  // namespace isobit_cuda
