// A group of operators in one pass over memory: every operator rounds by itself, so the bits are its members'.
//
// The domain, `size` elements in row-major order, is cut into tiles; `columns` elements make a row where a member
// reduces rows. The code, in 32-bit words:
//   the number of registers; for each its dtype and 0 (an element per element of the domain) or 1 (one per row);
//   the register of each output; then steps of five words: operator, result, three operands (-1 for none).
// A gather takes one element of each row, where its second operand, an input, says. The inputs are the first registers.
// An output may be a contiguous input's own memory. The operator is its place in
// ISOBIT_OPERATORS, or -1: repeat a row's value along it.
#include <memory>

#include "group_order.h"
#include "index.h"
#include "reader.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int64_t WORK_OF_A_THREAD =
    131072;  // steps times elements: some 30 microseconds, more than a thread takes to wake

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

// Elements that go through a phase together.
struct Piece {
    int64_t row, at, size;  // its row of the tile; its first element in the tile
};

// The tiles of one thread: a place for every register, readers for the inputs.
class Worker {
  public:
    Worker(const isobit_group &group, const Plan &plan, int64_t begin) : group_(group), plan_(plan) {
        constexpr int64_t line = 64;
        std::vector<int64_t> offsets;
        int64_t bytes = 0;
        for (const Register &r : plan.registers) {
            offsets.push_back(bytes);
            if (!r.is_direct()) bytes += (plan.room(r) * item_size(r.dtype) + line - 1) / line * line;
        }
        scratch_.reset(new char[bytes + line]);
        char *base = scratch_.get() + (line - reinterpret_cast<uintptr_t>(scratch_.get()) % line) % line;
        for (size_t i = 0; i < plan.registers.size(); ++i) places_.push_back(base + offsets[i]);
        for (int32_t i = 0; i < group.input_count; ++i) {
            const Register &r = plan.registers[i];
            readers_.emplace_back(merge_axes(group.inputs[i]), group.inputs[i].data, item_size(r.dtype),
                                  plan.count(r, begin), places_[i], plan.room(r));
            if (r.repeats) places_[i] = place_of(readers_[i].read(plan.tile));
        }
        const int64_t rows = plan.columns ? plan.tile / plan.columns : 0;
        ends_.resize(plan.ends_count * rows), scales_.resize(rows);
        size_t reductions = 0;
        for (const Phase &phase : plan.phases) reductions = std::max(reductions, phase.reduced.size());
        reductions_.resize(reductions);
    }

    void run(int64_t at, int64_t n) {
        for (int32_t i = 0; i < group_.input_count; ++i)
            if (!plan_.registers[i].repeats)
                places_[i] = place_of(readers_[i].read(plan_.count(plan_.registers[i], n)));
        next_.clear();
        for (int32_t i = 0; i < group_.input_count; ++i)
            if (plan_.registers[i].streams && item_size(plan_.registers[i].dtype) == 4)
                next_.push_back(places_[i] + 4 * n);
        for (size_t i = group_.input_count; i < plan_.registers.size(); ++i) {
            const Register &r = plan_.registers[i];
            if (r.is_direct()) places_[i] = place_in_output(r, at);
        }
        for (const Phase &phase : plan_.phases) run_phase(phase, n);
        for (size_t i = group_.input_count; i < plan_.registers.size(); ++i) {
            const Register &r = plan_.registers[i];
            if (r.deferred) std::memcpy(place_in_output(r, at), places_[i], plan_.count(r, n) * item_size(r.dtype));
        }
    }

  private:
    static char *place_of(const void *data) { return const_cast<char *>(static_cast<const char *>(data)); }

    char *place_in_output(const Register &r, int64_t at) const {
        return data_of<char>(group_.outputs[r.output]) + plan_.count(r, at) * item_size(r.dtype);
    }

    void run_phase(const Phase &phase, int64_t n) {
        if (!phase.by_pieces) return run_rows(plan_.steps[phase.first], n / plan_.columns, phase.fetched);
        const int64_t row_size = plan_.has_long_rows() ? plan_.columns : n;
        for (int64_t row = 0; row * row_size < n; ++row) {
            for (size_t i = 0; i < phase.reduced.size(); ++i) {
                const Step &step = plan_.steps[phase.reduced[i]];
                reductions_[i].begin(step.op, step.range < 0 ? FixedPoint{} : scale_of(step, row));
            }
            for (int64_t at = 0; at < row_size; at += plan_.piece)
                for (const Section &section : phase.sections)
                    run_section(phase, section, {row, row * row_size + at, std::min(plan_.piece, row_size - at)});
            for (size_t i = 0; i < phase.reduced.size(); ++i)
                keep(plan_.steps[phase.reduced[i]], row, reductions_[i].result());
        }
    }

    void run_section(const Phase &phase, const Section &section, const Piece &piece) {
        const int64_t linked = section.links.empty() ? 0 : piece.size / LINK_ELEMENTS * LINK_ELEMENTS;
        if (linked) run_chain(section, piece, linked, section.reduced.empty() ? -1 : phase.fetched);
        if (linked == piece.size) return;
        for (size_t i = section.first; i < section.last; ++i) run_step(plan_.steps[i], piece, linked);
        for (size_t i : section.reduced) {
            const char *from = place(plan_.steps[phase.reduced[i]].operands[0], false, piece, linked);
            reductions_[i].join_values(reinterpret_cast<const float *>(from), piece.size - linked);
        }
    }

    void run_chain(const Section &section, const Piece &piece, int64_t n, int32_t fetched) {
        chain_.clear();
        for (const LinkPlan &link : section.links) {
            const int64_t offset = piece.row * link.row_bytes + piece.at * link.at_bytes;
            chain_.push_back({link.run, link.reduces ? reductions_[link.place].place() : places_[link.place] + offset});
        }
        for (int64_t at = 0; at < n; at += LINK_ELEMENTS) {
            if (section.fetches) fetch(piece.at + at);
            if (fetched >= 0) fetch_lines(places_[fetched], piece.at + at);
            Code::start(chain_.data(), at);
        }
    }

    void fetch(int64_t at) const {
        for (const char *next : next_) fetch_lines(next, at);
    }

    static void fetch_lines(const char *from, int64_t at) {
        for (int64_t i = 0; i < LINK_ELEMENTS; i += 16) __builtin_prefetch(from + 4 * (at + i));
    }

    // Where a register's values lie from this element of a piece on; or the value of the piece's row.
    char *place(int32_t number, bool of_row, const Piece &piece, int64_t from) const {
        const Register &r = plan_.registers[number];
        const int64_t offset = of_row ? piece.row : r.constant ? 0 : from + (r.whole ? piece.at : 0);
        return places_[number] + offset * item_size(r.dtype);
    }

    // A step for each row of a tile, which fetches a register's place meanwhile.
    void run_rows(const Step &step, int64_t rows, int32_t fetched) {
        if (is_reduction(step.op)) {
            reduce_rows(step, reinterpret_cast<const float *>(places_[step.operands[0]]), rows,
                        fetched < 0 ? nullptr : reinterpret_cast<const float *>(places_[fetched]));
            return;
        }
        const void *inputs[3];
        for (int i = 0; i < 3; ++i) inputs[i] = step.operands[i] < 0 ? nullptr : places_[step.operands[i]];
        if (step.op == AT_gather)
            gather_rows(static_cast<const float *>(inputs[0]), static_cast<const int64_t *>(inputs[1]),
                        reinterpret_cast<float *>(places_[step.result]), rows);
        else
            step.blocks.block(inputs, places_[step.result], rows);
    }

    void gather_rows(const float *x, const int64_t *index, float *out, int64_t rows) const {
        for (int64_t row = 0; row < rows; ++row) out[row] = x[row * plan_.columns + index[row]];
    }

    void reduce_rows(const Step &step, const float *x, int64_t rows, const float *fetched) {
        const int64_t n = plan_.columns;
        if (step.op == AT_sum) find_scales(step, x, rows);
        for (int64_t row = 0; row < rows; ++row, x += n, fetched += fetched ? n : 0) {
            if (step.op == AT_amin)
                keep(step, row, amin_row(x, n));
            else if (step.op == AT_amax)
                keep(step, row, amax_row(x, n));
            else
                keep(step, row,
                     fetched ? sum_row<true>(x, n, scales_[row], fetched) : sum_row<false>(x, n, scales_[row]));
        }
    }

    // Of all rows before the first is summed: a row waits for the end of its own.
    void find_scales(const Step &step, const float *x, int64_t rows) {
        const int64_t n = plan_.columns;
        for (int64_t row = 0; row < rows; ++row, x += n) {
            if (step.range >= 0)
                scales_[row] = scale_of(step, row);
            else if (step.ends >= 0)
                scales_[row] = fixed_point((ends(step.ends, row) = ends_of_row(x, n)).largest(), SUM_BITS);
            else
                scales_[row] = fixed_point(largest_magnitude(x, n), SUM_BITS);
        }
    }

    // A row's result; a maximum is also the ends that a range begins with.
    void keep(const Step &step, int64_t row, float value) {
        reinterpret_cast<float *>(places_[step.result])[row] = value;
        if (step.op == AT_amax && step.ends >= 0) ends(step.ends, row) = {value, value};
    }

    Ends &ends(int32_t number, int64_t row) { return ends_[number * (plan_.tile / plan_.columns) + row]; }

    // The scale of a sum whose range is known.
    FixedPoint scale_of(const Step &step, int64_t row) {
        const Range &range = plan_.ranges[step.range];
        Ends e = ends(range.ends, row);
        for (const RangeStep &next : range.steps) {
            const auto *one = next.operand < 0 ? nullptr : reinterpret_cast<const float *>(places_[next.operand]);
            e = ends_after(next, e, one ? one[next.of_row ? row : 0] : 0.0f);
        }
        return fixed_point(e.largest(), SUM_BITS);
    }

    // A step for a piece's elements from this one on.
    void run_step(const Step &step, const Piece &piece, int64_t from) {
        const int64_t n = piece.size - from;
        char *to = place(step.result, false, piece, from);
        if (step.op == SPREAD) {
            const int64_t size = item_size(plan_.registers[step.result].dtype);
            const int64_t columns = plan_.has_long_rows() ? n : plan_.columns;
            return spread_rows(size, places_[step.operands[0]] + piece.row * size, to, n / columns, columns);
        }
        const void *inputs[3];
        for (int i = 0; i < 3 && step.operands[i] >= 0; ++i)
            inputs[i] = place(step.operands[i], step.of_row >> i & 1, piece, from);
        if (step.blocks.pair)
            step.blocks.pair(inputs, to, n, step.repeated);
        else
            step.blocks.block(inputs, to, n);
    }

    const isobit_group &group_;
    const Plan &plan_;
    std::unique_ptr<char[]> scratch_;
    std::vector<char *> places_;
    std::vector<Reader> readers_;
    std::vector<Link> chain_;
    std::vector<Ends> ends_;                // of each range's source, for each row of a tile
    std::vector<FixedPoint> scales_;        // of the rows that are summed next
    std::vector<RowReduction> reductions_;  // of a row that a phase reduces as it goes
    std::vector<const char *> next_;        // where the inputs of the next tile begin
};

void check_indices(const isobit_group &group, const Plan &plan) {
    for (const Step &step : plan.steps) {
        if (step.op != AT_gather) continue;
        const isobit_tensor &tensor = group.inputs[step.operands[1]];
        const RowMajor<int64_t> index(tensor, group.threads);
        check_index(index.get(), element_count(tensor), group.columns, group.threads);
    }
}

}  // namespace

void run_group(const isobit_group &group) {
    const Plan plan = plan_of(group);
    check_indices(group, plan);
    const int64_t elements =
        std::clamp<int64_t>(WORK_OF_A_THREAD / static_cast<int64_t>(plan.steps.size() + 1), COSTLY, 2 * CHEAP);
    const int64_t unit = plan.unit, grain = std::max<int64_t>(elements / unit, 1);
    parallel_for(group.threads, plan.size / unit, grain, [&](int64_t first, int64_t last) {
        Worker worker(group, plan, first * unit);
        for (int64_t at = first * unit; at < last * unit; at += plan.tile)
            worker.run(at, std::min(plan.tile, last * unit - at));
    });
}

}  // namespace isobit::ISOBIT_ISA
