// Merkle trees of RFC 6962 over the leaves of a buffer.
#pragma once

#include <cstdint>
#include <vector>

namespace isobit {

struct Digest {
    uint8_t bytes[32];
};

// SHA-256(0x00 || leaf) of each leaf of leaf_size bytes; the last may be shorter.
std::vector<Digest> leaf_hashes(const uint8_t *data, int64_t size, int64_t leaf_size, int threads);

struct Piece {
    const uint8_t *data;
    int64_t size;
};

// The root over the leaves of each piece, a thread at a piece at a time.
std::vector<Digest> piece_roots(const std::vector<Piece> &pieces, int64_t leaf_size, int threads);

// The root over these leaf hashes; SHA-256 of nothing where there are none.
Digest root_of_hashes(std::vector<Digest> hashes, int threads);

}  // namespace isobit
