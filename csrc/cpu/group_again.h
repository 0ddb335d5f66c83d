// Values that a later phase computes again, where that takes less than to keep them: an operator of one or two
// instructions on values that the tile holds anyway. The bits are the operator's, whenever it runs.
#pragma once

#include "group_plan.h"

namespace isobit::ISOBIT_ISA {
namespace {

bool is_by_pieces(const Plan &plan, const Step &step) { return !plan.registers[step.result].per_row; }

// Whether a reduction can go along with the phase before it: its row's scale, if it has one, is known by then.
bool goes_along(const Plan &plan, const Step &step) {
    return plan.has_long_rows() && is_reduction(step.op) && (step.op != AT_sum || step.range >= 0);
}

class Repeater {
  public:
    explicit Repeater(Plan &plan) : plan_(plan) { number_phases(); }

    void repeat() {
        if (!plan_.has_long_rows()) return;
        for (size_t at = 0; at < plan_.steps.size(); ++at) {
            while (plan_.steps[at].op == AT_gather && gather_first(at)) {
            }
            if (!is_by_pieces(plan_, plan_.steps[at])) continue;
            for (int i = 0; i < 3; ++i) {
                const int32_t number = plan_.steps[at].operands[i];
                if (number < 0 || (plan_.steps[at].of_row >> i & 1)) continue;
                const int64_t writer = writer_of(number, at);
                if (writer < 0 || phase_[writer] == phase_[at] || !is_worth_it(writer, at)) continue;
                insert(writer, at++);
            }
        }
    }

  private:
    // Steps of a phase have one number, and so have the reductions that go along with it.
    void number_phases() {
        int32_t phase = 0;
        bool by_pieces = false;
        for (const Step &step : plan_.steps) {
            if (!by_pieces || !is_by_pieces(plan_, step)) ++phase;
            by_pieces = is_by_pieces(plan_, step);
            phase_.push_back(phase);
        }
    }

    // The step whose result the register holds before `at`; -1 where it is an input.
    int64_t writer_of(int32_t number, size_t at) const {
        int64_t writer = static_cast<int64_t>(at) - 1;
        while (writer >= 0 && plan_.steps[writer].result != number) --writer;
        return writer;
    }

    bool is_cheap(const Step &step) const {
        switch (step.op) {
            case AT_add:
            case AT_sub:
            case AT_mul:
            case AT_neg:
            case AT_abs: return plan_.registers[step.result].dtype == FLOAT32;
            default: return false;
        }
    }

    // Whether the writer's operands are still there, and nobody else wants its result kept for the tile.
    bool is_worth_it(size_t writer, size_t at) const {
        const Step &step = plan_.steps[writer];
        if (!is_cheap(step) || plan_.registers[step.result].output >= 0) return false;
        for (int i = 0; i < 2; ++i) {
            const int32_t operand = step.operands[i];
            if (operand < 0) continue;
            const Register &r = plan_.registers[operand];
            const bool is_kept = (step.of_row >> i & 1) || operand < plan_.input_count || r.output >= 0;
            if (!is_kept || writer_of(operand, at) != writer_of(operand, writer)) return false;
        }
        return !is_reduced_alone(writer);
    }

    // Whether a reduction reads the writer's result that does not go along with the writer's phase.
    bool is_reduced_alone(size_t writer) const {
        const int32_t number = plan_.steps[writer].result;
        bool is_next = true;  // whether only steps of its phase and reductions that go along lie between
        for (size_t i = writer + 1; i < plan_.steps.size() && plan_.steps[i].result != number; ++i) {
            const Step &step = plan_.steps[i];
            const bool along = is_next && goes_along(plan_, step);
            if (is_reduction(step.op) && reads(step, number) && !along) return true;
            is_next = is_next && (phase_[i] == phase_[writer] || along);
        }
        return false;
    }

    // A gather of what a cheap operator made of elements and a row's value takes the elements, and the operator
    // follows.
    bool gather_first(size_t at) {
        const Step gather = plan_.steps[at];
        const int64_t writer = writer_of(gather.operands[0], at);
        if (writer < 0 || !is_cheap(plan_.steps[writer])) return false;
        Step after = plan_.steps[writer];
        const int full = after.of_row & 1;  // the operand that may be elements; the other is none, or a row's value
        const bool has_other = after.operands[1] >= 0;
        if ((after.of_row >> full & 1) || (has_other && !(after.of_row >> (1 - full) & 1))) return false;
        for (int i = 0; i < 1 + has_other; ++i)
            if (writer_of(after.operands[i], at) != writer_of(after.operands[i], writer)) return false;
        Register row = plan_.registers[gather.result];
        row.output = -1;
        plan_.steps[at].operands[0] = after.operands[full];
        plan_.steps[at].result = after.operands[full] = static_cast<int32_t>(plan_.registers.size());
        after.result = gather.result, after.of_row = 0;
        plan_.registers.push_back(row);
        plan_.steps.insert(plan_.steps.begin() + at + 1, after);
        phase_.insert(phase_.begin() + at + 1, phase_[at]);
        return true;
    }

    // Runs the writer again before `at`, into a register of its own, which the phase reads from there on.
    void insert(size_t writer, size_t at) {
        Step again = plan_.steps[writer];
        const int32_t before = again.result, phase = phase_[at];
        again.result = static_cast<int32_t>(plan_.registers.size());
        Register r = plan_.registers[before];
        plan_.registers.push_back(r);
        plan_.steps.insert(plan_.steps.begin() + at, again), phase_.insert(phase_.begin() + at, phase);
        for (size_t i = at + 1; i < plan_.steps.size() && phase_[i] == phase; ++i) {
            Step &step = plan_.steps[i];
            for (int j = 0; j < 3; ++j)
                if (step.operands[j] == before && !(step.of_row >> j & 1)) step.operands[j] = again.result;
            if (step.result == before) break;
        }
    }

    Plan &plan_;
    std::vector<int32_t> phase_;
};

}  // namespace
}  // namespace isobit::ISOBIT_ISA
