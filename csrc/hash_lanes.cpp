// The rounds of SHA-256 on AVX-512: a vector holds one word of sixteen states.
#include "hash_lanes.h"

#include <cstring>

#include "hash_constants.h"
#include "operators.h"

#if defined(__x86_64__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // gcc 12 warns of its own header's undefined vectors
#include <immintrin.h>
#define WIDE __attribute__((target("avx512f,avx512bw")))

namespace isobit {
namespace {

// The 16 x 16 words of sixteen blocks: from a block in each vector to a word of every block in each.
WIDE inline void transpose(__m512i w[16]) {
    __m512i a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(w[i], w[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(w[i], w[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {  // b[4 * j + i]: word 4 * q + i of blocks 4 * j to 4 * j + 3 in its quarter q
        const __m512i low = _mm512_shuffle_i32x4(b[i], b[4 + i], 0x88),
                      high = _mm512_shuffle_i32x4(b[8 + i], b[12 + i], 0x88);
        const __m512i low2 = _mm512_shuffle_i32x4(b[i], b[4 + i], 0xdd),
                      high2 = _mm512_shuffle_i32x4(b[8 + i], b[12 + i], 0xdd);
        w[i] = _mm512_shuffle_i32x4(low, high, 0x88);
        w[8 + i] = _mm512_shuffle_i32x4(low, high, 0xdd);
        w[4 + i] = _mm512_shuffle_i32x4(low2, high2, 0x88);
        w[12 + i] = _mm512_shuffle_i32x4(low2, high2, 0xdd);
    }
}

constexpr int XOR = 0x96, CHOOSE = 0xca, MAJORITY = 0xe8;  // truth tables of three operands

#define ADD _mm512_add_epi32
#define ROTATED(x, i, j, k)                                                                                            \
    _mm512_ternarylogic_epi32(_mm512_ror_epi32(x, i), _mm512_ror_epi32(x, j), _mm512_ror_epi32(x, k), XOR)
#define SHIFTED(x, i, j, k)                                                                                            \
    _mm512_ternarylogic_epi32(_mm512_ror_epi32(x, i), _mm512_ror_epi32(x, j), _mm512_srli_epi32(x, k), XOR)

WIDE void compress_lanes(__m512i state[8], const uint8_t *const blocks[LANES]) {
    const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL));
    __m512i w[16];
    for (int i = 0; i < 16; ++i) w[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(blocks[i]), swap);
    transpose(w);
    __m512i s[8];
    for (int i = 0; i < 8; ++i) s[i] = state[i];
#pragma GCC unroll 64
    for (int t = 0; t < 64; ++t) {
        __m512i &a = s[(64 - t) % 8], &b = s[(65 - t) % 8], &c = s[(66 - t) % 8], &d = s[(67 - t) % 8];
        __m512i &e = s[(68 - t) % 8], &f = s[(69 - t) % 8], &g = s[(70 - t) % 8], &h = s[(71 - t) % 8];
        if (t >= 16)
            w[t % 16] = ADD(ADD(w[t % 16], w[(t + 9) % 16]),
                            ADD(SHIFTED(w[(t + 1) % 16], 7, 18, 3), SHIFTED(w[(t + 14) % 16], 17, 19, 10)));
        const __m512i input = ADD(ADD(h, w[t % 16]), _mm512_set1_epi32(static_cast<int>(K[t])));
        const __m512i t1 = ADD(input, ADD(ROTATED(e, 6, 11, 25), _mm512_ternarylogic_epi32(e, f, g, CHOOSE)));
        const __m512i t2 = ADD(ROTATED(a, 2, 13, 22), _mm512_ternarylogic_epi32(a, b, c, MAJORITY));
        d = ADD(d, t1);
        h = ADD(t1, t2);  // the next round's a: the names move on by one
    }
    for (int i = 0; i < 8; ++i) state[i] = ADD(state[i], s[i]);
}

// The end of one message: the bytes that fill no block, the bit 1, zeros, the length in bits. Gives the blocks used.
int pad_tail(const uint8_t *tail, int64_t rest, int64_t total, uint8_t *block) {
    std::memcpy(block, tail, rest);
    block[rest] = 0x80;
    const int used = rest < 56 ? 1 : 2;
    std::memset(block + rest + 1, 0, 64 * used - rest - 1);
    const uint64_t bits = __builtin_bswap64(static_cast<uint64_t>(total) * 8);
    std::memcpy(block + 64 * used - 8, &bits, 8);
    return used;
}

}  // namespace

bool has_lanes() {
    static const bool usable = [] {
        char message[256];
        const char *isa = isa_name(message, sizeof message);
        return isa && (std::strcmp(isa, "avx512") == 0 || std::strcmp(isa, "amx") == 0);
    }();
    return usable;
}

// A message is its prefix and 63 bytes, then blocks that begin one byte early, then the padded tail.
WIDE void hash_lanes(uint8_t prefix, const uint8_t *data, int64_t size, Digest *digests) {
    __m512i state[8];
    for (int i = 0; i < 8; ++i) state[i] = _mm512_set1_epi32(static_cast<int>(INITIAL[i]));
    uint8_t ends[LANES][192];
    const uint8_t *blocks[LANES];
    const int64_t whole = (size + 1) / 64;  // blocks before the tail
    if (whole) {
        for (int lane = 0; lane < LANES; ++lane) {
            ends[lane][0] = prefix;
            std::memcpy(ends[lane] + 1, data + lane * size, 63);
            blocks[lane] = ends[lane];
        }
        compress_lanes(state, blocks);
    }
    for (int64_t block = 1; block < whole; ++block) {
        for (int lane = 0; lane < LANES; ++lane) blocks[lane] = data + lane * size + 64 * block - 1;
        compress_lanes(state, blocks);
    }
    int used = 0;
    for (int lane = 0; lane < LANES; ++lane) {
        uint8_t tail[64];
        const int64_t rest = size + 1 - 64 * whole, from_data = whole ? rest : rest - 1;
        tail[0] = prefix;
        std::memcpy(tail + (rest - from_data), data + (lane + 1) * size - from_data, from_data);
        used = pad_tail(tail, rest, size + 1, ends[lane] + 64);
    }
    for (int block = 1; block <= used; ++block) {
        for (int lane = 0; lane < LANES; ++lane) blocks[lane] = ends[lane] + 64 * block;
        compress_lanes(state, blocks);
    }
    alignas(64) uint32_t words[8][LANES];
    for (int i = 0; i < 8; ++i) _mm512_store_si512(words[i], state[i]);
    for (int lane = 0; lane < LANES; ++lane)
        for (int i = 0; i < 8; ++i) {
            const uint32_t word = __builtin_bswap32(words[i][lane]);
            std::memcpy(digests[lane].bytes + 4 * i, &word, 4);
        }
}

}  // namespace isobit

#else

namespace isobit {

bool has_lanes() { return false; }
void hash_lanes(uint8_t, const uint8_t *, int64_t, Digest *) {}  // never called: has_lanes() is false

}  // namespace isobit

#endif
