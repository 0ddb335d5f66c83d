// Planes of digits as TMA sees them: rows of P bytes, fetched in boxes of 128 bytes of some rows of one plane.
#pragma once

#include <cstdint>

namespace isobit_cuda {

constexpr int BOX_BYTES = 128;  // of a row: as much as one pattern of the swizzle

// Describes [planes, rows, P] int8. Rows beyond the edge read as zeros; chunks of 16 bytes of a row lie in shared
// memory at places that change with the row (128-byte swizzle). False where the driver refuses.
inline bool describe(TensorMap *map, const int8_t *data, int64_t planes, int64_t rows, int64_t P, int box_rows) {
    const auto encode = tensor_map_encoder();
    if (!encode) return false;
    const cuuint64_t sizes[3] = {(cuuint64_t)P, (cuuint64_t)rows, (cuuint64_t)planes};
    const cuuint64_t strides[2] = {(cuuint64_t)P, (cuuint64_t)(rows * P)};  // in bytes, of all axes but the first
    const cuuint32_t box[3] = {BOX_BYTES, (cuuint32_t)box_rows, 1}, steps[3] = {1, 1, 1};
    return encode(map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 3, const_cast<int8_t *>(data), sizes, strides, box, steps,
                  CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

// The descriptor by which wgmma finds rows of 128 bytes that TMA laid with the 128-byte swizzle (PTX manual, "Matrix
// Descriptor Format"): the address in units of 16 bytes, the offset from 8 rows to the next 8, the swizzle's number.
// Within a row of 128 bytes, a step along K is a step of the address.
__device__ inline uint64_t matrix_at(uint32_t address) {
    constexpr uint64_t eight_rows = 8 * BOX_BYTES, swizzle_128 = 1;
    return (uint64_t)((address & 0x3ffff) >> 4) | 1ull << 16 | (eight_rows >> 4) << 32 | swizzle_128 << 62;
}

}  // namespace isobit_cuda
