// What is known of a row's largest magnitude before the row is: a sum's scale is that of its largest magnitude exactly,
// and a correctly rounded operator that rises or falls takes the ends of its operand's values to those of its result's.
// The ends of a register are found by the first sum or maximum of it.
#pragma once

#include <optional>

#include "group_plan.h"

namespace isobit::ISOBIT_ISA {
namespace {

// Without a low end both ends stand for the high one. What holds a NaN has NaNs for ends.
static inline Ends ends_after(const RangeStep &step, Ends e, float c) {
    const float largest = float_of(static_cast<uint32_t>(e.largest()));
    Ends after{};
    switch (step.kind) {
        case RangeStep::PLUS: after = {e.low + c, e.high + c}; break;
        case RangeStep::LESS: after = {e.low - c, e.high - c}; break;
        case RangeStep::LESS_FROM: after = {c - e.high, c - e.low}; break;
        case RangeStep::TIMES: after = c < 0 ? Ends{e.high * c, e.low * c} : Ends{e.low * c, e.high * c}; break;
        case RangeStep::NEGATED: after = {-e.high, -e.low}; break;
        case RangeStep::MAGNITUDE: after = {largest, largest}; break;
        case RangeStep::SQUARE: after = {largest * largest, largest * largest}; break;
        case RangeStep::POWER: {
            const float power = e.high == 0.0f ? 1.0f : isobit_fn_exp(e.high);
            after = {power, power};
        }
    }
    const bool has_nan = after.low != after.low || after.high != after.high;
    return has_nan ? Ends{float_of(CANONICAL_NAN), float_of(CANONICAL_NAN)} : after;
}

// Ranges of the registers as the steps go by.
class RangeFinder {
  public:
    explicit RangeFinder(Plan &plan) : plan_(plan), known_(plan.registers.size()) {}

    void find() {
        if (!plan_.has_long_rows()) return;
        for (Step &step : plan_.steps) {
            if (is_reduction(step.op)) reduce(step);
            std::optional<Range> range = is_reduction(step.op) ? std::nullopt : range_after(step);
            forget_readers_of(step.result);
            known_[step.result] = std::move(range);
        }
    }

  private:
    void reduce(Step &step) {
        std::optional<Range> &range = known_[step.operands[0]];
        if (step.op == AT_sum && range && range->gives_magnitude()) {
            use(step, *range);
        } else if (step.op == AT_sum || (step.op == AT_amax && !range)) {
            range = Range{};
            range->source = &step, range->has_low = step.op == AT_sum;
        }
    }

    void use(Step &step, Range &range) {
        if (range.source->ends < 0) range.source->ends = plan_.ends_count++;
        range.ends = range.source->ends;
        step.range = static_cast<int32_t>(plan_.ranges.size());
        plan_.ranges.push_back(range);
    }

    bool is_one(const Step &step, int i) const {
        return (step.of_row >> i & 1) || plan_.registers[step.operands[i]].constant;
    }

    std::optional<Range> range_after(const Step &step) const {
        const int32_t a = step.operands[0], b = step.operands[1];
        if (plan_.registers[step.result].per_row || plan_.registers[step.result].dtype != FLOAT32) return {};
        if (b < 0) return after_one(step.op, a);
        if (a == b && !step.of_row) return step.op == AT_mul ? with(known_[a], RangeStep::SQUARE) : std::nullopt;
        if (is_one(step, 0) == is_one(step, 1)) return {};
        const int one = is_one(step, 0) ? 0 : 1;
        const std::optional<Range> &other = known_[step.operands[1 - one]];
        switch (step.op) {
            case AT_add: return with(other, RangeStep::PLUS, &step, one);
            case AT_sub: return with(other, one ? RangeStep::LESS : RangeStep::LESS_FROM, &step, one);
            case AT_mul: return with(other, RangeStep::TIMES, &step, one);
            default: return {};
        }
    }

    std::optional<Range> after_one(int32_t op, int32_t operand) const {
        switch (op) {
            case AT_neg: return with(known_[operand], RangeStep::NEGATED);
            case AT_abs: return with(known_[operand], RangeStep::MAGNITUDE);
            case AT_exp: return with(known_[operand], RangeStep::POWER);
            default: return {};
        }
    }

    // The range with a step more; none where it does not say enough for that.
    static std::optional<Range> with(const std::optional<Range> &before, RangeStep::Kind kind,
                                     const Step *step = nullptr, int one = 0) {
        if (!before) return {};
        const bool wants_low = kind == RangeStep::TIMES || kind == RangeStep::LESS_FROM || kind == RangeStep::NEGATED;
        const bool wants_magnitude = kind == RangeStep::MAGNITUDE || kind == RangeStep::SQUARE;
        if ((wants_low && !before->has_low) || (wants_magnitude && !before->gives_magnitude())) return {};
        Range range = *before;
        range.is_positive = wants_magnitude || kind == RangeStep::POWER;
        if (range.is_positive) range.has_low = false;
        range.steps.push_back({kind, step ? step->operands[one] : -1, step && (step->of_row >> one & 1)});
        return range;
    }

    void forget_readers_of(int32_t number) {
        for (std::optional<Range> &range : known_) {
            if (!range) continue;
            for (const RangeStep &step : range->steps)
                if (step.operand == number) {
                    range.reset();
                    break;
                }
        }
    }

    Plan &plan_;
    std::vector<std::optional<Range>> known_;
};

}  // namespace
}  // namespace isobit::ISOBIT_ISA
