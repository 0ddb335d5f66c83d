// A row that is reduced while a chain holds its values: links that join them to what a row was reduced to so far.
#pragma once

#include "chain.h"
#include "rows.h"

namespace isobit::ISOBIT_ISA {
namespace {

class RowSum {
  public:
    explicit RowSum(const FixedPoint &scale) : scale_(scale), sums_(scale.into) {}

    template <class... All>
    __attribute__((always_inline)) void join(const All &...a) {
        if (__builtin_expect(scale_.into > LaneSums::MOST_SCALE, 0)) return join_tiny(a...);
        LaneSums sums = sums_;
        (sums.add(a), ...);
        if (sums.count() > LaneSums::MOST - COUNT) add(sums.total());
        sums_ = sums;
    }

    void join_values(const float *x, int64_t n) { add(sum_of_integers<false>(x, n, scale_.into)); }

    float result() {
        add(sums_.total());
        return scale_.finite() ? store(static_cast<int64_t>(total_), scale_) : float_of(CANONICAL_NAN);
    }

  private:
    void add(int64_t part) { total_ += static_cast<uint64_t>(part); }

    template <class... All>
    __attribute__((noinline)) void join_tiny(const All &...a) {
        const Lanes x[] = {a...};
        join_values(reinterpret_cast<const float *>(x), LINK_ELEMENTS);
    }

    FixedPoint scale_;
    uint64_t total_ = 0;  // wraps only where the row has no scale
    LaneSums sums_;
};

// The signed maximum and the unsigned minimum of the bits, as amax_row takes them.
class RowMaximum {
  public:
    explicit RowMaximum(const FixedPoint &) {}

    template <class... All>
    __attribute__((always_inline)) void join(const All &...a) {
        Signed most = most_;
        Unsigned least = least_;
        ((most = (Signed)a > most ? (Signed)a : most, least = (Unsigned)a < least ? (Unsigned)a : least), ...);
        most_ = most, least_ = least;
    }

    void join_values(const float *x, int64_t n) { join(all_lanes(amax_row(x, n))); }

    float result() const {
        int32_t most = most_[0];
        uint32_t least = least_[0];
        for (int i = 1; i < WIDTH; ++i) most = std::max(most, most_[i]), least = std::min(least, least_[i]);
        return float_of(most >= 0 ? static_cast<uint32_t>(most) : least);
    }

  private:
    Signed most_ = INT32_MIN - Signed{};
    Unsigned least_ = UINT32_MAX - Unsigned{};
};

class RowMinimum {
  public:
    explicit RowMinimum(const FixedPoint &) {}

    template <class... All>
    __attribute__((always_inline)) void join(const All &...a) {
        Signed least = least_;
        ((least = falling_keys(a) < least ? falling_keys(a) : least), ...);
        least_ = least;
    }

    void join_values(const float *x, int64_t n) { join(all_lanes(amin_row(x, n))); }

    float result() const {
        int32_t least = least_[0];
        for (int i = 1; i < WIDTH; ++i) least = std::min(least, least_[i]);
        return from_falling_key(least);
    }

  private:
    Signed least_ = INT32_MAX - Signed{};
};

template <class Row>
struct Joined {
    template <class... All>
    __attribute__((always_inline)) static void change(const Link *link, const All &...a) {
        reinterpret_cast<Row *>(link->place)->join(a...);
    }
};

// One of them, by the operator.
class RowReduction {
  public:
    RowReduction() : maximum_(FixedPoint{}) {}

    void begin(int32_t op, const FixedPoint &scale) {
        op_ = op;
        if (op == AT_sum)
            new (&sum_) RowSum(scale);
        else if (op == AT_amax)
            new (&maximum_) RowMaximum(scale);
        else
            new (&minimum_) RowMinimum(scale);
    }

    void join_values(const float *x, int64_t n) {
        visit([&](auto &row) { row.join_values(x, n); });
    }

    float result() {
        float value = 0;
        visit([&](auto &row) { value = row.result(); });
        return value;
    }

    static Code::Run link(int32_t op) {
        if (op == AT_sum) return Code::all<Joined<RowSum>>;
        return op == AT_amax ? Code::all<Joined<RowMaximum>> : Code::all<Joined<RowMinimum>>;
    }

    char *place() { return reinterpret_cast<char *>(&sum_); }

  private:
    template <class Visit>
    void visit(const Visit &each) {
        if (op_ == AT_sum)
            each(sum_);
        else if (op_ == AT_amax)
            each(maximum_);
        else
            each(minimum_);
    }

    int32_t op_ = AT_amax;
    union {
        RowSum sum_;
        RowMaximum maximum_;
        RowMinimum minimum_;
    };
};

}  // namespace
}  // namespace isobit::ISOBIT_ISA
