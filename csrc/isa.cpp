// Chooses the instruction set: the best that processor and system have, or the one that ISOBIT_ISA names.
#include "isa.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace isobit {

#define DECLARE_ISA(isa)                                                                                               \
    namespace isa {                                                                                                    \
    extern const Kernel table[];                                                                                       \
    extern const GroupKernel group_kernel;                                                                             \
    }

#if defined(__x86_64__)
DECLARE_ISA(plain)
DECLARE_ISA(avx2)
DECLARE_ISA(avx512)
namespace amx {
void op_matmul(const isobit_call &);
void op_conv(const isobit_call &);
void op_conv_grad_input(const isobit_call &);
void op_conv_grad_weight(const isobit_call &);
}  // namespace amx
#else
DECLARE_ISA(neon)
#endif

namespace {

#if defined(__x86_64__)

// The operators of AVX-512, with the products on tiles.
struct AmxTable {
    Kernel kernels[OPERATORS];

    AmxTable() {
        std::copy_n(avx512::table, static_cast<int>(OPERATORS), kernels);
        kernels[INDEX_matmul] = amx::op_matmul;
        kernels[INDEX_conv] = amx::op_conv;
        kernels[INDEX_conv_grad_input] = amx::op_conv_grad_input;
        kernels[INDEX_conv_grad_weight] = amx::op_conv_grad_weight;
    }
};

bool has_avx512() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

// Linux gives the tile registers to a process that asks for them, and to all its threads.
bool may_use_tiles() {
#if defined(__linux__)
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

Isa choose() {
    __builtin_cpu_init();
    static const AmxTable amx_table;
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx512 = has_avx512();
    const char *wanted = std::getenv("ISOBIT_ISA");
    const bool asks = wanted && *wanted;
    const bool amx = avx512 && (!asks || std::strcmp(wanted, "amx") == 0) && may_use_tiles();
    const Isa known[] = {{"amx", amx_table.kernels, avx512::group_kernel, amx},
                         {"avx512", avx512::table, avx512::group_kernel, avx512},
                         {"avx2", avx2::table, avx2::group_kernel, avx2},
                         {"plain", plain::table, plain::group_kernel, true}};
    for (const Isa &isa : known)
        if (asks ? std::strcmp(wanted, isa.name) == 0 : isa.usable) return isa;
    return {nullptr, nullptr, nullptr, false};
}

constexpr const char *KNOWN = "one of plain, avx2, avx512, amx";

#else

Isa choose() {
    const char *wanted = std::getenv("ISOBIT_ISA");
    if (wanted && *wanted && std::strcmp(wanted, "neon") != 0) return {nullptr, nullptr, nullptr, false};
    return {"neon", neon::table, neon::group_kernel, true};
}

constexpr const char *KNOWN = "neon";

#endif

}  // namespace

const Isa &chosen_isa() {
    static const Isa isa = choose();
    if (!isa.usable)
        invalid("got ISOBIT_ISA=%.80s, want unset or %s that this processor has", std::getenv("ISOBIT_ISA"), KNOWN);
    return isa;
}

}  // namespace isobit
