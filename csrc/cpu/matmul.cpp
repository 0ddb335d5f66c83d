// matmul, exact in integers and rounded once: docs/numerics.md, Products.
#include "product_few.h"
#include "product_multiply.h"
#include "tensor.h"
#if defined(__AMX_INT8__)
#include "amx_matmul.h"
#endif

namespace isobit::ISOBIT_ISA {

namespace {

constexpr int64_t BLOCK_ROWS = 224 / TILE_ROWS, BLOCK_COLUMNS = 256 / TILE_COLUMNS;  // panels: what stays in L2
constexpr int64_t LARGE = int64_t{1} << 18;                                          // results
#if defined(__AMX_INT8__)
constexpr double WORK_OF_A_THREAD = 1e6;  // products: less is done before another thread wakes up
#else
constexpr double WORK_OF_A_THREAD = 4e6;
#endif

struct Matrix {
    const float *x;
    int64_t rows, columns, row_stride, column_stride;
};

struct Problem {
    Matrix a, b;
    float *out;
    Range range;
    bool is_large;  // the results of the whole call are more than a cache holds
    int threads;
};

// The matrix with one stride 1, copied where it has none.
View as_view(const float *x, int64_t lines, int64_t K, int64_t line_stride, int64_t k_stride, Scratch &scratch) {
    if (k_stride == 1 || K <= 1 || line_stride == 1) return {x, lines, K, line_stride, k_stride};
    if (lines <= 1) return {x, lines, K, 1, k_stride};
    float *copy = scratch.get<float>(lines * K);
    for (int64_t i = 0; i < lines; ++i)
        for (int64_t k = 0; k < K; ++k) copy[i * K + k] = x[i * line_stride + k * k_stride];
    return {copy, lines, K, K, 1};
}

Columns columns_of(const Operand &operand, int64_t chunk, int64_t panel) {
    const int64_t first = panel * TILE_COLUMNS;
    const bool is_last = panel + 1 == operand.layout.panels;
    const char *ahead = reinterpret_cast<const char *>(operand.panel(chunk, is_last ? panel : panel + 1));
    return {operand.panel(chunk, panel),
            &operand.bound(chunk, panel),
            operand.scales.moderate_down + first,
            operand.scales.down + first,
            operand.scales.is_moderate,
            ahead,
            operand.layout.size_of(chunk) * TILE_COLUMNS * operand.layout.planes * 4};
}

void multiply_matrices(const Problem &problem) {
    static thread_local Scratch a_scratch, b_scratch, a_copy, b_copy;
    const Matrix &a = problem.a, &b = problem.b;
    const int64_t M = a.rows, K = a.columns, N = b.columns;
    const bool wide = problem.range.wide;
    const int threads = static_cast<int>(
        std::clamp(static_cast<double>(M) * N * K / WORK_OF_A_THREAD, 1.0, static_cast<double>(problem.threads)));
    // Few rows or few columns: the other operand is not worth packing.
    const bool few_rows = M <= N;
    if (std::min(M, N) <= MOST_FEW && K >= 2 * LANES && K <= LONGEST_FEW) {
        const View a_lines = as_view(a.x, M, K, a.row_stride, a.column_stride, a_copy);
        const View b_lines = as_view(b.x, N, K, b.column_stride, b.row_stride, b_copy);
        few_rows ? multiply_few(b_lines, a_lines, problem.range, problem.out, 1, N, threads)
                 : multiply_few(a_lines, b_lines, problem.range, problem.out, N, 1, threads);
        return;
    }
#if defined(__AMX_INT8__)
    matmul_on_tiles(as_view(a.x, M, K, a.row_stride, a.column_stride, a_copy),
                    as_view(b.x, N, K, b.column_stride, b.row_stride, b_copy), problem.range, problem.out,
                    problem.is_large, threads);
    a_copy.release(), b_copy.release();
    return;
#endif
    Operand rows(Layout(M, K, wide, false), a_scratch), columns(Layout(N, K, wide, true), b_scratch);
    prepare(as_view(a.x, M, K, a.row_stride, a.column_stride, a_copy), problem.range, rows, threads);
    prepare(as_view(b.x, N, K, b.column_stride, b.row_stride, b_copy), problem.range, columns, threads);
    int64_t down = BLOCK_ROWS, across = BLOCK_COLUMNS;
    const auto blocks = [](int64_t panels, int64_t block) { return (panels + block - 1) / block; };
    while (blocks(rows.layout.panels, down) * blocks(columns.layout.panels, across) < 6 * threads && threads > 1 &&
           down > 1)
        across > 2 ? across /= 2 : down /= 2;
    const int64_t tall = blocks(rows.layout.panels, down), broad = blocks(columns.layout.panels, across);
    for_each_unit(threads, tall * broad, [&](int64_t unit) {
        const int64_t i = unit / broad * down, j = unit % broad * across;
        multiply_block(
            rows, wide, i, std::min(i + down, rows.layout.panels), j, std::min(j + across, columns.layout.panels),
            [&](int64_t chunk, int64_t panel) { return columns_of(columns, chunk, panel); },
            [&](int64_t row, int count, int64_t panel) {
                const float *to = problem.out + row * N + panel * TILE_COLUMNS;
                for (int line = 0; line < count; ++line, to += N) {
                    __builtin_prefetch(to, 1);
                    __builtin_prefetch(to + TILE_COLUMNS - 1, 1);
                }
            },
            [&](int64_t row, int64_t panel, const float *values) {
                float *to = problem.out + row * N + panel * TILE_COLUMNS;
                if (N - panel * TILE_COLUMNS >= TILE_COLUMNS)
                    std::memcpy(to, values, TILE_COLUMNS * sizeof(float));
                else
                    std::memcpy(to, values, (N - panel * TILE_COLUMNS) * sizeof(float));
            });
    });
    for (Scratch *scratch : {&a_scratch, &b_scratch, &a_copy, &b_copy}) scratch->release();
}

Range check_matmul(const isobit_call &call) {
    want_inputs(call, 2);
    const isobit_tensor &a = call.inputs[0], &b = call.inputs[1];
    want_dtype("a", a, FLOAT32, "float32");
    want_dtype("b", b, FLOAT32, "float32");
    const int rank = a.rank, axes = rank - 2;
    if (rank < 2 || b.rank != rank)
        invalid("got a %s and b %s, want equal ranks of 2 or more", show(a).text, show(b).text);
    for (int axis = 0; axis < axes; ++axis)
        if (a.shape[axis] != b.shape[axis])
            invalid("got a %s and b %s, want equal leading axes", show(a).text, show(b).text);
    if (a.shape[axes + 1] != b.shape[axes])
        invalid("got a %s and b %s, want a.shape[-1] == b.shape[-2]", show(a).text, show(b).text);
    AttributeReader attributes(call);
    const int64_t width = attributes.next_in("width", 0, 1);
    attributes.end();
    int64_t shape[8];
    std::copy_n(a.shape, rank - 1, shape);
    shape[rank - 1] = b.shape[rank - 1];
    want_output(call, FLOAT32, rank, shape);
    return range_of(width, a.shape[rank - 1]);
}

// The elements before entry `entry` of the leading axes.
int64_t offset_of(const isobit_tensor &x, int64_t entry) {
    int64_t offset = 0;
    for (int axis = x.rank - 3; axis >= 0; entry /= x.shape[axis--]) offset += entry % x.shape[axis] * x.stride[axis];
    return offset;
}

Matrix matrix_of(const isobit_tensor &x, int64_t entry) {
    const int axis = x.rank - 2;
    return {data_of<float>(x) + offset_of(x, entry), x.shape[axis], x.shape[axis + 1], x.stride[axis],
            x.stride[axis + 1]};
}

}  // namespace

void op_matmul(const isobit_call &call) {
    const Range range = check_matmul(call);
    const isobit_tensor &a = call.inputs[0], &b = call.inputs[1], &out = *call.output;
    if (element_count(out) == 0) return;
    const int64_t size = out.shape[out.rank - 2] * out.shape[out.rank - 1], entries = element_count(out) / size;
    const bool is_large = element_count(out) > LARGE;
    const auto one = [&](int64_t entry, int threads) {
        multiply_matrices(
            {matrix_of(a, entry), matrix_of(b, entry), data_of<float>(out) + entry * size, range, is_large, threads});
    };
    if (entries >= 4 * call.threads && entries > 1) {
        for_each_unit(call.threads, entries, [&](int64_t entry) { one(entry, 1); });
        return;
    }
    for (int64_t entry = 0; entry < entries; ++entry) one(entry, call.threads);
}

}  // namespace isobit::ISOBIT_ISA
