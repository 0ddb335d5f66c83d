// Exact sums of float32 at a known scale, a vector at a time, without a double: q = rne(x 2^s), |q| <= 2^46, is taken
// apart as high 2^24 + low.
#pragma once

#include <algorithm>

#include "fixed_point.h"
#include "lanes.h"

namespace isobit::ISOBIT_ISA {
namespace {

// Let y = x 2^s. t = y + 1.5 * 2^47 lies in [2^47, 2^48], where a unit in the last place is 2^24: its bits count the
// nearest multiple of 2^24, at most 2^22 of them. What that leaves of y is exact (it is y where |y| < 2^23, else an
// integer of at most 24 bits), and rounds as y does, since the multiple is even: |low| <= 2^23.
class LaneSums {
  public:
    static constexpr int MOST = 255;  // vectors between two totals: 255 * 2^23 < 2^31
    static constexpr double MOST_SCALE = 0x1p127;

    explicit LaneSums(double into) : scale_(all_lanes(static_cast<float>(into))) {}

    void add(Lanes x) {
        const Lanes multiples = exact_product_plus(x, scale_, all_lanes(SHIFT)), high = multiples - SHIFT;
        high_ += (Unsigned)multiples;
        low_ += (Unsigned)nearest_integers(exact_product_less(x, scale_, high));
        ++count_;
    }

    int count() const { return count_; }

    // The sum of the integers since the last total.
    int64_t total() {
        const Signed high = (Signed)(high_ - all_integers(SHIFT_BITS * static_cast<uint32_t>(count_)));
        const int64_t total = sum_of_lanes(high) * (1 << 24) + sum_of_lanes((Signed)low_);
        high_ = low_ = Unsigned{}, count_ = 0;
        return total;
    }

  private:
    static constexpr float SHIFT = 0x1.8p47f;
    static constexpr uint32_t SHIFT_BITS = 0x57400000;
    static int64_t sum_of_lanes(Signed x) {
        int64_t sum = 0;
        for (int i = 0; i < WIDTH; ++i) sum += x[i];
        return sum;
    }
    static Unsigned all_integers(uint32_t x) { return x - Unsigned{}; }

    Lanes scale_;
    Unsigned high_{}, low_{};
    int count_ = 0;
};

// The sum of rne(x 2^s) over n neighbours. A scale that is no float32, of tiny values, goes through doubles. The
// memory, which rests while a row is read again, fetches as many elements from another place meanwhile, if there is
// one.
template <bool FETCHES>
static inline int64_t sum_of_integers(const float *x, int64_t n, double into,
                                      [[maybe_unused]] const float *fetched = nullptr) {
    constexpr int64_t BLOCK = 4 * WIDTH, PART = LaneSums::MOST / 4 * BLOCK;
    uint64_t total = 0;  // wraps where values without a scale leave nothing to keep
    int64_t i = 0;
    if (into <= LaneSums::MOST_SCALE) {
        LaneSums sums(into);
        while (i + BLOCK <= n) {
            for (const int64_t stop = std::min(n, i + PART); i + BLOCK <= stop; i += BLOCK) {
                if (FETCHES)
                    for (int64_t j = 0; j < BLOCK; j += 16) __builtin_prefetch(fetched + i + j);
                for (int64_t j = 0; j < BLOCK; j += WIDTH) sums.add(loaded_lanes(x + i + j));
            }
            total += static_cast<uint64_t>(sums.total());
        }
    }
    for (; i < n; ++i) total += biased_integer(x[i], into) - ROUNDER_BITS;
    return static_cast<int64_t>(total);
}

}  // namespace
}  // namespace isobit::ISOBIT_ISA
