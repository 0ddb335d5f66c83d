// The instructions of csrc/cuda/hopper.h for fibers of a CPU, as the PTX manual (ISA 9.0) and the driver's manual
// describe them, each as lazily as it may be: a copy by TMA and its bytes' arrival come at a drawn time, a product
// (wgmma_on_cpu.h) reads its operands and writes its sums only when it is waited for. What the manuals forbid ends
// the run.
#pragma once

#include <array>
#include <map>

#include "cuda_words.h"
#include "fibers.h"

static Place threadIdx, blockIdx, gridDim;

// Of cuda.h, what a tensor map is described by. The driver keeps it in 128 bytes of its own making.
struct alignas(64) CUtensorMap {
    const int8_t *data;
    uint64_t sizes[3], strides[2];
    uint32_t box[3];
};
using cuuint64_t = uint64_t;
using cuuint32_t = uint32_t;
enum { CUDA_SUCCESS, CUDA_ERROR_INVALID_VALUE };
enum { CU_TENSOR_MAP_DATA_TYPE_UINT8 };
enum { CU_TENSOR_MAP_INTERLEAVE_NONE };
enum { CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_SWIZZLE_32B, CU_TENSOR_MAP_SWIZZLE_64B, CU_TENSOR_MAP_SWIZZLE_128B };
enum { CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_L2_PROMOTION_L2_256B = 3 };
enum { CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE };

namespace isobit_cuda {

using TensorMap = CUtensorMap;

constexpr uint32_t SHARED_FROM = 1040, SHARED_END = 227 * 1024 + 1040;  // not a multiple of any pattern

// "mbarrier: size and alignment, contents": arrivals still to come, bytes still to come, phases over.
struct Barrier {
    int64_t arrivals = 0, pending = 0, bytes = 0;
    uint64_t phase = 0;
    bool is_published = false;
};

struct Meeting {
    unsigned arrived = 0;
    uint64_t generation = 0;
};

struct Block {
    std::array<uint8_t, SHARED_END> memory;
    uint32_t end = 0;  // of what was asked for
    std::map<uint32_t, Barrier> barriers;
    Meeting all, groups[3], warps[32];
    std::map<std::pair<int, uint64_t>, std::array<uint64_t, 2>> products;  // of a warp group, by number: descriptors
    uint64_t registers = 0;
    unsigned asked_for_registers = 0;
};

struct Begun {
    int32_t *sums;
    int count;
    uint64_t a, b;
};

// Of one thread: products not yet done, by group; how many it began; whether registers are fenced from them.
struct Products {
    std::vector<std::vector<Begun>> groups{1};
    uint64_t begun = 0;
    bool is_fenced = false;
};

static Fibers fibers;
static std::vector<Block> blocks;
static std::vector<Products> products;
static Meeting cluster;
static unsigned block_threads;
static uint32_t processors = 1;
static uint64_t schedule;

static Block &block() { return blocks[fibers.current->rank]; }
static void require(bool condition, const char *what) {
    if (!condition) fibers.fail(what);
}

static void meet(Meeting &meeting, unsigned threads, const char *what) {
    const uint64_t generation = meeting.generation;
    if (++meeting.arrived == threads) {
        meeting.arrived = 0;
        meeting.generation++;
    }
    fibers.wait_until(what, [&meeting, generation] { return meeting.generation != generation; });
}
static void sync_block() { meet(block().all, block_threads, "__syncthreads"); }
static void cluster_sync() { meet(cluster, block_threads * (unsigned)blocks.size(), "the cluster"); }
static void group_sync(int group) {
    require(group == (int)threadIdx.x / 128 - 1, "a thread of another warp group at this named barrier");
    meet(block().groups[group + 1], 128, "its warp group");
}
static uint32_t cluster_rank() { return fibers.current->rank; }

static uint8_t *shared_memory() { return block().memory.data() + SHARED_FROM; }
static uint32_t address_of(const void *shared) {
    return (uint32_t)(static_cast<const uint8_t *>(shared) - block().memory.data());
}
static uint8_t *bytes_at(Block &in, uint32_t address, uint32_t size) {
    require(address >= SHARED_FROM && address + size <= in.end, "an address outside the block's shared memory");
    return in.memory.data() + address;
}

static Barrier *barrier_at(Block &in, uint32_t address, bool is_published) {
    const auto found = in.barriers.find(address);
    if (found == in.barriers.end() || (is_published && !found->second.is_published)) {
        fibers.failure = "a barrier that is not initialised and published";
        return nullptr;
    }
    return &found->second;
}
static void settle_phase(Barrier &barrier) {
    if (barrier.pending < 0) fibers.failure = "more arrivals at a barrier than its phase has";
    if (barrier.pending || barrier.bytes) return;
    barrier.pending = barrier.arrivals;
    barrier.phase++;
}
static void barrier_init(uint32_t address, uint32_t arrivals) {
    require(address % 8 == 0, "a barrier at an address that is no multiple of 8");
    bytes_at(block(), address, 8);
    block().barriers[address] = {arrivals, arrivals, 0, 0, false};
}
static void publish_barriers() {
    for (auto &[address, barrier] : block().barriers) barrier.is_published = true;
}
static void barrier_arrive(uint32_t address, uint32_t rank) {
    require(rank < blocks.size(), "a rank outside the cluster");
    Barrier *barrier = barrier_at(blocks[rank], address, true);
    require(barrier, "");
    barrier->pending--;
    settle_phase(*barrier);
    require(fibers.failure.empty(), "");
}
static void barrier_expect(uint32_t address, uint32_t bytes) {
    Barrier *barrier = barrier_at(block(), address, true);
    require(barrier, "");
    barrier->bytes += bytes;
    barrier_arrive(address, cluster_rank());
}
// "mbarrier.try_wait.parity": true of the phase before the current one, whose parity is the other.
static void barrier_wait(uint32_t address, uint32_t parity) {
    Barrier *barrier = barrier_at(block(), address, true);
    require(barrier, "");
    require(parity < 2, "a parity that is neither 0 nor 1");
    fibers.wait_until("a barrier's phase", [barrier, parity] { return (barrier->phase & 1) != parity; });
}

static int encode(TensorMap *map, int type, uint32_t rank, void *data, const uint64_t *sizes, const uint64_t *strides,
                  const uint32_t *box, const uint32_t *steps, int interleave, int swizzle, int, int) {
    bool is_right = rank == 3 && type == CU_TENSOR_MAP_DATA_TYPE_UINT8 && (uintptr_t)data % 16 == 0 &&
                    (uintptr_t)map % 64 == 0 && interleave == CU_TENSOR_MAP_INTERLEAVE_NONE &&
                    swizzle == CU_TENSOR_MAP_SWIZZLE_128B && box[0] % 16 == 0 && box[0] == 128;  // at most the pattern
    for (int i = 0; i < 3; i++)
        is_right &= sizes[i] > 0 && sizes[i] <= 1ull << 32 && box[i] > 0 && box[i] <= 256 && steps[i] == 1;
    for (int i = 0; i < 2; i++) is_right &= strides[i] % 16 == 0 && strides[i] < 1ull << 40;
    if (!is_right) return CUDA_ERROR_INVALID_VALUE;
    *map = {static_cast<int8_t *>(data), {sizes[0], sizes[1], sizes[2]}, {strides[0], strides[1]}, {}};
    std::copy(box, box + 3, map->box);
    return CUDA_SUCCESS;
}
static decltype(&encode) tensor_map_encoder() { return &encode; }

// "cp.async.bulk.tensor", tiled, 128-byte swizzle: chunk c of 16 bytes of row r of the box goes to place c xor r mod 8;
// what is outside the tensor is zero, and counts as bytes all the same.
static void copy_box(Block &to, uint32_t address, const TensorMap &map, uint32_t barrier, int x, int y, int z) {
    uint8_t *target = to.memory.data() + address;
    for (uint32_t row = 0; row < map.box[1]; row++)
        for (uint32_t byte = 0; byte < 128; byte++) {
            const int64_t at[3] = {(int64_t)x + byte, (int64_t)y + row, z};
            bool is_inside = true;
            for (int i = 0; i < 3; i++) is_inside &= at[i] >= 0 && at[i] < (int64_t)map.sizes[i];
            target[row * 128 + ((byte / 16) ^ (row % 8)) * 16 + byte % 16] =
                is_inside ? map.data[at[0] + at[1] * map.strides[0] + at[2] * map.strides[1]] : 0;
        }
    Barrier *arrived = barrier_at(to, barrier, true);
    if (!arrived) return;
    arrived->bytes -= 128 * map.box[1];
    settle_phase(*arrived);
}
static void load_box(uint32_t to, const TensorMap *map, uint32_t barrier, int x, int y, int z, uint16_t mask) {
    require(to % 1024 == 0, "a box that does not begin with the swizzle's pattern");
    require(mask && mask >> blocks.size() == 0, "a block outside the cluster");
    for (size_t rank = 0; rank < blocks.size(); rank++) {
        if (!(mask >> rank & 1)) continue;
        bytes_at(blocks[rank], to, 128 * map->box[1]);
        fibers.later([=] { copy_box(blocks[rank], to, *map, barrier, x, y, z); });
    }
}
static void load_box(uint32_t to, const TensorMap *map, uint32_t barrier, int x, int y, int z) {
    load_box(to, map, barrier, x, y, z, (uint16_t)(1 << cluster_rank()));
}

static void check_end() {
    for (const Products &own : products)
        if (own.groups.size() != 1 || !own.groups.front().empty()) fibers.failure = "products nobody waited for";
    for (const Block &ended : blocks)
        if (ended.registers > 65536 || ended.asked_for_registers != block_threads)
            fibers.failure = "more registers than a block has";
}

// One cluster after the other, each with shared memory that holds the leavings of others.
template <class Kernel, class... Arguments>
static const char *start(Kernel kernel, int units, int size, int threads, int shared, void *,
                         const Arguments &...arguments) {
    const int clusters = std::min(units, (int)processors / size);
    gridDim = {(unsigned)(clusters * size), 1, 1};
    block_threads = (unsigned)threads;
    fibers.failure.clear();
    for (int i = 0; i < clusters && fibers.failure.empty(); i++) {
        blocks = std::vector<Block>((size_t)size);
        products = std::vector<Products>((size_t)(size * threads));
        cluster = {};
        for (Block &fresh : blocks) {
            fresh.memory.fill(0x5a);
            fresh.end = SHARED_FROM + (uint32_t)shared;
            if (fresh.end > SHARED_END) return "more shared memory than a block may have";
        }
        static unsigned first_block;
        first_block = (unsigned)(i * size);
        fibers.switched = [](const Fiber &fiber) {
            threadIdx = {fiber.thread, 0, 0};
            blockIdx = {first_block + fiber.rank, 0, 0};
        };
        fibers.run((unsigned)size, block_threads, schedule, [&] { kernel(arguments...); });
        if (fibers.failure.empty()) check_end();
    }
    return fibers.failure.empty() ? nullptr : fibers.failure.c_str();
}

}  // namespace isobit_cuda

#define __syncthreads isobit_cuda::sync_block
