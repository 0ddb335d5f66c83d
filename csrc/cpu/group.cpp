// A group of operators in one pass over memory: every operator rounds by itself, so the bits are its members'.
//
// The domain, `size` elements in row-major order, is cut into tiles; `columns` elements make a row where a member
// reduces rows. The code, in 32-bit words:
//   the number of registers; for each its dtype and 0 (an element per element of the domain) or 1 (one per row);
//   the register of each output; then steps of five words: operator, result, three operands (-1 for none).
// The inputs are the first registers. An output may be a contiguous input's own memory. The operator is its place in
// ISOBIT_OPERATORS, or -1: repeat a row's value along it.
#include <memory>

#include "group_order.h"
#include "reader.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int64_t WORK_OF_A_THREAD =
    131072;  // steps times elements: some 30 microseconds, more than a thread takes to wake

// A sum fetches as many elements from another place meanwhile, if there is one.
void reduce_rows(int32_t op, const void *from, void *to, int64_t rows, int64_t columns, const void *fetched) {
    const float *x = static_cast<const float *>(from);
    float *out = static_cast<float *>(to);
    for (int64_t i = 0; i < rows * columns; i += columns, ++out) {
        if (op == AT_amax)
            *out = amax_row(x + i, columns);
        else if (op == AT_amin)
            *out = amin_row(x + i, columns);
        else if (fetched)
            *out = sum_row<true>(x + i, columns, static_cast<const float *>(fetched) + i);
        else
            *out = sum_row<false>(x + i, columns);
    }
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
        for (int64_t row = 0; row * row_size < n; ++row)
            for (int64_t at = 0; at < row_size; at += plan_.piece)
                for (const Section &section : phase.sections)
                    run_section(section, {row, row * row_size + at, std::min(plan_.piece, row_size - at)});
    }

    void run_section(const Section &section, const Piece &piece) {
        const int64_t linked = section.links.empty() ? 0 : piece.size / LINK_ELEMENTS * LINK_ELEMENTS;
        if (linked) run_chain(section, piece, linked);
        if (linked == piece.size) return;
        for (size_t i = section.first; i < section.last; ++i) run_step(plan_.steps[i], piece, linked);
    }

    void run_chain(const Section &section, const Piece &piece, int64_t n) {
        chain_.clear();
        for (const LinkPlan &link : section.links)
            chain_.push_back({link.run, places_[link.place] + piece.row * link.row_bytes + piece.at * link.at_bytes});
        for (int64_t at = 0; at < n; at += LINK_ELEMENTS) {
            if (section.fetches) fetch(piece.at + at);
            Code::start(chain_.data(), at);
        }
    }

    void fetch(int64_t at) const {
        for (const char *next : next_)
            for (int64_t i = 0; i < LINK_ELEMENTS; i += 16) __builtin_prefetch(next + 4 * (at + i));
    }

    // Where a register's values lie from this element of a piece on; or the value of the piece's row.
    char *place(int32_t number, bool of_row, const Piece &piece, int64_t from) const {
        const Register &r = plan_.registers[number];
        const int64_t offset = of_row ? piece.row : r.constant ? 0 : from + (r.whole ? piece.at : 0);
        return places_[number] + offset * item_size(r.dtype);
    }

    // A step for each row of a tile, which fetches a register's place meanwhile.
    void run_rows(const Step &step, int64_t rows, int32_t fetched) {
        char *to = places_[step.result];
        if (!step.blocks.block)
            return reduce_rows(step.op, places_[step.operands[0]], to, rows, plan_.columns,
                               fetched < 0 ? nullptr : places_[fetched]);
        const void *inputs[3];
        for (int i = 0; i < 3; ++i) inputs[i] = step.operands[i] < 0 ? nullptr : places_[step.operands[i]];
        step.blocks.block(inputs, to, rows);
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
    std::vector<const char *> next_;  // where the inputs of the next tile begin
};

}  // namespace

void run_group(const isobit_group &group) {
    const Plan plan = plan_of(group);
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
