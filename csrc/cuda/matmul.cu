// The exact product of digits: int8 tensor cores, int32 sums per weight, one int64 sum, one rounding.
//
// A block has 64 x 64 elements of the result, a warp 32 x 32, a step 64 terms. Pairs of digits of equal weight share an
// int32 sum: per term it grows by at most 2^14 (narrow) or 3 * 2^14 (wide), and `terms` keeps it below 2^31.
#include "matmul.h"

#ifndef ISOBIT_ON_CPU
#include "instructions.h"
#endif
#include "rounding.h"

namespace isobit_cuda {
namespace {

constexpr int TILE = 64, STEP = 64, THREADS = 128, STAGES = 2;

// Chunks of 16 bytes of a row of 64 change places, so that the 8 rows that a warp reads lie in different banks.
__device__ int place_of(int row, int byte) {
    return row * STEP + ((((byte >> 4) ^ (row >> 1)) & 3) << 4) + (byte & 15);
}

template <int DIGITS>
struct Shared {
    int8_t a[STAGES][DIGITS][TILE * STEP];
    int8_t b[STAGES][DIGITS][TILE * STEP];
};

// Starts to copy 64 terms of 64 rows of every digit. Rows beyond the edge wrap to rows that exist: sums nobody stores.
template <int DIGITS>
__device__ void fetch(int8_t (&to)[DIGITS][TILE * STEP], const int8_t *from, int64_t first, int64_t rows, int64_t P,
                      int64_t term) {
    for (int i = threadIdx.x; i < DIGITS * TILE * STEP / 16; i += THREADS) {
        const int digit = i / (TILE * STEP / 16), row = i / (STEP / 16) % TILE, byte = i % (STEP / 16) * 16;
        const int64_t source = (digit * rows + (first + row) % rows) * P + term + byte;
        copy_16(&to[digit][place_of(row, byte)], from + source);
    }
}

__device__ uint32_t word_at(const int8_t *tile, int row, int byte) {
    return *reinterpret_cast<const uint32_t *>(tile + place_of(row, byte));
}

template <int DIGITS>
__global__ void __launch_bounds__(THREADS) product_kernel(Product p) {
    constexpr int WEIGHTS = 2 * DIGITS - 1;
    __shared__ __align__(16) Shared<DIGITS> shared;
    const int64_t tiles_n = (p.N + TILE - 1) / TILE, batch = blockIdx.z;
    const int64_t first_m = blockIdx.x / tiles_n * TILE, first_n = blockIdx.x % tiles_n * TILE;
    const int8_t *a = p.a + batch * DIGITS * p.M * p.P, *b = p.b + batch * DIGITS * p.N * p.P;
    const int64_t start = blockIdx.y * p.terms, stop = min(start + p.terms, p.P);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, member = lane % 4;
    const int row = warp / 2 * 32, column = warp % 2 * 32;
    int32_t sum[2][4][WEIGHTS][4] = {};

    fetch<DIGITS>(shared.a[0], a, first_m, p.M, p.P, start);
    fetch<DIGITS>(shared.b[0], b, first_n, p.N, p.P, start);
    close_copies();
    int stage = 0;
    for (int64_t term = start; term < stop; term += STEP, stage ^= 1) {
        if (term + STEP < stop) {
            fetch<DIGITS>(shared.a[stage ^ 1], a, first_m, p.M, p.P, term + STEP);
            fetch<DIGITS>(shared.b[stage ^ 1], b, first_n, p.N, p.P, term + STEP);
        }
        close_copies();
        wait_for_copies();
        __syncthreads();
#pragma unroll
        for (int k = 0; k < STEP; k += 32) {
            uint32_t left[DIGITS][2][4];
#pragma unroll
            for (int d = 0; d < DIGITS; d++)
#pragma unroll
                for (int m = 0; m < 2; m++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        left[d][m][i] = word_at(shared.a[stage][d], row + 16 * m + group + 8 * (i % 2),
                                                k + 16 * (i / 2) + 4 * member);
#pragma unroll
            for (int n = 0; n < 4; n++)
#pragma unroll
                for (int e = 0; e < DIGITS; e++) {
                    const int at = column + 8 * n + group;
                    const uint32_t right[2] = {word_at(shared.b[stage][e], at, k + 4 * member),
                                               word_at(shared.b[stage][e], at, k + 16 + 4 * member)};
#pragma unroll
                    for (int d = 0; d < DIGITS; d++)
#pragma unroll
                        for (int m = 0; m < 2; m++) multiply_add(sum[m][n][d + e], left[d][m], right);
                }
        }
        __syncthreads();
    }
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int n = 0; n < 4; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int64_t r = first_m + row + 16 * m + group + 8 * (i / 2);
                const int64_t c = first_n + column + 8 * n + 2 * member + i % 2;
                if (r >= p.M || c >= p.N) continue;
                int64_t total = 0;
#pragma unroll
                for (int w = WEIGHTS - 1; w >= 0; w--) total = total * 256 + sum[m][n][w][i];
                const int64_t at = (batch * p.M + r) * p.N + c;
                if (p.sums) {
                    atomicAdd(reinterpret_cast<unsigned long long *>(p.sums + at), (unsigned long long)total);
                    continue;
                }
                const int32_t high_a = p.maxima_a[batch * p.M + r], high_b = p.maxima_b[batch * p.N + c];
                const int s = scale_of(high_a, p.qmax, p.bits) + scale_of(high_b, p.qmax, p.bits);
                const bool finite = high_a < INFINITY_BITS && high_b < INFINITY_BITS;
                p.out[at] = finite ? rounded(total, s) : __int_as_float(NAN_BITS);
            }
}

}  // namespace

#ifndef ISOBIT_ON_CPU
const char *multiply(const Product &p, int digits, void *stream) {
    const int64_t tiles = (p.M + TILE - 1) / TILE * ((p.N + TILE - 1) / TILE), parts = (p.P + p.terms - 1) / p.terms;
    if (tiles > INT32_MAX || parts > 65535 || p.batch > 65535) return "grid too large";
    const dim3 grid((unsigned)tiles, (unsigned)parts, (unsigned)p.batch);
    if (digits == 2)
        product_kernel<2><<<grid, THREADS, 0, static_cast<cudaStream_t>(stream)>>>(p);
    else
        product_kernel<3><<<grid, THREADS, 0, static_cast<cudaStream_t>(stream)>>>(p);
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorName(error);
}

int devices() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}
#endif

}  // namespace isobit_cuda
