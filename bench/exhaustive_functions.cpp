// Compares one function of libisobit.so with the double library over a range of bit patterns.
//
// exhaustive_functions LIBRARY NAME START STOP CLOSE
//
// The reference is glibc's: its vector library (at most 4 ulp, so within 2^-50) with AVX-512, else libm (1 or 2 ulp).
// Where reference * (1 - 2^-45) and reference * (1 + 2^-45) round to one float32, that one is the correctly rounded
// value; the other patterns are written to CLOSE as pairs (x, y) of uint32, for exhaustive_functions.py to settle with
// MPFR. Prints: patterns checked, patterns wrong, patterns close, the first wrong pattern.
#include <dlfcn.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../csrc/isobit.h"

constexpr int64_t BLOCK = 1 << 16;
constexpr double MARGIN = 0x1p-45;

using Reference = void (*)(const float *, double *, int64_t);

#ifdef __AVX512F__
typedef float Floats __attribute__((vector_size(32)));
typedef double Doubles __attribute__((vector_size(64)));
#define VECTOR(NAME)                                                                                                   \
    extern "C" Doubles _ZGVeN8v_##NAME(Doubles);                                                                       \
    static void reference_##NAME(const float *x, double *y, int64_t n) {                                               \
        for (int64_t i = 0; i < n; i += 8) {                                                                           \
            Floats part;                                                                                               \
            std::memcpy(&part, x + i, sizeof part);                                                                    \
            const Doubles value = _ZGVeN8v_##NAME(__builtin_convertvector(part, Doubles));                             \
            std::memcpy(y + i, &value, sizeof value);                                                                  \
        }                                                                                                              \
    }
#else
#define VECTOR(NAME)                                                                                                   \
    static void reference_##NAME(const float *x, double *y, int64_t n) {                                               \
        for (int64_t i = 0; i < n; i++) y[i] = std::NAME((double)x[i]);                                                \
    }
#endif

VECTOR(exp)
VECTOR(exp2) VECTOR(expm1) VECTOR(log) VECTOR(log2) VECTOR(log10) VECTOR(log1p) VECTOR(sin) VECTOR(cos) VECTOR(tanh)
    VECTOR(erf)

        static void reference_sqrt(const float *x, double *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = std::sqrt((double)x[i]);
}

static void reference_rsqrt(const float *x, double *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = 1.0 / std::sqrt((double)x[i]);
}

static void reference_sigmoid(const float *x, double *y, int64_t n) {
    std::vector<float> negated(n);
    for (int64_t i = 0; i < n; i++) negated[i] = -x[i];
    reference_exp(negated.data(), y, n);
    for (int64_t i = 0; i < n; i++) y[i] = 1.0 / (1.0 + y[i]);
}

static Reference reference_of(const std::string &name) {
#define ENTRY(NAME)                                                                                                    \
    if (name == #NAME) return reference_##NAME;
    ENTRY(sqrt)
    ENTRY(rsqrt) ENTRY(exp) ENTRY(exp2) ENTRY(expm1) ENTRY(log) ENTRY(log2) ENTRY(log10) ENTRY(log1p) ENTRY(sin)
        ENTRY(cos) ENTRY(tanh) ENTRY(erf) ENTRY(sigmoid) return nullptr;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return x == x ? bits : 0x7fc00000;
}

static isobit_tensor vector_of(void *data, int64_t n) { return {data, 0, 1, {n}, {1}}; }

struct Counts {
    uint64_t checked = 0, wrong = 0, close = 0, first_wrong = 0;
};

static void check(uint64_t start, const float *x, const float *y, const double *wanted, FILE *out, Counts &counts) {
    for (int64_t i = 0; i < BLOCK; i++) {
        uint32_t got;
        std::memcpy(&got, y + i, sizeof got);
        const uint32_t low = bits_of((float)(wanted[i] * (1.0 - MARGIN))),
                       high = bits_of((float)(wanted[i] * (1.0 + MARGIN)));
        if (__builtin_expect(got == low && low == high, 1)) continue;
        if (low != high) {
            uint32_t pair[2];
            std::memcpy(pair, x + i, sizeof(float));
            pair[1] = got;
            std::fwrite(pair, sizeof pair, 1, out);
            counts.close++;
        } else if (counts.wrong++ == 0) {
            counts.first_wrong = start + i;
        }
    }
    counts.checked += BLOCK;
}

int main(int argc, char **argv) {
    void *library = argc == 6 ? dlopen(argv[1], RTLD_NOW) : nullptr;
    auto find = library ? (isobit_operator (*)(const char *))dlsym(library, "isobit_find") : nullptr;
    const isobit_operator operation = find ? find(argv[2]) : nullptr;
    const Reference reference = argc == 6 ? reference_of(argv[2]) : nullptr;
    FILE *out = argc == 6 ? std::fopen(argv[5], "wb") : nullptr;
    if (!operation || !reference || !out) {
        std::fprintf(stderr, "want: LIBRARY NAME START STOP CLOSE; %s\n", library ? "no such function" : dlerror());
        return 2;
    }
    const uint64_t first = std::strtoull(argv[3], nullptr, 0), stop = std::strtoull(argv[4], nullptr, 0);
    std::vector<float> x(BLOCK), y(BLOCK);
    std::vector<double> wanted(BLOCK);
    Counts counts;
    for (uint64_t start = first; start < stop; start += BLOCK) {
        for (int64_t i = 0; i < BLOCK; i++) {
            const uint32_t bits = (uint32_t)(start + i);
            std::memcpy(&x[i], &bits, sizeof bits);
        }
        const isobit_tensor input = vector_of(x.data(), BLOCK), output = vector_of(y.data(), BLOCK);
        const isobit_call call = {&input, 1, nullptr, 0, &output, 1};
        isobit_error error = {};
        if (operation(&call, &error) != 0) {
            std::fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        reference(x.data(), wanted.data(), BLOCK);
        check(start, x.data(), y.data(), wanted.data(), out, counts);
    }
    std::fclose(out);
    std::printf("%lu %lu %lu %lu\n", counts.checked, counts.wrong, counts.close, counts.first_wrong);
    return 0;
}
