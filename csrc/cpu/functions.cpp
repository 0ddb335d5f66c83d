// The float32 functions of one operand: correctly rounded, or rounded to an integer (docs/numerics.md, Elementwise).
#include "functions.h"

#include <cmath>

#include "blocks.h"
#include "float_bits.h"

namespace isobit::ISOBIT_ISA {
namespace {

void run_float(const isobit_call &call, Block block, int64_t grain) {
    run_blocks(call, 1, {{block}, {}, {}, {}, {}}, FLOAT32, grain);
}

struct Floor {
    static float value(float x) { return canonical(std::floor(x)); }
};
struct Ceil {
    static float value(float x) { return canonical(std::ceil(x)); }
};
struct Trunc {
    static float value(float x) { return canonical(std::trunc(x)); }
};
struct Round {
    static float value(float x) { return canonical(std::rint(x)); }  // to nearest even, in IEEE mode
};

}  // namespace

#define FUNCTION(NAME)                                                                                                 \
    static int64_t NAME##_run(const void *const *inputs, void *output, int64_t n) {                                    \
        isobit_block_##NAME(static_cast<const float *>(inputs[0]), static_cast<float *>(output), n);                   \
        return -1;                                                                                                     \
    }                                                                                                                  \
    void op_##NAME(const isobit_call &call) { run_float(call, NAME##_run, COSTLY); }

FUNCTION(sqrt)
FUNCTION(rsqrt)
FUNCTION(exp)
FUNCTION(exp2)
FUNCTION(expm1)
FUNCTION(log)
FUNCTION(log2)
FUNCTION(log10)
FUNCTION(log1p)
FUNCTION(sin)
FUNCTION(cos)
FUNCTION(tanh)
FUNCTION(erf)
FUNCTION(sigmoid)

void op_floor(const isobit_call &call) { run_float(call, unary<Floor, float, float>, CHEAP); }
void op_ceil(const isobit_call &call) { run_float(call, unary<Ceil, float, float>, CHEAP); }
void op_trunc(const isobit_call &call) { run_float(call, unary<Trunc, float, float>, CHEAP); }
void op_round(const isobit_call &call) { run_float(call, unary<Round, float, float>, CHEAP); }

}  // namespace isobit::ISOBIT_ISA
