// random_bits: Philox4x32-10, a pure function of position (docs/numerics.md, Randomness).
#include <cstring>

#include "tensor.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {
namespace {

constexpr uint32_t MULTIPLIERS[2] = {0xd2511f53u, 0xcd9e8d57u};
constexpr uint32_t KEY_STEPS[2] = {0x9e3779b9u, 0xbb67ae85u};
constexpr int LANES = 64;  // blocks computed side by side

struct Stream {
    uint32_t key[2];
    uint64_t micro_batch;
    uint32_t site, step;
};

void philox_blocks(const Stream &stream, uint64_t first, uint32_t *out) {
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
    for (int i = 0; i < LANES; ++i) {
        const uint64_t block = first + i;
        c0[i] = static_cast<uint32_t>(block);
        c1[i] = static_cast<uint32_t>(block >> 32 | stream.micro_batch << 16);
        c2[i] = stream.site, c3[i] = stream.step;
    }
    uint32_t k0 = stream.key[0], k1 = stream.key[1];
    for (int round = 0; round < 10; ++round, k0 += KEY_STEPS[0], k1 += KEY_STEPS[1]) {
        for (int i = 0; i < LANES; ++i) {
            const uint64_t p0 = uint64_t{MULTIPLIERS[0]} * c0[i], p1 = uint64_t{MULTIPLIERS[1]} * c2[i];
            const uint32_t a = static_cast<uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
            const uint32_t c = static_cast<uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
            c0[i] = a, c1[i] = static_cast<uint32_t>(p1), c2[i] = c, c3[i] = static_cast<uint32_t>(p0);
        }
    }
    for (int i = 0; i < LANES; ++i) {
        out[4 * i] = c0[i], out[4 * i + 1] = c1[i];
        out[4 * i + 2] = c2[i], out[4 * i + 3] = c3[i];
    }
}

int64_t scalar_operand(const isobit_call &call, int index, const char *name) {
    const isobit_tensor &tensor = call.inputs[index];
    want_rank(name, tensor, 0);
    want_dtype(name, tensor, INT64, "int64");
    return *data_of<const int64_t>(tensor);
}

}  // namespace

void op_random_bits(const isobit_call &call) {
    want_inputs(call, 3);
    const int64_t seed = scalar_operand(call, 0, "seed"), step = scalar_operand(call, 1, "step");
    const int64_t micro_batch = scalar_operand(call, 2, "micro_batch");
    AttributeReader attributes(call);
    const int64_t site = attributes.next_in("site", 0, 0xfffffffeLL);
    int64_t shape[8];
    const int rank = attributes.next_list("shape", shape);
    attributes.end();
    want_output(call, UINT32, rank, shape);
    if (step < 0 || step > 0xffffffffLL) fault(0, "step %lld is outside [0, 2^32)", (long long)step);
    if (micro_batch < 0 || micro_batch > 0xffff)
        fault(0, "micro-batch %lld is outside [0, 2^16)", (long long)micro_batch);
    const Stream stream{{static_cast<uint32_t>(seed), static_cast<uint32_t>(static_cast<uint64_t>(seed) >> 32)},
                        static_cast<uint64_t>(micro_batch),
                        static_cast<uint32_t>(site),
                        static_cast<uint32_t>(step)};
    const int64_t count = element_count(*call.output), chunk = 4 * LANES;
    uint32_t *out = data_of<uint32_t>(*call.output);
    parallel_for(call.threads, (count + chunk - 1) / chunk, 64, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; ++at) {
            const int64_t here = std::min(chunk, count - at * chunk);
            if (here == chunk) {
                philox_blocks(stream, at * LANES, out + at * chunk);
                continue;
            }
            uint32_t words[4 * LANES];
            philox_blocks(stream, at * LANES, words);
            std::memcpy(out + at * chunk, words, here * sizeof(uint32_t));
        }
    });
}

}  // namespace isobit::ISOBIT_ISA
