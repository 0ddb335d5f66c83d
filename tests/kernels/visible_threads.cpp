// The part of gcc's OpenMP runtime that csrc/cpu/threads.h calls, over threads that the thread sanitizer sees begin and
// end. libgomp wakes and joins its threads through futexes that the sanitizer cannot follow, so each join looks like a
// race.
#include <mutex>
#include <thread>
#include <vector>

namespace {

struct Place {
    int thread = 0, threads = 1;
};

thread_local Place place;
std::mutex critical;

}  // namespace

#define RUNTIME extern "C" __attribute__((visibility("hidden")))

RUNTIME void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned) {
    const auto run = [=](int thread) {
        const Place before = place;
        place = {thread, static_cast<int>(threads)};
        body(data);
        place = before;
    };
    std::vector<std::thread> others;
    for (unsigned thread = 1; thread < threads; ++thread) others.emplace_back(run, static_cast<int>(thread));
    run(0);
    for (std::thread &other : others) other.join();
}

RUNTIME void GOMP_critical_name_start(void **) { critical.lock(); }

RUNTIME void GOMP_critical_name_end(void **) { critical.unlock(); }

RUNTIME int omp_get_thread_num() { return place.thread; }

RUNTIME int omp_get_num_threads() { return place.threads; }
