// SHA-256 of sixteen messages of one length side by side, a message in each 32-bit lane of AVX-512.
#pragma once

#include <cstdint>

#include "hash.h"

namespace isobit {

constexpr int LANES = 16;

bool has_lanes();  // whether this processor, and ISOBIT_ISA, allow them

// SHA-256(prefix || data) of LANES messages of `size` bytes, one after another; prefix is one byte.
void hash_lanes(uint8_t prefix, const uint8_t *data, int64_t size, Digest *digests);

}  // namespace isobit
