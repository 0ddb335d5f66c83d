// Loops over several threads, each in IEEE mode.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>

#include <omp.h>

#include "float_mode.h"

namespace isobit::ISOBIT_ISA {

// body(thread) once in each of `threads` threads; the first exception is thrown again in the caller.
// A runtime that grants fewer threads runs the missing ones one after another: never assume they run at once.
template <class Body>
static void in_threads(int threads, const Body &body) {
    if (threads <= 1) {
        FloatMode ieee;
        body(0);
        return;
    }
    std::exception_ptr failure;
#pragma omp parallel num_threads(threads)
    {
        FloatMode ieee;
        for (int thread = omp_get_thread_num(); thread < threads; thread += omp_get_num_threads()) {
            try {
                body(thread);
            } catch (...) {
#pragma omp critical(isobit_failure)
                if (!failure) failure = std::current_exception();
            }
        }
    }
    if (failure) std::rethrow_exception(failure);
}

// body(begin, end) over half-open pieces of [0, count), one piece a thread; `grain` is the least worthwhile piece.
template <class Body>
static void parallel_for(int threads, int64_t count, int64_t grain, const Body &body) {
    if (count <= 0) return;
    const int64_t pieces = std::clamp<int64_t>(count / std::max<int64_t>(grain, 1), 1, threads);
    in_threads(static_cast<int>(pieces), [&](int piece) {
        const int64_t begin = count / pieces * piece + std::min<int64_t>(piece, count % pieces);
        body(begin, begin + count / pieces + (piece < count % pieces));
    });
}

template <class Body>
static void parallel_for(int threads, int64_t count, const Body &body) {
    parallel_for(threads, count, 1, body);
}

}  // namespace isobit::ISOBIT_ISA
