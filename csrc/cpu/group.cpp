// A group of operators in one pass over memory: every operator rounds by itself, so the bits are its members'.
//
// The domain, `size` elements in row-major order, is cut into tiles that stay in the first caches; `columns` elements
// make a row where a member reduces rows. The code, in 32-bit words:
//   the number of registers; for each its dtype and 0 (an element per element of the domain) or 1 (one per row);
//   the register of each output; then steps of five words: operator, result, three operands (-1 for none).
// The inputs are the first registers. An output may be a contiguous input's own memory. The operator is its place in
// ISOBIT_OPERATORS, or -1: repeat a row's value along it.
#include "blocks.h"

#include <cstring>
#include <memory>
#include <vector>

#include "fixed_point.h"
#include "reader.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {

extern const Kernel table[];

namespace {

constexpr int64_t TILE = 512;            // elements: some twenty registers of them stay in the first cache
constexpr int64_t MOST_COLUMNS = 65536;  // of a sum: with 46 bits an element, |sum| <= 2^62
constexpr int64_t WORK_OF_A_THREAD =
    131072;  // steps times elements: some 30 microseconds, more than a thread takes to wake
constexpr int32_t MOST_REGISTERS = 1024;
constexpr int32_t SPREAD = -1;
constexpr int SUM_BITS = 46;

enum Index {
#define INDEX(name) AT_##name,
    ISOBIT_OPERATORS(INDEX) OPERATOR_COUNT
#undef INDEX
};

struct Register {
    int32_t dtype;
    bool per_row;
    int32_t output = -1;
    bool written = false;
    bool deferred = false;  // an output that lands on an input which a later step still reads: copied at a tile's end

    bool is_direct() const { return output >= 0 && !deferred; }
};

struct Step {
    int32_t op, result, operands[3];
    Block block = nullptr;
};

struct Plan {
    std::vector<Register> registers;
    std::vector<Step> steps;
    int64_t size = 0, columns = 0, rows = 0, tile = TILE, tile_rows = 0;

    int64_t count(const Register &r, int64_t elements) const { return r.per_row ? elements / columns : elements; }
};

class Words {
  public:
    explicit Words(const isobit_group &group) : at_(group.code), end_(group.code + group.code_count) {}
    bool done() const { return at_ == end_; }
    int32_t next(const char *what, int64_t low, int64_t high) {
        if (at_ == end_) invalid("got code that ends before a %s, want one", what);
        if (*at_ < low || *at_ > high)
            invalid("got %s %d, want %lld to %lld", what, *at_, (long long)low, (long long)high);
        return *at_++;
    }

  private:
    const int32_t *at_, *end_;
};

// The block of an operator is what it would run on one element of these dtypes: asked for, its own checks included.
Block ask_for_block(const Plan &plan, const Step &step) {
    const bool can_fault = step.op == AT_floor_divide || step.op == AT_remainder;
    if (step.op < AT_add || step.op > AT_cast || can_fault)
        invalid("got operator %d in a group, want an elementwise one", step.op);
    isobit_tensor inputs[3]{}, output{};
    int32_t count = 0;
    for (int32_t operand : step.operands)
        if (operand >= 0) inputs[count++].dtype = plan.registers[operand].dtype;
    output.dtype = plan.registers[step.result].dtype;
    const int64_t attribute = output.dtype;
    const isobit_call call{inputs, count, &attribute, step.op == AT_cast ? 1 : 0, &output, 1};
    Block block = nullptr;
    asked_block = &block;
    try {
        table[step.op](call);
    } catch (...) {
        asked_block = nullptr;
        throw;
    }
    asked_block = nullptr;
    return block;
}

bool is_reduction(int32_t op) { return op == AT_sum || op == AT_amax || op == AT_amin; }

void want_kinds(const Plan &plan, const Step &step, bool operands_per_row, bool result_per_row, int operand_count) {
    int count = 0;
    for (int32_t operand : step.operands) {
        if (operand < 0) continue;
        ++count;
        if (!plan.registers[operand].written) invalid("got register %d read before it is written", operand);
        if (plan.registers[operand].per_row != operands_per_row) invalid("got register %d of the wrong kind", operand);
    }
    if (operand_count >= 0 && count != operand_count)
        invalid("got %d operands in a group, want %d", count, operand_count);
    if (plan.registers[step.result].per_row != result_per_row) invalid("got result %d of the wrong kind", step.result);
}

void check_step(Plan &plan, Step &step) {
    const bool row_result = plan.registers[step.result].per_row;
    if (step.op == SPREAD || is_reduction(step.op)) {
        want_kinds(plan, step, step.op == SPREAD, step.op != SPREAD, 1);
        const int32_t from = plan.registers[step.operands[0]].dtype, to = plan.registers[step.result].dtype;
        if (from != to || (step.op != SPREAD && from != FLOAT32)) invalid("got dtypes %d and %d in a group", from, to);
    } else {
        want_kinds(plan, step, row_result, row_result, -1);
        step.block = ask_for_block(plan, step);
    }
    plan.registers[step.result].written = true;
}

void read_registers(const isobit_group &group, Words &words, Plan &plan) {
    plan.registers.resize(words.next("register count", group.input_count, MOST_REGISTERS));
    for (Register &r : plan.registers) {
        r.dtype = words.next("dtype", FLOAT32, BOOL);
        r.per_row = words.next("kind", 0, plan.columns ? 1 : 0);
    }
    for (int32_t i = 0; i < group.output_count; ++i) {
        Register &r =
            plan.registers[words.next("output register", group.input_count, int64_t(plan.registers.size()) - 1)];
        if (r.output >= 0) invalid("got one register for two outputs, want one each");
        r.output = i;
    }
}

void want_tensor(const Plan &plan, const isobit_tensor &tensor, const Register &r) {
    if (tensor.dtype != r.dtype || element_count(tensor) != plan.count(r, plan.size))
        invalid("got %s in a group of %lld elements, want dtype %d and %lld elements", show(tensor).text,
                (long long)plan.size, r.dtype, (long long)plan.count(r, plan.size));
}

// The bytes that a tensor's elements lie in.
struct Extent {
    const char *begin, *end;

    explicit Extent(const isobit_tensor &tensor) : begin(data_of<const char>(tensor)) {
        int64_t last = 0;
        for (int axis = 0; axis < tensor.rank; ++axis) last += (tensor.shape[axis] - 1) * tensor.stride[axis];
        end = begin + (last + 1) * item_size(tensor.dtype);
    }
};

// Whether an output lies on an input; a refusal where the two overlap in any other way than element on element.
bool lies_on(const isobit_tensor &output, const isobit_tensor &input) {
    const Extent a(output), b(input);
    if (a.end <= b.begin || b.end <= a.begin) return false;
    if (a.begin != b.begin || a.end != b.end || !is_contiguous(input))
        invalid("got output %s that overlaps input %s, want them apart or the same", show(output).text,
                show(input).text);
    return true;
}

void defer_outputs(const isobit_group &group, Plan &plan) {
    for (Register &output : plan.registers) {
        if (output.output < 0) continue;
        const int32_t number = static_cast<int32_t>(&output - plan.registers.data());
        for (int32_t i = 0; i < group.input_count; ++i) {
            if (!lies_on(group.outputs[output.output], group.inputs[i])) continue;
            bool is_written = false;
            for (const Step &step : plan.steps) {
                if (is_written && std::find(step.operands, step.operands + 3, i) != step.operands + 3)
                    output.deferred = true;
                is_written |= step.result == number;
            }
        }
    }
}

Plan read_plan(const isobit_group &group) {
    Plan plan;
    plan.size = group.size, plan.columns = group.columns;
    if (plan.size < 1) invalid("got a group of %lld elements, want 1 or more", (long long)plan.size);
    if (plan.columns < 0 || plan.columns > MOST_COLUMNS || (plan.columns && plan.size % plan.columns))
        invalid("got rows of %lld in %lld elements, want a divisor of at most 2^16", (long long)plan.columns,
                (long long)plan.size);
    if (plan.columns) {
        plan.rows = plan.size / plan.columns;
        plan.tile_rows = std::clamp<int64_t>(TILE / plan.columns, 1, plan.rows);
        plan.tile = plan.tile_rows * plan.columns;
    }
    Words words(group);
    read_registers(group, words, plan);
    for (int32_t i = 0; i < group.input_count; ++i) {
        want_tensor(plan, group.inputs[i], plan.registers[i]);
        plan.registers[i].written = true;
    }
    const int64_t last = int64_t(plan.registers.size()) - 1;
    while (!words.done()) {
        Step step{};
        step.op = words.next("operator", SPREAD, OPERATOR_COUNT - 1);
        step.result = words.next("result", group.input_count, last);
        for (int32_t &operand : step.operands) operand = words.next("operand", -1, last);
        if (step.operands[0] < 0) invalid("got a step without operands, want one or more");
        check_step(plan, step);
        plan.steps.push_back(step);
    }
    for (const Register &r : plan.registers) {
        if (r.output < 0) continue;
        want_tensor(plan, group.outputs[r.output], r);
        if (!r.written) invalid("got output %d that no step writes", r.output);
    }
    defer_outputs(group, plan);
    return plan;
}

float sum_row(const float *x, int64_t n) {
    int32_t most = 0;
    for (int64_t i = 0; i < n; ++i) most = std::max(most, magnitude(x[i]));
    const FixedPoint scale = fixed_point(most, SUM_BITS);
    uint64_t total = 0;
    for (int64_t i = 0; i < n; ++i) total += biased_integer(x[i], scale.into);
    return store(static_cast<int64_t>(total - ROUNDER_BITS * static_cast<uint64_t>(n)), scale);
}

float amax_row(const float *x, int64_t n) {
    int32_t most = INT32_MIN;
    for (int64_t i = 0; i < n; ++i) most = std::max(most, rising_key(x[i]));
    return from_rising_key(most);
}

float amin_row(const float *x, int64_t n) {
    int32_t least = INT32_MAX;
    for (int64_t i = 0; i < n; ++i) least = std::min(least, falling_key(x[i]));
    return from_falling_key(least);
}

void reduce_rows(int32_t op, const void *from, void *to, int64_t rows, int64_t columns) {
    const float *x = static_cast<const float *>(from);
    float *out = static_cast<float *>(to);
    for (int64_t row = 0; row < rows; ++row, x += columns)
        out[row] = op == AT_sum ? sum_row(x, columns) : op == AT_amax ? amax_row(x, columns) : amin_row(x, columns);
}

template <class T>
void spread_as(const void *from, void *to, int64_t rows, int64_t columns) {
    for (int64_t row = 0; row < rows; ++row)
        std::fill_n(static_cast<T *>(to) + row * columns, columns, static_cast<const T *>(from)[row]);
}

void spread_rows(int64_t size, const void *from, void *to, int64_t rows, int64_t columns) {
    if (size == 4)
        spread_as<uint32_t>(from, to, rows, columns);
    else if (size == 8)
        spread_as<uint64_t>(from, to, rows, columns);
    else
        spread_as<uint8_t>(from, to, rows, columns);
}

// The tiles of one thread: a place for every register, readers for the inputs.
class Worker {
  public:
    Worker(const isobit_group &group, const Plan &plan, int64_t begin) : group_(group), plan_(plan) {
        constexpr int64_t line = 64;
        std::vector<int64_t> offsets;
        int64_t bytes = 0;
        for (const Register &r : plan.registers) {
            offsets.push_back(bytes);
            if (!r.is_direct()) bytes += (plan.count(r, plan.tile) * item_size(r.dtype) + line - 1) / line * line;
        }
        scratch_.reset(new char[bytes + line]);
        char *base = scratch_.get() + (line - reinterpret_cast<uintptr_t>(scratch_.get()) % line) % line;
        for (size_t i = 0; i < plan.registers.size(); ++i) places_.push_back(base + offsets[i]);
        for (int32_t i = 0; i < group.input_count; ++i) {
            const Register &r = plan.registers[i];
            readers_.emplace_back(merge_axes(group.inputs[i]), group.inputs[i].data, item_size(r.dtype),
                                  plan.count(r, begin), places_[i], plan.count(r, plan.tile));
        }
    }

    void run(int64_t at, int64_t n) {
        for (int32_t i = 0; i < group_.input_count; ++i)
            places_[i] =
                const_cast<char *>(static_cast<const char *>(readers_[i].read(plan_.count(plan_.registers[i], n))));
        for (size_t i = group_.input_count; i < plan_.registers.size(); ++i) {
            const Register &r = plan_.registers[i];
            if (r.is_direct()) places_[i] = place_in_output(r, at);
        }
        for (const Step &step : plan_.steps) run_step(step, n);
        for (size_t i = group_.input_count; i < plan_.registers.size(); ++i) {
            const Register &r = plan_.registers[i];
            if (r.deferred) std::memcpy(place_in_output(r, at), places_[i], plan_.count(r, n) * item_size(r.dtype));
        }
    }

  private:
    char *place_in_output(const Register &r, int64_t at) const {
        return data_of<char>(group_.outputs[r.output]) + plan_.count(r, at) * item_size(r.dtype);
    }

    void run_step(const Step &step, int64_t n) {
        const Register &result = plan_.registers[step.result];
        char *to = places_[step.result];
        if (step.block) {
            const void *inputs[3];
            for (int i = 0; i < 3; ++i) inputs[i] = step.operands[i] < 0 ? nullptr : places_[step.operands[i]];
            step.block(inputs, to, plan_.count(result, n));
        } else if (step.op == SPREAD) {
            spread_rows(item_size(result.dtype), places_[step.operands[0]], to, n / plan_.columns, plan_.columns);
        } else {
            reduce_rows(step.op, places_[step.operands[0]], to, n / plan_.columns, plan_.columns);
        }
    }

    const isobit_group &group_;
    const Plan &plan_;
    std::unique_ptr<char[]> scratch_;
    std::vector<char *> places_;
    std::vector<Reader> readers_;
};

}  // namespace

void run_group(const isobit_group &group) {
    const Plan plan = read_plan(group);
    const int64_t elements =
        std::clamp<int64_t>(WORK_OF_A_THREAD / static_cast<int64_t>(plan.steps.size() + 1), COSTLY, 2 * CHEAP);
    const int64_t unit = plan.columns ? plan.columns : 1, grain = std::max<int64_t>(elements / unit, 1);
    parallel_for(group.threads, plan.size / unit, grain, [&](int64_t first, int64_t last) {
        Worker worker(group, plan, first * unit);
        for (int64_t at = first * unit; at < last * unit; at += plan.tile)
            worker.run(at, std::min(plan.tile, last * unit - at));
    });
}

}  // namespace isobit::ISOBIT_ISA
