// The driver of the elementwise loops.
#include "blocks.h"

#include <atomic>
#include <memory>

#include "reader.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int64_t BLOCK = 2048;  // elements; four operands of 8 bytes stay in the second cache
constexpr int MOST_INPUTS = 3;

// A transposed operand is read through a copy made tile by tile: a walk down its columns would miss every cache.
bool is_transposed(const Strided &view) {
    if (view.inner_stride() <= 1 || view.inner() < 8) return false;
    for (int axis = 0; axis < view.rank - 1; ++axis)
        if (view.stride[axis] == 1 && view.shape[axis] >= 8) return true;
    return false;
}

struct Operand {
    Strided view;
    const void *data;
    int64_t size;
    std::unique_ptr<uint64_t[]> copy;
};

Operand prepare(const isobit_tensor &tensor, int64_t count, int threads) {
    Operand operand{merge_axes(tensor), tensor.data, item_size(tensor.dtype), nullptr};
    if (count < BLOCK || !is_transposed(operand.view)) return operand;
    operand.copy.reset(new uint64_t[(count * operand.size + 7) / 8]);
    int64_t stride[8], next = 1;
    for (int axis = tensor.rank - 1; axis >= 0; --axis) stride[axis] = next, next *= tensor.shape[axis];
    copy_view(operand.size, tensor.rank, tensor.shape, tensor.data, tensor.stride, operand.copy.get(), stride, threads);
    operand.data = operand.copy.get();
    operand.view = merge_axes(tensor.rank, tensor.shape, stride);
    return operand;
}

void keep_least(std::atomic<int64_t> &least, int64_t value) {
    int64_t before = least.load();
    while (value < before && !least.compare_exchange_weak(before, value)) {
    }
}

int64_t run_range(const Operand *operands, int count, Block block, char *output, int64_t size, int64_t begin,
                  int64_t end) {
    alignas(64) char buffers[MOST_INPUTS][BLOCK * 8];
    alignas(Reader) char storage[MOST_INPUTS][sizeof(Reader)];
    Reader *readers[MOST_INPUTS];
    for (int i = 0; i < count; ++i)
        readers[i] =
            new (storage[i]) Reader(operands[i].view, operands[i].data, operands[i].size, begin, buffers[i], BLOCK);
    const void *inputs[MOST_INPUTS];
    for (int64_t at = begin; at < end;) {
        int64_t n = std::min(BLOCK, end - at);
        for (int i = 0; i < count; ++i) n = readers[i]->limit(n);
        for (int i = 0; i < count; ++i) inputs[i] = readers[i]->read(n);
        const int64_t faulty = block(inputs, output + at * size, n);
        if (faulty >= 0) return at + faulty;
        at += n;
    }
    return INT64_MAX;
}

}  // namespace

thread_local Blocks *asked_blocks = nullptr;

void for_blocks(const isobit_call &call, const Blocks &blocks, int64_t grain, const char *reason) {
    if (asked_blocks) {
        *asked_blocks = blocks;
        return;
    }
    const int64_t count = element_count(*call.output), size = item_size(call.output->dtype);
    if (count == 0) return;
    Operand operands[MOST_INPUTS];
    for (int i = 0; i < call.input_count; ++i) operands[i] = prepare(call.inputs[i], count, call.threads);
    std::atomic<int64_t> least{INT64_MAX};
    parallel_for(call.threads, count, grain, [&](int64_t begin, int64_t end) {
        char *output = data_of<char>(*call.output);
        keep_least(least, run_range(operands, call.input_count, blocks.block, output, size, begin, end));
    });
    if (least != INT64_MAX) fault(least, "%s", reason);
}

}  // namespace isobit::ISOBIT_ISA
