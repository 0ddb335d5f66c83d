// SHA-256 (FIPS 180-4) with the processor's SHA instructions where it has them, and trees of RFC 6962 on top.
#include "hash.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "cpu/threads.h"
#include "hash_constants.h"
#include "hash_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace isobit {
namespace {

using Compress = void (*)(uint32_t state[8], const uint8_t *blocks, size_t count);

uint32_t rotate_right(uint32_t x, int n) { return x >> n | x << (32 - n); }

uint32_t load_big_endian(const uint8_t *p) { return uint32_t{p[0]} << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

void store_big_endian(uint8_t *p, uint32_t x) {
    for (int i = 0; i < 4; ++i) p[i] = static_cast<uint8_t>(x >> (24 - 8 * i));
}

void compress_plain(uint32_t state[8], const uint8_t *blocks, size_t count) {
    for (; count; --count, blocks += 64) {
        uint32_t w[64];
        for (int t = 0; t < 16; ++t) w[t] = load_big_endian(blocks + 4 * t);
        for (int t = 16; t < 64; ++t) {
            const uint32_t s0 = rotate_right(w[t - 15], 7) ^ rotate_right(w[t - 15], 18) ^ w[t - 15] >> 3;
            const uint32_t s1 = rotate_right(w[t - 2], 17) ^ rotate_right(w[t - 2], 19) ^ w[t - 2] >> 10;
            w[t] = w[t - 16] + s0 + w[t - 7] + s1;
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int t = 0; t < 64; ++t) {
            const uint32_t s1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
            const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t];
            const uint32_t s0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
            const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        const uint32_t add[8] = {a, b, c, d, e, f, g, h};
        for (int i = 0; i < 8; ++i) state[i] += add[i];
    }
}

#if defined(__x86_64__)
// The instructions keep the state as (a b e f) and (c d g h).
__attribute__((target("sha,sse4.1"))) void compress_sha_ni(uint32_t state[8], const uint8_t *blocks, size_t count) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);
    for (; count; --count, blocks += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; ++i) w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            if (i >= 4) {
                const __m128i part = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]),
                                                   _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4));
                w[i % 4] = _mm_sha256msg2_epu32(part, w[(i + 3) % 4]);
            }
            const __m128i sum = _mm_add_epi32(w[i % 4], _mm_load_si128((const __m128i *)(K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

bool has_sha_ni() {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    return (b >> 29 & 1) && __builtin_cpu_supports("sse4.1");
}
#endif

// ISOBIT_ISA=plain leaves the special instructions alone here too, so that tests reach every path.
bool isa_is_not_plain() {
    const char *wanted = std::getenv("ISOBIT_ISA");
    return !wanted || std::strcmp(wanted, "plain") != 0;
}

Compress choose() {
#if defined(__x86_64__)
    if (isa_is_not_plain() && has_sha_ni()) return compress_sha_ni;
#endif
    return compress_plain;
}

const Compress compress = choose();

// SHA-256 of a one-byte prefix (none where it is negative) and `size` bytes.
Digest hash_with_prefix(int prefix, const uint8_t *data, int64_t size) {
    uint32_t state[8];
    std::memcpy(state, INITIAL, sizeof state);
    uint8_t block[128];
    int64_t filled = 0;
    if (prefix >= 0) block[filled++] = static_cast<uint8_t>(prefix);
    const int64_t total = filled + size;
    const int64_t head = std::min<int64_t>(filled ? 64 - filled : 0, size);
    if (head) std::memcpy(block + filled, data, head);
    filled += head, data += head, size -= head;
    if (filled == 64) compress(state, block, 1), filled = 0;
    if (size >= 64) compress(state, data, size / 64), data += size / 64 * 64, size %= 64;
    if (size) std::memcpy(block + filled, data, size), filled += size;
    block[filled++] = 0x80;
    const int64_t end = filled <= 56 ? 64 : 128;
    std::memset(block + filled, 0, end - filled);
    store_big_endian(block + end - 8, static_cast<uint32_t>(total >> 29));
    store_big_endian(block + end - 4, static_cast<uint32_t>(total << 3));
    compress(state, block, end / 64);
    Digest digest;
    for (int i = 0; i < 8; ++i) store_big_endian(digest.bytes + 4 * i, state[i]);
    return digest;
}

// The messages that lie one after another, each of `size` bytes.
void hash_all(uint8_t prefix, const uint8_t *data, int64_t size, int64_t count, Digest *digests) {
    int64_t at = 0;
    if (has_lanes())
        for (; at + LANES <= count; at += LANES) hash_lanes(prefix, data + at * size, size, digests + at);
    for (; at < count; ++at) digests[at] = hash_with_prefix(prefix, data + at * size, size);
}

}  // namespace

std::vector<Digest> leaf_hashes(const uint8_t *data, int64_t size, int64_t leaf_size, int threads) {
    const int64_t whole = size / leaf_size, rest = size % leaf_size;
    std::vector<Digest> hashes(whole + (rest > 0));
    if (rest) hashes[whole] = hash_with_prefix(0, data + whole * leaf_size, rest);
    host::parallel_for(threads, whole, 64, [&](int64_t begin, int64_t end) {
        hash_all(0, data + begin * leaf_size, leaf_size, end - begin, hashes.data() + begin);
    });
    return hashes;
}

// Pairs level by level, an odd last node moving up unchanged: the same tree as RFC 6962's split at a power of two.
Digest root_of_hashes(std::vector<Digest> level, int threads) {
    if (level.empty()) return hash_with_prefix(-1, nullptr, 0);
    while (level.size() > 1) {
        std::vector<Digest> above((level.size() + 1) / 2);
        if (level.size() % 2) above.back() = level.back();
        host::parallel_for(threads, level.size() / 2, 512, [&](int64_t begin, int64_t end) {
            hash_all(1, level[2 * begin].bytes, 64, end - begin, above.data() + begin);
        });
        level.swap(above);
    }
    return level[0];
}

std::vector<Digest> piece_roots(const std::vector<Piece> &pieces, int64_t leaf_size, int threads) {
    std::vector<Digest> roots(pieces.size());
    std::atomic<size_t> next{0};
    host::in_threads(static_cast<int>(std::min<size_t>(threads, pieces.size())), [&](int) {
        for (size_t i; (i = next++) < pieces.size();)
            roots[i] = root_of_hashes(leaf_hashes(pieces[i].data, pieces[i].size, leaf_size, 1), 1);
    });
    return roots;
}

}  // namespace isobit
