// Threads of a cluster of blocks as fibers of one thread of the CPU: switched only where one waits, in an order drawn
// from a seed. What the hardware does by itself, such as a copy, is a deed that is done at some drawn time later, or
// only when nobody else can go on. Where nobody can and no deed is left, the fibers wait for each other for ever, and
// the run fails with the name of what they wait for.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    unsigned thread = 0, rank = 0;  // in its block, and the block's in the cluster
    std::function<bool()> until;    // what it waits for; empty: nothing
    const char *waits_for = "";
    bool is_done = false;
};

class Fibers {
  public:
    static constexpr size_t STACK = 64 * 1024;

    void (*switched)(const Fiber &) = nullptr;  // called before a fiber goes on
    Fiber *current = nullptr;
    std::string failure;

    // Runs `body` in every thread of every block of one cluster. Seed 0: deeds are done as late as they can be.
    void run(unsigned blocks, unsigned threads, uint64_t seed, std::function<void()> body) {
        body_ = std::move(body);
        draws_.seed(seed);
        is_late_ = seed == 0;
        fibers_.clear();
        deeds_.clear();
        for (unsigned i = 0; i < blocks * threads; i++) add(i % threads, i / threads);
        while (failure.empty() && unfinished()) {
            if (pass() || do_one()) continue;
            fail(std::string("deadlock: a thread waits for ") + first_waiting().waits_for);
        }
    }

    void wait_until(const char *what, std::function<bool()> condition) {
        current->waits_for = what;
        current->until = std::move(condition);
        leave();
    }

    // Something the hardware will have done at some later time.
    void later(std::function<void()> deed) { deeds_.push_back(std::move(deed)); }

    // Ends the run: nobody goes on.
    void fail(const std::string &why) {
        if (failure.empty()) failure = why;
        if (current) leave();
    }

  private:
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<std::function<void()>> deeds_;
    std::function<void()> body_;
    std::mt19937_64 draws_;
    ucontext_t scheduler_;
    bool is_late_ = false;

    static Fibers *&running() {
        static Fibers *fibers;
        return fibers;
    }

    static void begin() {
        Fibers *fibers = running();
        fibers->body_();
        fibers->current->is_done = true;
        fibers->leave();
    }

    void add(unsigned thread, unsigned rank) {
        auto fiber = std::make_unique<Fiber>();
        fiber->thread = thread;
        fiber->rank = rank;
        fiber->stack = std::make_unique<char[]>(STACK);
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack.get();
        fiber->context.uc_stack.ss_size = STACK;
        fiber->context.uc_link = nullptr;
        makecontext(&fiber->context, &Fibers::begin, 0);
        fibers_.push_back(std::move(fiber));
    }

    void leave() {
        Fiber *fiber = current;
        current = nullptr;
        swapcontext(&fiber->context, &scheduler_);
    }

    void go_on(Fiber &fiber) {
        running() = this;
        current = &fiber;
        if (switched) switched(fiber);
        swapcontext(&scheduler_, &fiber.context);
    }

    // Every fiber that can go on does, in a drawn order; whether there was one.
    bool pass() {
        std::vector<Fiber *> order;
        for (auto &fiber : fibers_)
            if (!fiber->is_done) order.push_back(fiber.get());
        std::shuffle(order.begin(), order.end(), draws_);
        bool went = false;
        for (Fiber *fiber : order) {
            if (!is_late_ && !deeds_.empty() && draws_() % 64 == 0) do_one();
            if (fiber->until && !fiber->until()) continue;
            fiber->until = nullptr;
            went = true;
            go_on(*fiber);
            if (!failure.empty()) return true;
        }
        return went;
    }

    bool do_one() {
        if (deeds_.empty()) return false;
        std::swap(deeds_[draws_() % deeds_.size()], deeds_.back());
        const std::function<void()> deed = std::move(deeds_.back());
        deeds_.pop_back();
        deed();
        return true;
    }

    bool unfinished() const {
        for (const auto &fiber : fibers_)
            if (!fiber->is_done) return true;
        return false;
    }

    const Fiber &first_waiting() const {
        for (const auto &fiber : fibers_)
            if (!fiber->is_done) return *fiber;
        return *fibers_.front();
    }
};
