// What becomes of a tile's exact sums on Hopper: one rounding, a part of larger sums, or residues.
//
// A thread of wgmma holds, of 64 rows, rows 16 w + l / 4 and 8 further (warp w of four, lane l), and of every 8 columns
// columns 2 (l % 4) and the next: registers 4 j and 4 j + 1 of the first row, 4 j + 2 and 4 j + 3 of the other.
#pragma once

#include "matmul.h"
#include "rounding.h"

namespace isobit_cuda {
namespace hopper {

// The rows and columns from m and n on of a batch entry, and the terms [start, stop).
struct Tile {
    int batch, m, n, start, stop;
};

constexpr int32_t NOT_FINITE = 1 << 20;  // in place of a scale; sums of two scales are far below half of it

__device__ inline int32_t scale_or_none(int32_t maximum, const Product &p) {
    return maximum < INFINITY_BITS ? scale_of(maximum, p.qmax, p.bits) : NOT_FINITE;
}

// The scales of 64 rows and N columns, each computed by one thread of the warp group.
template <int N>
__device__ void find_scales(int32_t *scales, const Product &p, const Tile &tile, int first_row, int group) {
    group_sync(group);  // those of the tile before were read
    for (int i = threadIdx.x % 128; i < 64 + N; i += 128) {
        const int64_t row = first_row + i, column = tile.n + i - 64;
        int32_t maximum = 0;
        if (i < 64 && row < p.M) maximum = p.maxima_a[tile.batch * p.M + row];
        if (i >= 64 && column < p.N) maximum = p.maxima_b[tile.batch * p.N + column];
        scales[i] = scale_or_none(maximum, p);
    }
    group_sync(group);
}

template <class T>
struct alignas(2 * sizeof(T)) Pair {
    T values[2];
};

// Two neighbours of a row, in one access where both exist and their address allows it.
template <class T>
__device__ void store_pair(T *row, int64_t column, int64_t N, const T (&values)[2]) {
    if (column + 1 < N && reinterpret_cast<uintptr_t>(row + column) % sizeof(Pair<T>) == 0) {
        *reinterpret_cast<Pair<T> *>(row + column) = Pair<T>{{values[0], values[1]}};
        return;
    }
    for (int i = 0; i < 2; i++)
        if (column + i < N) row[column + i] = values[i];
}

// x modulo m as int8, nearest to 0, for |x| <= 2^31 - 2^14 and m <= 256; of 256, 128 becomes -128.
__device__ inline int8_t balanced(int32_t x, int32_t m, float inverse) {
    const int32_t near = x - __float2int_rz(__fmul_rn(__int2float_rn(x), inverse)) * m;  // |near| < 4 m
    return (int8_t)(near - __float2int_rn(__fmul_rn(__int2float_rn(near), inverse)) * m);
}

template <int WEIGHTS, int COUNT>
__device__ int64_t total_of(const int32_t (&sums)[WEIGHTS][COUNT], int i) {
    int64_t total = 0;
#pragma unroll
    for (int w = WEIGHTS - 1; w >= 0; w--) total = total * 256 + sums[w][i];
    return total;
}

template <int DIGITS, int N, int WEIGHTS>
__device__ void write(const int32_t (&sums)[WEIGHTS][N / 2], int32_t *scales, const Product &p, const Tile &tile,
                      int group) {
    const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32, first_row = tile.m + 64 * group;
    const int32_t m = DIGITS == 1 ? p.moduli[tile.batch % RESIDUES] : 0;
    const float inverse = DIGITS == 1 ? __fdiv_rn(1.0f, (float)m) : 0.0f;
    if (DIGITS > 1 && !p.sums) find_scales<N>(scales, p, tile, first_row, group);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = 16 * warp + lane / 4 + 8 * half;
        if (first_row + row >= p.M) continue;
        const int64_t place = (tile.batch * p.M + first_row + row) * p.N;
#pragma unroll
        for (int j = 0; j < N / 8; j++) {
            const int column = 8 * j + 2 * (lane % 4), i = 4 * j + 2 * half;
            const int64_t at = (int64_t)tile.n + column;
            if (DIGITS == 1) {
                const int8_t values[2] = {balanced(sums[0][i], m, inverse), balanced(sums[0][i + 1], m, inverse)};
                store_pair(p.residues + place, at, p.N, values);
                continue;
            }
            const int64_t totals[2] = {total_of(sums, i), total_of(sums, i + 1)};
            if (p.sums) {
                for (int k = 0; k < 2; k++)
                    if (at + k < p.N)
                        atomicAdd(reinterpret_cast<unsigned long long *>(p.sums + place + at + k),
                                  (unsigned long long)totals[k]);
                continue;
            }
            float values[2];
#pragma unroll
            for (int k = 0; k < 2; k++) {
                const int s = scales[row] + scales[64 + column + k];
                values[k] = s < NOT_FINITE / 2 ? rounded(totals[k], s) : __int_as_float(NAN_BITS);
            }
            store_pair(p.out + place, at, p.N, values);
        }
    }
}

}  // namespace hopper
}  // namespace isobit_cuda
