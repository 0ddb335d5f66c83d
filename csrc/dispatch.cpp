// The C ABI: chooses the instruction set once, checks every call, turns refusals into status codes.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "cpu/float_mode.h"
#include "operators.h"

namespace isobit {

#if defined(__x86_64__)
namespace plain { extern const Kernel table[]; }
namespace avx2 { extern const Kernel table[]; }
namespace avx512 { extern const Kernel table[]; }
#else
namespace neon { extern const Kernel table[]; }
#endif

namespace {

struct Refusal {
    int32_t status;
    int64_t element;
    char message[256];
};

constexpr const char *NAMES[] = {
#define NAME(name) #name,
    ISOBIT_OPERATORS(NAME)};
constexpr int OPERATOR_COUNT = sizeof NAMES / sizeof NAMES[0];

struct Isa {
    const char *name;
    const Kernel *table;
    bool usable;
};

Isa choose() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512vnni");
    const Isa known[] = {{"avx512", avx512::table, has_avx512}, {"avx2", avx2::table, has_avx2},
                         {"plain", plain::table, true}};
#else
    const Isa known[] = {{"neon", neon::table, true}};
#endif
    const char *wanted = std::getenv("ISOBIT_ISA");
    for (const Isa &isa : known)
        if (wanted && *wanted ? std::strcmp(wanted, isa.name) == 0 : isa.usable) return isa;
    return {nullptr, nullptr, false};
}

const Isa &chosen() {
    static const Isa isa = choose();
    if (!isa.usable)
        invalid("got ISOBIT_ISA=%.80s, want unset or %s that this processor has", std::getenv("ISOBIT_ISA"),
#if defined(__x86_64__)
                "one of plain, avx2, avx512"
#else
                "neon"
#endif
        );
    return isa;
}

const char *dtype_name(int32_t dtype) {
    constexpr const char *names[] = {"float32", "int64", "int32", "uint32", "bool"};
    return dtype >= 0 && dtype < 5 ? names[dtype] : "?";
}

constexpr int64_t MOST_ELEMENTS = int64_t{1} << 40;
constexpr int64_t MOST_BYTES_APART = int64_t{1} << 46;

// What every operator may take for granted about one tensor.
void check_tensor(const char *what, const isobit_tensor &tensor) {
    if (tensor.dtype < 0 || tensor.dtype > 4) invalid("got %s of dtype %d, want 0 to 4", what, tensor.dtype);
    if (tensor.rank < 0 || tensor.rank > 8) invalid("got %s of rank %d, want 0 to 8", what, tensor.rank);
    int64_t count = 1, reach = 0;
    bool empty = false;
    for (int axis = 0; axis < tensor.rank; ++axis) {
        const int64_t size = tensor.shape[axis], stride = tensor.stride[axis];
        if (size < 0 || size > MOST_ELEMENTS) invalid("got %s %s, want sizes of 0 to 2^40", what, show(tensor).text);
        if (stride < 0) invalid("got %s with stride %lld, want 0 or more", what, (long long)stride);
        empty |= size == 0;
        if (size == 0) continue;
        if (count > MOST_ELEMENTS / size) invalid("got %s %s, want at most 2^40 elements", what, show(tensor).text);
        count *= size;
        if (size > 1 && stride > MOST_BYTES_APART / size) invalid("got %s with stride %lld, want less", what, (long long)stride);
        reach += (size - 1) * stride;
    }
    if (!empty && !tensor.data) invalid("got %s without data, want a pointer", what);
    const int64_t bytes = tensor.dtype == INT64 ? 8 : tensor.dtype == BOOL ? 1 : 4;
    if (!empty && reinterpret_cast<uintptr_t>(tensor.data) % bytes)
        invalid("got %s at an odd address, want a multiple of %lld", what, (long long)bytes);
}

void check_output(const isobit_tensor &output) {
    check_tensor("output", output);
    int64_t expected = 1;
    for (int axis = output.rank - 1; axis >= 0; --axis) {
        if (output.shape[axis] == 0) return;
        if (output.shape[axis] > 1 && output.stride[axis] != expected)
            invalid("got output %s with stride %lld in axis %d, want it contiguous", show(output).text,
                    (long long)output.stride[axis], axis);
        expected *= output.shape[axis];
    }
}

void check_call(const isobit_call *call) {
    if (!call) invalid("got no call, want one");
    if (call->input_count < 0 || call->input_count > 4096) invalid("got %d operands, want 0 to 4096", call->input_count);
    if (call->input_count && !call->inputs) invalid("got no operands, want %d", call->input_count);
    if (call->attribute_count < 0 || call->attribute_count > 64)
        invalid("got %d attribute values, want 0 to 64", call->attribute_count);
    if (call->attribute_count && !call->attributes) invalid("got no attributes, want %d", call->attribute_count);
    if (!call->output) invalid("got no output, want one");
    if (call->threads < 1 || call->threads > 1024) invalid("got %d threads, want 1 to 1024", call->threads);
    for (int i = 0; i < call->input_count; ++i) {
        char what[24];
        std::snprintf(what, sizeof what, "operand %d", i);
        check_tensor(what, call->inputs[i]);
    }
    check_output(*call->output);
}

int32_t answer(isobit_error *error, int32_t status, int64_t element, const char *name, const char *message) {
    if (!error) return status;
    error->status = status;
    error->element = element;
    std::snprintf(error->message, sizeof error->message, status == 1 ? "%s: %s" : "%.0s%s", name, message);
    return status;
}

int32_t run(int index, const isobit_call *call, isobit_error *error) noexcept {
    try {
        check_call(call);
        const Isa &isa = chosen();
        host::FloatMode ieee;
        if (!isa.table[index]) invalid("got an operator that is not built, want one of the library");
        isa.table[index](*call);
        return answer(error, 0, 0, "", "");
    } catch (const Refusal &refusal) {
        return answer(error, refusal.status, refusal.element, NAMES[index], refusal.message);
    } catch (const std::bad_alloc &) {
        return answer(error, 3, 0, NAMES[index], "out of memory");
    } catch (...) {
        return answer(error, 1, 0, NAMES[index], "got an exception of the C++ runtime, want none");
    }
}

}  // namespace

void invalid(const char *format, ...) {
    Refusal refusal{1, 0, {}};
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(refusal.message, sizeof refusal.message, format, arguments);
    va_end(arguments);
    throw refusal;
}

void fault(int64_t element, const char *reason) {
    Refusal refusal{2, element, {}};
    std::snprintf(refusal.message, sizeof refusal.message, "%s", reason);
    throw refusal;
}

Shown show(const isobit_tensor &tensor) {
    Shown shown;
    int at = std::snprintf(shown.text, sizeof shown.text, "%s[", dtype_name(tensor.dtype));
    const int room = sizeof shown.text - 2;
    for (int axis = 0; axis < tensor.rank && at < room; ++axis)
        at += std::snprintf(shown.text + at, room - at, axis ? ", %lld" : "%lld", (long long)tensor.shape[axis]);
    std::strcpy(shown.text + (at < room ? at : room - 1), "]");
    return shown;
}

const char *isa_name(char *message, size_t room) {
    try {
        return chosen().name;
    } catch (const Refusal &refusal) {
        std::snprintf(message, room, "%s", refusal.message);
        return nullptr;
    }
}

}  // namespace isobit

// The by-name functions, and the search among them.
namespace {
enum Index {
#define INDEX(name) INDEX_##name,
    ISOBIT_OPERATORS(INDEX)
};
}  // namespace

extern "C" {

#define BY_NAME(name)                                                                                                  \
    int32_t isobit_##name(const isobit_call *call, isobit_error *error) { return isobit::run(INDEX_##name, call, error); }
ISOBIT_OPERATORS(BY_NAME)

isobit_operator isobit_find(const char *name) {
    static constexpr isobit_operator functions[] = {
#define FUNCTION(name) isobit_##name,
        ISOBIT_OPERATORS(FUNCTION)};
    for (int i = 0; name && i < isobit::OPERATOR_COUNT; ++i)
        if (std::strcmp(name, isobit::NAMES[i]) == 0) return functions[i];
    return nullptr;
}

const char *isobit_isa(void) {
    char message[256];
    return isobit::isa_name(message, sizeof message);
}

}  // extern "C"
