// matmul, exact in integers and rounded once: docs/numerics.md, Products.
#include <vector>

#include "product_scale.h"
#include "tensor.h"
#include "threads.h"

namespace isobit::ISOBIT_ISA {

namespace {

// Lines of a matrix (rows of a, columns of b), quantised; K contiguous.
struct Lines {
    std::vector<int32_t> q;
    std::vector<Scale> scale;
};

Lines quantise_lines(const float *x, int64_t count, int64_t K, int64_t line_stride, int64_t k_stride, Range range) {
    Lines lines{std::vector<int32_t>(count * K), std::vector<Scale>(count)};
    for (int64_t i = 0; i < count; ++i) {
        uint32_t maximum = 0;
        for (int64_t k = 0; k < K; ++k) maximum = std::max(maximum, magnitude_bits(x[i * line_stride + k * k_stride]));
        lines.scale[i] = scale_of(maximum, range);
        for (int64_t k = 0; k < K; ++k)
            lines.q[i * K + k] = quantise(x[i * line_stride + k * k_stride], lines.scale[i]);
    }
    return lines;
}

int64_t dot(const int32_t *a, const int32_t *b, int64_t K) {  // |S| < 2^63 by the law's bounds on K
    int64_t sum = 0;
    for (int64_t k = 0; k < K; ++k) sum += static_cast<int64_t>(a[k]) * b[k];
    return sum;
}

}  // namespace

void op_matmul(const isobit_call &call) {
    want_inputs(call, 2);
    const isobit_tensor &a = call.inputs[0], &b = call.inputs[1];
    want_dtype("a", a, FLOAT32, "float32");
    want_dtype("b", b, FLOAT32, "float32");
    const int rank = a.rank, axes = rank - 2;
    if (rank < 2 || b.rank != rank) invalid("got a %s and b %s, want equal ranks of 2 or more", show(a).text, show(b).text);
    for (int axis = 0; axis < axes; ++axis)
        if (a.shape[axis] != b.shape[axis]) invalid("got a %s and b %s, want equal leading axes", show(a).text, show(b).text);
    if (a.shape[rank - 1] != b.shape[rank - 2])
        invalid("got a %s and b %s, want a.shape[-1] == b.shape[-2]", show(a).text, show(b).text);
    AttributeReader attributes(call);
    const int64_t width = attributes.next_in("width", 0, 1);
    attributes.end();
    const int64_t M = a.shape[axes], K = a.shape[axes + 1], N = b.shape[axes + 1];
    int64_t shape[8];
    for (int axis = 0; axis < axes; ++axis) shape[axis] = a.shape[axis];
    shape[axes] = M;
    shape[axes + 1] = N;
    want_output(call, FLOAT32, rank, shape);
    const Range range = range_of(width, K);
    float *out = data_of<float>(*call.output);
    int64_t batch = 1;
    for (int axis = 0; axis < axes; ++axis) batch *= a.shape[axis];
    for (int64_t entry = 0; entry < batch && M > 0 && N > 0; ++entry) {
        int64_t a_offset = 0, b_offset = 0, rest = entry;
        for (int axis = axes - 1; axis >= 0; rest /= a.shape[axis--]) {
            a_offset += rest % a.shape[axis] * a.stride[axis];
            b_offset += rest % a.shape[axis] * b.stride[axis];
        }
        const Lines rows = quantise_lines(data_of<float>(a) + a_offset, M, K, a.stride[axes], a.stride[axes + 1], range);
        const Lines columns = quantise_lines(data_of<float>(b) + b_offset, N, K, b.stride[axes + 1], b.stride[axes], range);
        parallel_for(call.threads, M, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i)
                for (int64_t j = 0; j < N; ++j)
                    out[(entry * M + i) * N + j] =
                        store(dot(&rows.q[i * K], &columns.q[j * K], K), rows.scale[i], columns.scale[j]);
        });
    }
}

}  // namespace isobit::ISOBIT_ISA
