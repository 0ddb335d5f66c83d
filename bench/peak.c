/* What one core can do at most: twelve independent chains of multiply-adds that never leave the registers. */
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
