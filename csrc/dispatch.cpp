// The C ABI: checks every call, turns refusals into status codes.
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>

#include "cpu/float_mode.h"
#include "isa.h"

namespace isobit {

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

const char *dtype_name(int32_t dtype) {
    constexpr const char *names[] = {"float32", "int64", "int32", "uint32", "bool"};
    return dtype >= 0 && dtype < 5 ? names[dtype] : "?";
}

constexpr int64_t MOST_ELEMENTS = int64_t{1} << 40;
constexpr int64_t MOST_BYTES_APART = int64_t{1} << 46;

int64_t item_bytes(const isobit_tensor &tensor) { return tensor.dtype == INT64 ? 8 : tensor.dtype == BOOL ? 1 : 4; }

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
        if (size > 1 && stride > MOST_BYTES_APART / size)
            invalid("got %s with stride %lld, want less", what, (long long)stride);
        reach += (size - 1) * stride;
    }
    if (!empty && !tensor.data) invalid("got %s without data, want a pointer", what);
    const int64_t bytes = item_bytes(tensor);
    if (!empty && reinterpret_cast<uintptr_t>(tensor.data) % bytes)
        invalid("got %s at an odd address, want a multiple of %lld", what, (long long)bytes);
}

void check_output(const isobit_tensor &output) {
    check_tensor("output", output);
    int64_t expected = 1;
    for (int axis = 0; axis < output.rank; ++axis)
        if (output.shape[axis] == 0) return;
    for (int axis = output.rank - 1; axis >= 0; --axis) {
        if (output.shape[axis] > 1 && output.stride[axis] != expected)
            invalid("got output %s with stride %lld in axis %d, want it contiguous", show(output).text,
                    (long long)output.stride[axis], axis);
        expected *= output.shape[axis];
    }
}

// The bytes that a checked tensor's elements lie in; none of an empty one.
struct Extent {
    uintptr_t begin = 0, end = 0;
    bool contiguous = true;

    explicit Extent(const isobit_tensor &tensor) {
        int64_t last = 0, expected = 1;
        for (int axis = tensor.rank - 1; axis >= 0; --axis) {
            if (tensor.shape[axis] == 0) return;
            contiguous &= tensor.shape[axis] == 1 || tensor.stride[axis] == expected;
            expected *= tensor.shape[axis];
            last += (tensor.shape[axis] - 1) * tensor.stride[axis];
        }
        begin = reinterpret_cast<uintptr_t>(tensor.data);
        end = begin + (last + 1) * item_bytes(tensor);
    }
};

// An output lies apart from every operand, or, elementwise, in just the memory of a contiguous one.
void check_apart(const isobit_call &call, bool elementwise) {
    const Extent output(*call.output);
    for (int i = 0; i < call.input_count; ++i) {
        const Extent operand(call.inputs[i]);
        if (output.end <= operand.begin || operand.end <= output.begin) continue;
        const bool same = operand.contiguous && operand.begin == output.begin && operand.end == output.end;
        if (!(elementwise && same))
            invalid("got output %s in the memory of operand %d, want them apart%s", show(*call.output).text, i,
                    elementwise ? " or the same" : "");
    }
}

void check_call(const isobit_call *call) {
    if (!call) invalid("got no call, want one");
    if (call->input_count < 0 || call->input_count > 4096)
        invalid("got %d operands, want 0 to 4096", call->input_count);
    if (call->input_count && !call->inputs) invalid("got no operands, want %d", call->input_count);
    if (call->attribute_count < 0 || call->attribute_count > 64)
        invalid("got %d attribute values, want 0 to 64", call->attribute_count);
    if (call->attribute_count && !call->attributes) invalid("got no attributes, want %d", call->attribute_count);
    if (!call->output) invalid("got no output, want one");
    if (call->threads < 1 || call->threads > 1024) invalid("got %d threads, want 1 to 1024", call->threads);
    for (int i = 0; i < call->input_count; ++i) check_tensor("operand", call->inputs[i]);
    check_output(*call->output);
}

int32_t answer(isobit_error *error, int32_t status, int64_t element, const char *name, const char *message) {
    if (!error) return status;
    error->status = status;
    error->element = element;
    error->message[0] = 0;
    if (status == 0) return status;
    std::snprintf(error->message, sizeof error->message, status == 1 ? "%s: %s" : "%.0s%s", name, message);
    return status;
}

// Runs `compute` and turns its refusals into a status.
template <class Compute>
int32_t guarded(const char *name, isobit_error *error, const Compute &compute) noexcept {
    try {
        host::FloatMode ieee;
        compute();
        return answer(error, 0, 0, "", "");
    } catch (const Refusal &refusal) {
        return answer(error, refusal.status, refusal.element, name, refusal.message);
    } catch (const std::bad_alloc &) {
        return answer(error, 3, 0, name, "out of memory");
    } catch (...) {
        return answer(error, 1, 0, name, "got an exception of the C++ runtime, want none");
    }
}

int32_t run(int index, const isobit_call *call, isobit_error *error) noexcept {
    return guarded(NAMES[index], error, [&] {
        check_call(call);
        check_apart(*call, index >= INDEX_add && index <= INDEX_cast);
        chosen_isa().table[index](*call);
    });
}

void check_group(const isobit_group *group) {
    if (!group) invalid("got no group, want one");
    if (group->input_count < 0 || group->input_count > 1024)
        invalid("got %d inputs, want 0 to 1024", group->input_count);
    if (group->output_count < 1 || group->output_count > 1024)
        invalid("got %d outputs, want 1 to 1024", group->output_count);
    if (group->code_count < 1 || !group->code) invalid("got no code, want some");
    if ((group->input_count && !group->inputs) || !group->outputs) invalid("got no tensors, want some");
    if (group->threads < 1 || group->threads > 1024) invalid("got %d threads, want 1 to 1024", group->threads);
    for (int i = 0; i < group->input_count; ++i) check_tensor("input", group->inputs[i]);
    for (int i = 0; i < group->output_count; ++i) check_output(group->outputs[i]);
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

void fault(int64_t element, const char *reason, ...) {
    Refusal refusal{2, element, {}};
    va_list arguments;
    va_start(arguments, reason);
    std::vsnprintf(refusal.message, sizeof refusal.message, reason, arguments);
    va_end(arguments);
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
        return chosen_isa().name;
    } catch (const Refusal &refusal) {
        std::snprintf(message, room, "%s", refusal.message);
        return nullptr;
    }
}

}  // namespace isobit

// The by-name functions, and the search among them.

extern "C" {

#define BY_NAME(name)                                                                                                  \
    int32_t isobit_##name(const isobit_call *call, isobit_error *error) {                                              \
        return isobit::run(isobit::INDEX_##name, call, error);                                                         \
    }
ISOBIT_OPERATORS(BY_NAME)

int32_t isobit_run_group(const isobit_group *group, isobit_error *error) {
    return isobit::guarded("group", error, [&] {
        isobit::check_group(group);
        isobit::chosen_isa().group(*group);
    });
}

int32_t isobit_operator_index(const char *name) {
    for (int i = 0; name && i < isobit::OPERATOR_COUNT; ++i)
        if (std::strcmp(name, isobit::NAMES[i]) == 0) return i;
    return -1;
}

isobit_operator isobit_find(const char *name) {
    static constexpr isobit_operator functions[] = {
#define FUNCTION(name) isobit_##name,
        ISOBIT_OPERATORS(FUNCTION)};
    const int32_t index = isobit_operator_index(name);
    return index < 0 ? nullptr : functions[index];
}

const char *isobit_isa(void) {
    char message[256];
    return isobit::isa_name(message, sizeof message);
}

}  // extern "C"
