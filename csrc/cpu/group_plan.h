// What a group's code says, checked.
//
// It runs in phases: the steps between two reductions of rows, which a piece of a tile goes through before the next.
// Within a phase, float32 operators one after another are a chain (chain.h), whose values stay in registers. A row's
// value beside elements is read as one value where the operator can; elsewhere it is repeated.
#pragma once

#include <cstring>
#include <vector>

#include "blocks.h"
#include "chain.h"
#include "rows.h"
#include "strided.h"

namespace isobit::ISOBIT_ISA {

extern const Kernel table[];

namespace {

constexpr int64_t PIECE = 1024;        // elements: some ten registers of them stay in the first cache
constexpr int64_t TILE = 2048;         // elements: some registers of them stay in the first cache
constexpr int64_t SHORT_TILE = 512;    // elements, where rows are short: a tile is then a piece
constexpr int64_t SHORT_COLUMNS = 64;  // a shorter row is no piece of its own
constexpr int32_t MOST_REGISTERS = 1024;
constexpr int32_t SPREAD = -1;

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
    bool whole = false;     // its place holds a tile's values, else those of a piece
    bool constant = false;  // an input of one value
    bool streams = false;   // an input that lies side by side: the next tile's values lie behind this one's
    bool repeats = false;   // an input whose values are the same in every tile

    bool is_direct() const { return output >= 0 && !deferred; }
};

struct Step {
    int32_t op, result, operands[3];
    Blocks blocks;
    uint32_t of_row = 0;    // the operands that are a row's value beside elements, one bit each
    uint32_t repeated = 0;  // the operands that are one value for all elements of a piece
    bool dropped = false;   // a spread that nobody reads
    int32_t range = -1;     // of a sum: what gives its largest magnitude
    int32_t ends = -1;      // of a sum or maximum: where its rows' ends are kept, if a range begins with them
};

// What an operator makes of the ends of a row's values (group_ranges.h).
struct RangeStep {
    enum Kind { PLUS, LESS, LESS_FROM, TIMES, NEGATED, MAGNITUDE, SQUARE, POWER } kind;
    int32_t operand;  // a register of one value, or one per row; -1 for none
    bool of_row;
};

struct Range {
    Step *source = nullptr;  // while ranges are found
    int32_t ends = -1;
    bool has_low = false, is_positive = false;
    std::vector<RangeStep> steps;

    bool gives_magnitude() const { return has_low || is_positive; }
};

struct LinkPlan {
    Code::Run run;
    int32_t place;                        // a register, or a reduction of the phase
    int64_t row_bytes = 0, at_bytes = 0;  // what lies between the places of two rows, and of two elements of a tile
    bool reduces = false;
};

struct Section {
    size_t first, last;           // steps
    std::vector<LinkPlan> links;  // none where the steps run one by one
    std::vector<size_t> reduced;  // those of the phase's reductions whose operand is written here
    bool fetches = false;         // whether the next tile's inputs are fetched meanwhile
};

struct Phase {
    size_t first, last;  // steps
    bool by_pieces;      // else one step for all rows of a tile
    std::vector<Section> sections;
    int32_t fetched = -1;         // an output whose place is fetched meanwhile
    std::vector<size_t> reduced;  // the reductions of values that the phase computes, done as it goes
};

struct Plan {
    std::vector<Register> registers;
    std::vector<Step> steps;
    std::vector<Phase> phases;
    std::vector<Range> ranges;
    int32_t ends_count = 0, input_count = 0;
    int64_t size = 0, columns = 0, tile = TILE, piece = PIECE;
    int64_t unit = 1;  // the elements that a tile has a whole number of

    int64_t count(const Register &r, int64_t elements) const { return r.per_row ? elements / columns : elements; }
    int64_t room(const Register &r) const { return count(r, r.whole || r.per_row ? tile : piece); }
    bool has_long_rows() const { return columns >= SHORT_COLUMNS; }
};

bool reads(const Step &step, int32_t number) {
    return std::find(step.operands, step.operands + 3, number) != step.operands + 3;
}

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
Blocks ask_for_blocks(const Plan &plan, const Step &step) {
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
    Blocks blocks;
    asked_blocks = &blocks;
    try {
        table[step.op](call);
    } catch (...) {
        asked_blocks = nullptr;
        throw;
    }
    asked_blocks = nullptr;
    return blocks;
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

// One element of each row, where an input says: its values are checked before anything runs.
void check_gather(const Plan &plan, const Step &step) {
    const int32_t from = step.operands[0], index = step.operands[1];
    if (index < 0 || index >= plan.input_count || step.operands[2] >= 0)
        invalid("got a gather in a group by register %d, want an input", index);
    const Register &x = plan.registers[from], &i = plan.registers[index], &result = plan.registers[step.result];
    if (!x.written || x.per_row || !i.per_row || !result.per_row)
        invalid("got a gather in a group of register %d into %d of the wrong kinds", from, step.result);
    if (x.dtype != FLOAT32 || result.dtype != FLOAT32 || i.dtype != INT64)
        invalid("got a gather in a group of dtypes %d and %d", x.dtype, i.dtype);
}

void check_step(Plan &plan, Step &step) {
    const bool row_result = plan.registers[step.result].per_row;
    if (step.op == AT_gather) {
        check_gather(plan, step);
    } else if (step.op == SPREAD || is_reduction(step.op)) {
        want_kinds(plan, step, step.op == SPREAD, step.op != SPREAD, 1);
        const int32_t from = plan.registers[step.operands[0]].dtype, to = plan.registers[step.result].dtype;
        if (from != to || (step.op != SPREAD && from != FLOAT32)) invalid("got dtypes %d and %d in a group", from, to);
    } else {
        want_kinds(plan, step, row_result, row_result, -1);
        step.blocks = ask_for_blocks(plan, step);
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

// The length of the run that a view of n elements is a repetition of: a vector beside the rows of a matrix. 0 where it
// is none.
int64_t repeated_run(const Strided &view) {
    const bool repeats = view.rank == 2 && view.stride[0] == 0 && view.stride[1] == 1 && view.shape[1] <= TILE;
    return repeats ? view.shape[1] : 0;
}

// A tile is a whole number of rows, or of the runs that an input repeats: that input is then read once.
void set_tile(Plan &plan, const isobit_group &group) {
    plan.unit = plan.columns ? plan.columns : 1;
    for (int32_t i = 0; i < group.input_count; ++i) {
        const int64_t run = plan.registers[i].per_row ? 0 : repeated_run(merge_axes(group.inputs[i]));
        if (run && plan.unit == 1) plan.unit = run;
        plan.registers[i].repeats = run && plan.unit % run == 0;
    }
    const int64_t most = (plan.columns && !plan.has_long_rows() ? SHORT_TILE : TILE) / plan.unit;
    const int64_t units = most > LINK_ELEMENTS ? most / LINK_ELEMENTS * LINK_ELEMENTS : most;
    plan.tile = std::clamp<int64_t>(units, 1, plan.size / plan.unit) * plan.unit;
    if (plan.columns && !plan.has_long_rows()) plan.piece = plan.tile;
}

Plan read_plan(const isobit_group &group) {
    Plan plan;
    plan.size = group.size, plan.columns = group.columns, plan.input_count = group.input_count;
    if (plan.size < 1) invalid("got a group of %lld elements, want 1 or more", (long long)plan.size);
    if (plan.columns < 0 || plan.columns > MOST_SUMMANDS || (plan.columns && plan.size % plan.columns))
        invalid("got rows of %lld in %lld elements, want a divisor of at most 2^16", (long long)plan.columns,
                (long long)plan.size);
    Words words(group);
    read_registers(group, words, plan);
    for (int32_t i = 0; i < group.input_count; ++i) {
        want_tensor(plan, group.inputs[i], plan.registers[i]);
        plan.registers[i].written = true;
        const Strided view = merge_axes(group.inputs[i]);
        plan.registers[i].constant = !plan.registers[i].per_row && view.is_scalar();
        plan.registers[i].streams = !plan.registers[i].per_row && view.is_contiguous() && !view.is_scalar();
    }
    set_tile(plan, group);
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
    return plan;
}

}  // namespace
}  // namespace isobit::ISOBIT_ISA
