// Units of work shared out to threads: each has a run of its own, and helps the others when that is done.
#pragma once

#include <atomic>
#include <memory>

#include "threads.h"

namespace isobit::ISOBIT_ISA {

// The units [0, count). Runs are where they were in the loop before, so a thread finds in its cache what it left there.
class UnitRuns {
  public:
    UnitRuns(int threads, int64_t count) : threads_(threads) {
        if (threads > FEW) many_.reset(new Run[threads]), runs_ = many_.get();
        for (int64_t i = 0; i < threads; ++i) {
            runs_[i].next.store(count * i / threads, std::memory_order_relaxed);
            runs_[i].end = count * (i + 1) / threads;
        }
    }

    // body(unit) for every unit that nobody has taken, those of the thread's own run first.
    template <class Body>
    void take(int thread, const Body &body) {
        for (int i = 0; i < threads_; ++i) {
            Run &run = runs_[(thread + i) % threads_];
            for (int64_t unit; (unit = run.next.fetch_add(1, std::memory_order_relaxed)) < run.end;) body(unit);
        }
    }

  private:
    struct alignas(64) Run {
        std::atomic<int64_t> next;
        int64_t end;
    };
    static constexpr int FEW = 8;
    int threads_;
    Run few_[FEW];
    std::unique_ptr<Run[]> many_;
    Run *runs_ = few_;
};

static inline int threads_for(int threads, int64_t count) {
    return static_cast<int>(std::clamp<int64_t>(count, 1, std::max(threads, 1)));
}

// body(unit) for every unit below count, on several threads.
template <class Body>
static void for_each_unit(int threads, int64_t count, const Body &body) {
    UnitRuns runs(threads_for(threads, count), count);
    in_threads(threads_for(threads, count), [&](int thread) { runs.take(thread, body); });
}

}  // namespace isobit::ISOBIT_ISA
