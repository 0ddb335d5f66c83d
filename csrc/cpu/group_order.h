// How a checked plan runs (group_plan.h): which outputs wait, which spreads fall away, what makes a phase.
#pragma once

#include "group_again.h"
#include "group_chain.h"
#include "group_ranges.h"

namespace isobit::ISOBIT_ISA {
namespace {

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
                if (is_written && reads(step, i)) output.deferred = true;
                is_written |= step.result == number;
            }
        }
    }
}

// The steps that read what step `at` spreads, if each can take a row's value as it is; none where one cannot, or where
// that value is gone by then.
std::vector<Step *> readers_of_row(Plan &plan, size_t at) {
    const Step &spread = plan.steps[at];
    std::vector<Step *> readers;
    bool is_gone = false;
    for (size_t i = at + 1; i < plan.steps.size(); ++i) {
        Step &step = plan.steps[i];
        if (reads(step, spread.result)) {
            if (!step.blocks.pair || is_gone) return {};
            readers.push_back(&step);
        }
        if (step.result == spread.result) break;
        is_gone |= step.result == spread.operands[0];
    }
    return readers;
}

void drop_spreads(Plan &plan) {
    if (!plan.has_long_rows()) return;
    for (size_t at = 0; at < plan.steps.size(); ++at) {
        Step &spread = plan.steps[at];
        if (spread.op != SPREAD || plan.registers[spread.result].output >= 0) continue;
        for (Step *step : readers_of_row(plan, at)) {
            spread.dropped = true;
            for (int i = 0; i < 2; ++i)
                if (step->operands[i] == spread.result && !(step->of_row >> i & 1))
                    step->operands[i] = spread.operands[0], step->of_row |= 1u << i;
        }
    }
    const auto is_dropped = [](const Step &step) { return step.dropped; };
    plan.steps.erase(std::remove_if(plan.steps.begin(), plan.steps.end(), is_dropped), plan.steps.end());
}

bool is_written_in(const Plan &plan, const Phase &phase, int32_t number) {
    for (size_t at = phase.first; at < phase.last; ++at)
        if (plan.steps[at].result == number) return true;
    return false;
}

void find_phases(Plan &plan) {
    for (size_t at = 0; at < plan.steps.size(); ++at) {
        const Step &step = plan.steps[at];
        const bool by_pieces = is_by_pieces(plan, step);
        Phase *before = plan.phases.empty() || !plan.phases.back().by_pieces ? nullptr : &plan.phases.back();
        if (before && goes_along(plan, step) && is_written_in(plan, *before, step.operands[0])) {
            before->reduced.push_back(at);
            continue;
        }
        if (!before || !by_pieces || !before->reduced.empty()) plan.phases.push_back({at, at, by_pieces, {}, -1, {}});
        plan.phases.back().last = at + 1;
    }
}

// A value that another phase reads than the one that wrote it is kept for the whole tile.
void find_whole(const isobit_group &group, Plan &plan) {
    for (int32_t i = 0; i < static_cast<int32_t>(plan.registers.size()); ++i)
        plan.registers[i].whole = i < group.input_count ? !plan.registers[i].constant : plan.registers[i].output >= 0;
    for (const Phase &phase : plan.phases) {
        if (!phase.by_pieces) plan.registers[plan.steps[phase.first].operands[0]].whole = true;
        std::vector<bool> is_here(plan.registers.size(), false);
        for (size_t at = phase.first; at < phase.last; ++at) {
            for (int32_t operand : plan.steps[at].operands)
                if (operand >= group.input_count && !is_here[operand]) plan.registers[operand].whole = true;
            is_here[plan.steps[at].result] = true;
        }
    }
}

void find_repeated(Plan &plan) {
    for (Step &step : plan.steps) {
        step.repeated = step.of_row;
        for (int i = 0; step.blocks.pair && i < 2; ++i)
            if (plan.registers[step.operands[i]].constant) step.repeated |= 1u << i;
    }
}

// While rows are reduced the memory would rest: it fetches the place of an output, of one for each reduction, that is
// no input's place too.
void find_fetched_outputs(const isobit_group &group, Plan &plan) {
    std::vector<int32_t> outputs;
    for (size_t at = plan.steps.size(); at-- > 0;) {
        const int32_t number = plan.steps[at].result;
        const Register &r = plan.registers[number];
        bool is_new = r.is_direct() && !r.per_row && item_size(r.dtype) == 4;
        for (int32_t i = 0; is_new && i < group.input_count; ++i)
            is_new = group.inputs[i].data != group.outputs[r.output].data;
        if (is_new) outputs.push_back(number);
    }
    for (size_t i = plan.phases.size(); i-- > 0 && !outputs.empty();) {
        Phase &phase = plan.phases[i];
        if (phase.by_pieces ? phase.reduced.empty() : plan.steps[phase.first].op != AT_sum) continue;
        phase.fetched = outputs.front();
        outputs.erase(outputs.begin());
    }
}

// While the last chain computes, the memory would rest: it fetches what the next tile begins with.
void find_fetching(Plan &plan) {
    for (size_t i = plan.phases.size(); i-- > 0;)
        for (Section &section : plan.phases[i].sections)
            if (!section.links.empty()) {
                section.fetches = true;
                return;
            }
}

Plan plan_of(const isobit_group &group) {
    Plan plan = read_plan(group);
    drop_spreads(plan);
    RangeFinder(plan).find();
    Repeater(plan).repeat();
    defer_outputs(group, plan);
    find_phases(plan);
    find_whole(group, plan);
    find_repeated(plan);
    for (Phase &phase : plan.phases)
        if (phase.by_pieces) find_chains(plan, phase);
    find_fetching(plan);
    find_fetched_outputs(group, plan);
    return plan;
}

}  // namespace
}  // namespace isobit::ISOBIT_ISA
