/* What one core can do at most: independent chains of multiply-adds that never leave the registers. */
#define _GNU_SOURCE
#include <stdint.h>

/* Latency times issue width of current cores is 8 to 12. Chains are variables: gcc keeps an array in memory. */
#define EACH(F) F(c0) F(c1) F(c2) F(c3) F(c4) F(c5) F(c6) F(c7) F(c8) F(c9) F(c10) F(c11)
#define CHAINS 12

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif
#if defined(__x86_64__)
#define KEEP(c) __asm__ volatile("" : "+v"(c)); /* the compiler may neither skip nor shorten a chain */
#else
#define KEEP(c) __asm__ volatile("" : "+w"(c));
#endif

typedef float floats __attribute__((vector_size(BYTES)));

/* Float32 operations done, two a multiply-add. */
double peak_float32(int64_t steps) {
    floats x = {0}, y = {0};
    x += 0.5f, y += 0.25f;
#define START(c) floats c = x;
#define STEP(c)                                                                                                        \
    c = c * x + y;                                                                                                     \
    KEEP(c)
    EACH(START)
    for (int64_t s = 0; s < steps; s++) {
        EACH(STEP)
    }
    return (double)steps * CHAINS * (BYTES / 4) * 2;
#undef START
#undef STEP
}

#if defined(__AVX512VNNI__) || defined(__AVX2__)
#include <immintrin.h>
#if defined(__AVX512VNNI__)
typedef __m512i words;
#define DOT(c, x) _mm512_dpwssd_epi32(c, x, x)
#else
typedef __m256i words;
#define DOT(c, x) _mm256_add_epi32(_mm256_madd_epi16(c, x), x) /* c goes in, or the product is hoisted */
#endif

/* Operations of int16 dot products into int32, two a multiply-add. */
double peak_int16(int64_t steps) {
    words x = {0};
    KEEP(x)
#define START(c) words c = x;
#define STEP(c)                                                                                                        \
    c = DOT(c, x);                                                                                                     \
    KEEP(c)
    EACH(START)
    for (int64_t s = 0; s < steps; s++) {
        EACH(STEP)
    }
    return (double)steps * CHAINS * (sizeof(words) / 2) * 2;
}
#endif

#if defined(__AMX_INT8__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Operations of int8 dot products of tiles, two a multiply-add; 0 where the system does not lend the tiles. */
double peak_int8(int64_t steps) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, TILE_CHAINS = 6 };
    if (syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) != 0) return 0;
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } __attribute__((aligned(64))) shape = {1, 0, {0}, {0}, {0}};
    for (int tile = 0; tile < 8; tile++) shape.row_bytes[tile] = 64, shape.rows[tile] = 16;
    __asm__ volatile("" ::"m"(shape) : "memory"); /* gcc's intrinsic asks for its first eight bytes only */
    _tile_loadconfig(&shape);
    for (int64_t s = 0; s < steps; s++) {
#define TILE_STEP(sums) _tile_dpbssd(sums, 6, 7);
        TILE_STEP(0) TILE_STEP(1) TILE_STEP(2) TILE_STEP(3) TILE_STEP(4) TILE_STEP(5)
    }
    _tile_release();
    return (double)steps * TILE_CHAINS * 16 * 16 * 64 * 2;
}
#endif
