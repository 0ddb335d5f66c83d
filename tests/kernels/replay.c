/* Makes the calls that it reads and writes what they give: how tests reach a library of another machine.

   A call: name, inputs (type, data), attributes, type of the output, threads; lists and names follow their length. An
   answer: status, element, message, and where the status is 0 the output's data. Integers are little-endian. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isobit.h"

static const size_t ITEM_BYTES[] = {4, 8, 4, 4, 1};

static void take(void *data, size_t size) {
    if (size && fread(data, size, 1, stdin) != 1) exit(2);
}

static void give(const void *data, size_t size) {
    if (size && fwrite(data, size, 1, stdout) != 1) exit(3);
}

static int32_t take_int32(void) {
    int32_t value;
    take(&value, sizeof value);
    return value;
}

static size_t bytes_of(const isobit_tensor *tensor) {
    size_t bytes = ITEM_BYTES[tensor->dtype];
    for (int axis = 0; axis < tensor->rank; ++axis) bytes *= (size_t)tensor->shape[axis];
    return bytes;
}

/* A contiguous tensor with memory of its own. */
static void take_type(isobit_tensor *tensor) {
    memset(tensor, 0, sizeof *tensor);
    tensor->dtype = take_int32();
    tensor->rank = take_int32();
    take(tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape);
    int64_t stride = 1;
    for (int axis = tensor->rank; axis-- > 0; stride *= tensor->shape[axis]) tensor->stride[axis] = stride;
    tensor->data = calloc(bytes_of(tensor) + 1, 1);
}

int main(void) {
    for (int length = getc(stdin); length != EOF; length = getc(stdin)) {
        char name[256] = "";
        take(name, (size_t)length);
        isobit_tensor inputs[64], output;
        isobit_call call = {inputs, take_int32(), NULL, 0, &output, 0};
        for (int i = 0; i < call.input_count; ++i) {
            take_type(&inputs[i]);
            take(inputs[i].data, bytes_of(&inputs[i]));
        }
        call.attribute_count = take_int32();
        int64_t *const attributes = calloc((size_t)call.attribute_count + 1, sizeof *attributes);
        take(attributes, (size_t)call.attribute_count * sizeof *attributes);
        call.attributes = attributes;
        take_type(&output);
        call.threads = take_int32();
        const isobit_operator function = isobit_find(name);
        if (!function) return 4;
        isobit_error error;
        memset(&error, 0, sizeof error);
        error.status = function(&call, &error);
        give(&error.status, sizeof error.status);
        give(&error.element, sizeof error.element);
        give(error.message, sizeof error.message);
        if (!error.status) give(output.data, bytes_of(&output));
        for (int i = 0; i < call.input_count; ++i) free(inputs[i].data);
        free(output.data);
        free(attributes);
    }
    return 0;
}
