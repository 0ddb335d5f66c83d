// Sums down columns that lie side by side, read once where that does: a sum's scale needs its column's largest
// magnitude, so the first rows give a guess of its exponent, and the sums are taken at that exponent and at the next.
// Where a column's true exponent is neither, its sum is taken again. Every way gives the same bits.
#pragma once

#include <vector>

#include "groups.h"
#include "rows.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr int64_t LEAST_GUESS = 128, MOST_GUESS = 256;  // rows: a column of normal values then seldom grows by more
constexpr int BLOCK_ROWS = 8;                           // rows that share a pass over the sums

struct ColumnSums {
    int32_t most[PANEL];               // the largest magnitude so far
    double into[PANEL];                // the guess's scale; the next exponent's is half of it
    uint64_t near[PANEL], far[PANEL];  // biased sums at the guess and at the next exponent
};

template <int ROWS>
void join_rows(ColumnSums &sums, const float *const *rows, int64_t begin, int64_t end) {
    for (int row = 0; row < ROWS; ++row) {
        const float *x = rows[row];
#pragma GCC ivdep
        for (int64_t i = begin; i < end; ++i) {
            sums.most[i] = std::max(sums.most[i], magnitude(x[i]));
            sums.near[i] += biased_integer(x[i], sums.into[i]);
            sums.far[i] += biased_integer(x[i], 0.5 * sums.into[i]);
        }
    }
}

#if defined(__AVX512DQ__)
typedef int32_t SixteenMagnitudes __attribute__((vector_size(64)));
typedef float EightFloats __attribute__((vector_size(32)));
typedef double EightDoubles __attribute__((vector_size(64)));
typedef uint64_t EightIntegers __attribute__((vector_size(64)));

template <class Vector>
static inline Vector loaded(const void *from) {
    Vector x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

// As biased_integer, of eight neighbours. (GCC 12 makes two conversions of __builtin_convertvector, and the unmasked
// intrinsic warns of a value not set.)
static inline EightIntegers biased_integers(const float *x, EightDoubles into) {
    const __m512d wide = _mm512_maskz_cvtps_pd(0xff, (__m256)loaded<EightFloats>(x));
    return (EightIntegers)_mm512_fmadd_pd(wide, (__m512d)into, _mm512_set1_pd(ROUNDER));
}

// Sixteen columns at once. Behind the last row lie those of the next block, which are fetched meanwhile.
template <int ROWS>
int64_t join_sixteens(ColumnSums &sums, const float *const *rows, int64_t begin, int64_t end) {
    int64_t i = begin;
    const int64_t ahead = ROWS > 1 ? rows[ROWS - 1] - rows[0] + (rows[1] - rows[0]) : 0;
    for (; i + 16 <= end; i += 16) {
        auto most = loaded<SixteenMagnitudes>(sums.most + i);
        EightDoubles into[2], half[2];
        EightIntegers near[2], far[2];
        for (int j = 0; j < 2; ++j) {
            into[j] = loaded<EightDoubles>(sums.into + i + 8 * j), half[j] = 0.5 * into[j];
            near[j] = loaded<EightIntegers>(sums.near + i + 8 * j);
            far[j] = loaded<EightIntegers>(sums.far + i + 8 * j);
        }
        for (int row = 0; row < ROWS; ++row) {
            const float *x = rows[row] + i;
            __builtin_prefetch(x + ahead);
            const SixteenMagnitudes here = loaded<SixteenMagnitudes>(x) & INT32_MAX;
            most = here > most ? here : most;
            for (int j = 0; j < 2; ++j) {
                near[j] += biased_integers(x + 8 * j, into[j]);
                far[j] += biased_integers(x + 8 * j, half[j]);
            }
        }
        std::memcpy(sums.most + i, &most, sizeof most);
        std::memcpy(sums.near + i, near, sizeof near), std::memcpy(sums.far + i, far, sizeof far);
    }
    return i;
}
#else
template <int ROWS>
int64_t join_sixteens(ColumnSums &, const float *const *, int64_t begin, int64_t) {
    return begin;
}
#endif

template <int ROWS>
void join_block(ColumnSums &sums, const float *const *rows, int64_t begin, int64_t end) {
    join_rows<ROWS>(sums, rows, join_sixteens<ROWS>(sums, rows, begin, end), end);
}

// Joins the columns from begin to end of these rows.
void join_all(const Groups &groups, const float *x, int64_t origin, const Rows &some, ColumnSums &sums, int64_t begin,
              int64_t end) {
    std::fill(sums.near + begin, sums.near + end, 0), std::fill(sums.far + begin, sums.far + end, 0);
    const float *rows[BLOCK_ROWS];
    int count = 0;
    for_rows(groups, origin, some, [&](int64_t offset) {
        rows[count++] = x + offset;
        if (count == BLOCK_ROWS) join_block<BLOCK_ROWS>(sums, rows, begin, end), count = 0;
    });
    for (int row = 0; row < count; ++row) join_block<1>(sums, rows + row, begin, end);
}

double scale_of(const ColumnSums &sums, int64_t i) { return fixed_point(sums.most[i], SUM_BITS).into; }

void guess_scales(const Groups &groups, const float *x, int64_t origin, const Rows &some, ColumnSums &sums, int64_t n) {
    std::fill_n(sums.most, n, 0);
    const int64_t rows = some.last - some.first, most = std::min(rows, std::clamp(rows / 8, LEAST_GUESS, MOST_GUESS));
    for_rows(groups, origin, {some.first, some.first + most}, [&](int64_t offset) {
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) sums.most[i] = std::max(sums.most[i], magnitude(x[offset + i]));
    });
    for (int64_t i = 0; i < n; ++i) sums.into[i] = scale_of(sums, i);
}

// The columns whose true scale was not guessed, once `most` is the largest magnitude of all rows.
void join_unguessed(const Groups &groups, const float *x, int64_t origin, const Rows &some, ColumnSums &sums,
                    int64_t n) {
    int64_t begin = n, end = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double scale = scale_of(sums, i);
        if (scale == sums.into[i] || scale == 0.5 * sums.into[i]) continue;
        begin = std::min(begin, i), end = i + 1;
    }
    if (begin >= end) return;
    for (int64_t i = begin; i < end; ++i) sums.into[i] = scale_of(sums, i);
    join_all(groups, x, origin, some, sums, begin, end);
}

void join_guessed(const Groups &groups, const float *x, int64_t origin, const Rows &some, ColumnSums &sums, int64_t n) {
    guess_scales(groups, x, origin, some, sums, n);
    join_all(groups, x, origin, some, sums, 0, n);
}

uint64_t total_of(const ColumnSums &sums, int64_t i) {
    return scale_of(sums, i) == sums.into[i] ? sums.near[i] : sums.far[i];
}

void store_column(const Groups &groups, const ColumnSums &sums, int64_t i, uint64_t total, float *out) {
    const uint64_t bias = ROUNDER_BITS * static_cast<uint64_t>(groups.size);
    out[i] = canonical(store(static_cast<int64_t>(total - bias), fixed_point(sums.most[i], SUM_BITS)));
}

// The sums of n columns.
void sum_columns(const Groups &groups, const float *x, int64_t origin, float *out, int64_t n) {
    ColumnSums sums;
    const Rows all{0, groups.size};
    join_guessed(groups, x, origin, all, sums, n);
    join_unguessed(groups, x, origin, all, sums, n);
    for (int64_t i = 0; i < n; ++i) store_column(groups, sums, i, total_of(sums, i), out);
}

// The same with the rows shared out to threads, which read memory in longer runs than if the columns were.
void sum_columns_by_rows(const Groups &groups, const float *x, int64_t origin, float *out, int64_t n, int threads) {
    std::vector<ColumnSums> parts(threads);
    const auto rows_of = [&](int part) {
        return Rows{groups.size * part / threads, groups.size * (part + 1) / threads};
    };
    in_threads(threads, [&](int part) { join_guessed(groups, x, origin, rows_of(part), parts[part], n); });
    for (const ColumnSums &part : parts)
        for (int64_t i = 0; i < n; ++i) parts[0].most[i] = std::max(parts[0].most[i], part.most[i]);
    in_threads(threads, [&](int part) {
        if (part) std::copy_n(parts[0].most, n, parts[part].most);
        join_unguessed(groups, x, origin, rows_of(part), parts[part], n);
    });
    for (int64_t i = 0; i < n; ++i) {
        uint64_t total = 0;
        for (const ColumnSums &part : parts) total += total_of(part, i);
        store_column(groups, parts[0], i, total, out);
    }
}

}  // namespace
}  // namespace isobit::ISOBIT_ISA
