// argsort: a stable permutation (docs/numerics.md, Indexing).
#include <algorithm>
#include <vector>

#include "float_bits.h"
#include "index.h"

namespace isobit::ISOBIT_ISA {
namespace {

// A number's order as an unsigned integer.
static inline uint32_t unsigned_key(float x) { return static_cast<uint32_t>(order_key(x)) ^ 0x80000000u; }
static inline uint32_t unsigned_key(int32_t x) { return static_cast<uint32_t>(x) ^ 0x80000000u; }
static inline uint64_t unsigned_key(int64_t x) {
    return static_cast<uint64_t>(x) ^ uint64_t { 1 } << 63;
}

template <class Key>
struct Place {
    Key key;
    int64_t index;
};

constexpr int64_t SHORT_LINE = 256;

// Orders by key, then by index: the one stable order.
template <class Key>
void sort_short(std::vector<Place<Key>> &line) {
    std::sort(line.begin(), line.end(), [](const Place<Key> &a, const Place<Key> &b) {
        return a.key != b.key ? a.key < b.key : a.index < b.index;
    });
}

// From the lowest byte to the highest; each pass keeps the order of equal bytes.
template <class Key>
void sort_by_bytes(std::vector<Place<Key>> &line, std::vector<Place<Key>> &other) {
    other.resize(line.size());
    for (unsigned shift = 0; shift < 8 * sizeof(Key); shift += 8) {
        int64_t start[257] = {};
        for (const Place<Key> &place : line) ++start[(place.key >> shift & 255) + 1];
        if (start[(line[0].key >> shift & 255) + 1] == static_cast<int64_t>(line.size())) continue;
        for (int byte = 0; byte < 256; ++byte) start[byte + 1] += start[byte];
        for (const Place<Key> &place : line) other[start[place.key >> shift & 255]++] = place;
        line.swap(other);
    }
}

template <class T>
void argsort(const isobit_call &call, int axis, bool descending) {
    using Key = decltype(unsigned_key(T{}));
    const RowMajor<T> x(call.inputs[0], call.threads);
    const Along shape = along(call.inputs[0], axis);
    if (shape.size == 0) return;
    int64_t *out = data_of<int64_t>(*call.output);
    const Key flip = descending ? static_cast<Key>(-1) : Key{0};
    parallel_for(call.threads, shape.outer * shape.inner, 4096 / shape.size + 1, [&](int64_t begin, int64_t end) {
        std::vector<Place<Key>> line(shape.size), other;
        for (int64_t at = begin; at < end; ++at) {
            const int64_t origin = at / shape.inner * shape.size * shape.inner + at % shape.inner;
            for (int64_t i = 0; i < shape.size; ++i)
                line[i] = {static_cast<Key>(unsigned_key(x.get()[origin + i * shape.inner]) ^ flip), i};
            if (shape.size <= SHORT_LINE)
                sort_short(line);
            else
                sort_by_bytes(line, other);
            for (int64_t i = 0; i < shape.size; ++i) out[origin + i * shape.inner] = line[i].index;
        }
    });
}

}  // namespace

void op_argsort(const isobit_call &call) {
    want_inputs(call, 1);
    const isobit_tensor &x = call.inputs[0];
    AttributeReader attributes(call);
    const int axis = static_cast<int>(attributes.next_in("axis", 0, x.rank - 1));
    const bool descending = attributes.next_in("descending", 0, 1);
    attributes.end();
    want_output(call, INT64, x.rank, x.shape);
    if (x.dtype == FLOAT32)
        argsort<float>(call, axis, descending);
    else if (x.dtype == INT64)
        argsort<int64_t>(call, axis, descending);
    else if (x.dtype == INT32)
        argsort<int32_t>(call, axis, descending);
    else
        invalid("got %s, want float32, int64 or int32", show(x).text);
}

}  // namespace isobit::ISOBIT_ISA
