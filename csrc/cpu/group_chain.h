// The chains of a group (chain.h): which steps of a phase run as links, and what they read and write.
#pragma once

#include "chain_reduce.h"
#include "group_plan.h"

namespace isobit::ISOBIT_ISA {
namespace {

Links links_of(int32_t op) {
    switch (op) {
        case AT_add: return links_of_two<Added, Added>();
        case AT_sub: return links_of_two<Less, LessFrom>();
        case AT_mul: return links_of_two<Times, Times>();
#if defined(__AVX512DQ__)
        case AT_div: return links_of_two<Over, Under>(Code::all<OverOne>);
#else
        case AT_div: return links_of_two<Over, Under>();
#endif
        case AT_maximum: return links_of_extremum<Larger>();
        case AT_minimum: return links_of_extremum<Smaller>();
        case AT_neg: return links_of_one<Negated>();
        case AT_abs: return links_of_one<Magnitude>();
        case AT_sqrt: return links_of_one<Root>();
#if defined(ISOBIT_PAIRS)
        case AT_exp: return links_of_function<isobit_fast_exp, isobit_fn_exp>();
        case AT_log: return links_of_function<isobit_fast_log, isobit_fn_log>();
        case AT_erf: return links_of_function<isobit_fast_erf, isobit_fn_erf>();
        case AT_sigmoid: return links_of_function<isobit_fast_sigmoid, isobit_fn_sigmoid>();
        case AT_rsqrt: return links_of_function<isobit_fast_rsqrt, isobit_fn_rsqrt>();
#endif
#if defined(__AVX512DQ__)
        case AT_tanh: return links_of_function<isobit_fast_tanh, isobit_fn_tanh>();
#endif
        default: return {};
    }
}

bool is_link(const Plan &plan, const Step &step) {
    if (step.op == SPREAD || !links_of(step.op).self) return false;
    for (int32_t operand : step.operands)
        if (operand >= 0 && plan.registers[operand].dtype != FLOAT32) return false;
    return plan.registers[step.result].dtype == FLOAT32;
}

// Whether a step's value is read by another than the next link.
bool is_kept(const Plan &plan, size_t at, size_t chain_last, size_t phase_last) {
    const int32_t result = plan.steps[at].result;
    if (plan.registers[result].whole) return true;
    for (size_t i = at + 1; i < phase_last; ++i) {
        if (reads(plan.steps[i], result) && (i > at + 1 || i >= chain_last)) return true;
        if (plan.steps[i].result == result) return false;
    }
    return false;
}

class ChainWriter {
  public:
    ChainWriter(const Plan &plan, std::vector<LinkPlan> &links) : plan_(plan), links_(links) {}

    void write(const Step &step, bool is_kept) {
        const Links links = links_of(step.op);
        const int32_t a = step.operands[0], b = step.operands[1];
        const bool first_here = is_here(step, 0), second_here = b >= 0 && is_here(step, 1);
        if (links.wants_one_nan && (first_here || second_here)) make_nans_one();
        if (b >= 0 && second_here && !first_here) {
            add(is_one(step, 0) ? links.under_one : links.under_lanes, a, step.of_row & 1);
        } else {
            if (!first_here) add(is_one(step, 0) ? Code::load<FromOne> : Code::load<FromLanes>, a, step.of_row & 1);
            if (b < 0 || second_here)
                links_.push_back({links.self, 0});
            else
                add(is_one(step, 1) ? links.one : links.lanes, b, step.of_row >> 1 & 1);
        }
        here_ = step.result, has_any_nan_ = links.gives_any_nan;
        if (!is_kept) return;
        add(has_any_nan_ ? Code::store<OneNan> : Code::store<Same>, here_, false);
        has_any_nan_ = false;
    }

    // Joins what the chain holds to a reduction of the phase.
    void reduce(int32_t op, size_t reduction) {
        if (op != AT_sum) make_nans_one();
        links_.push_back({RowReduction::link(op), static_cast<int32_t>(reduction), 0, 0, true});
    }

    void end() { links_.push_back({Code::end, 0}); }

  private:
    bool is_here(const Step &step, int i) const { return step.operands[i] == here_ && !(step.of_row >> i & 1); }
    bool is_one(const Step &step, int i) const {
        return (step.of_row >> i & 1) || plan_.registers[step.operands[i]].constant;
    }
    void add(Code::Run run, int32_t place, bool of_row) {
        const bool moves = !of_row && plan_.registers[place].whole;
        links_.push_back({run, place, of_row ? 4 : 0, moves ? 4 : 0});
    }

    void make_nans_one() {
        if (has_any_nan_) links_.push_back({Code::one<OneNan>, 0});
        has_any_nan_ = false;
    }

    const Plan &plan_;
    std::vector<LinkPlan> &links_;
    int32_t here_ = -1;         // the register whose value the chain holds
    bool has_any_nan_ = false;  // whether a NaN of that value may be another than the law's
};

// Those of a phase's reductions whose operand is written by this step and no later one.
std::vector<size_t> reductions_of(const Plan &plan, const Phase &phase, size_t at) {
    const int32_t result = plan.steps[at].result;
    std::vector<size_t> found;
    for (size_t i = at + 1; i < phase.last; ++i)
        if (plan.steps[i].result == result) return {};
    for (size_t i = 0; i < phase.reduced.size(); ++i)
        if (plan.steps[phase.reduced[i]].operands[0] == result) found.push_back(i);
    return found;
}

Section chain_of(const Plan &plan, const Phase &phase, size_t at, size_t last) {
    Section section{at, last, {}, {}, false};
    ChainWriter writer(plan, section.links);
    for (size_t i = at; i < last; ++i) {
        writer.write(plan.steps[i], is_kept(plan, i, last, phase.last));
        for (size_t reduction : reductions_of(plan, phase, i)) {
            writer.reduce(plan.steps[phase.reduced[reduction]].op, reduction);
            section.reduced.push_back(reduction);
        }
    }
    writer.end();
    return section;
}

// Two links or more in a row are a chain, as is one that is reduced; what lies between chains runs step by step.
void find_chains(Plan &plan, Phase &phase) {
    for (size_t at = phase.first; at < phase.last;) {
        size_t last = at;
        while (last < phase.last && is_link(plan, plan.steps[last])) ++last;
        if (last >= at + 2 || (last > at && !reductions_of(plan, phase, at).empty()))
            phase.sections.push_back(chain_of(plan, phase, at, last));
        else
            phase.sections.push_back({at, std::max(last, at + 1), {}, reductions_of(plan, phase, at), false});
        at = phase.sections.back().last;
    }
}

}  // namespace
}  // namespace isobit::ISOBIT_ISA
