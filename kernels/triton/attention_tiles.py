"""What a program of a generated attention kernel does to its tile: scores, integers, products (attention_text.py).

The steps of kernels/spec/matmul.py. A tile has few enough terms that no int32 sum overflows, and is added in int64.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton import launch, members
from kernels.triton.scale import CANONICAL_NAN, INFINITY, canonical_nan, magnitude, product_scale, quantise, store
from kernels.triton.tensor_cores import multiply_add

ONE = tl.constexpr(0x3F800000)
DIGIT = tl.constexpr(launch.DIGIT)


@triton.jit
def low_digit(q):
    return ((q + 128) & 255) - 128


@triton.jit
def tile_of(x, row, term, terms):
    """The address of a tile's digits: [rows, terms], each row `terms` long."""
    return x + row.to(tl.int64)[:, None] * terms + term[None, :]


@triton.jit
def exact_product(a0, a1, a2, b0, b1, b2, DIGITS: tl.constexpr):
    """The int64 sums of digits [I, K] times [K, J]; pairs of equal weight share an int32 sum, below 2^31."""
    zero = tl.zeros((a0.shape[0], b0.shape[1]), tl.int32)
    c0 = multiply_add(a0, b0, zero, DIGIT)
    c1 = multiply_add(a0, b1, zero, DIGIT)
    c1 = multiply_add(a1, b0, c1, DIGIT)
    c2 = multiply_add(a1, b1, zero, DIGIT)
    total = c0.to(tl.int64) + (c1.to(tl.int64) << 8)
    if DIGITS == 3:
        c2 = multiply_add(a0, b2, c2, DIGIT)
        c2 = multiply_add(a2, b0, c2, DIGIT)
        c3 = multiply_add(a1, b2, zero, DIGIT)
        c3 = multiply_add(a2, b1, c3, DIGIT)
        c4 = multiply_add(a2, b2, zero, DIGIT)
        total += (c3.to(tl.int64) << 24) + (c4.to(tl.int64) << 32)
    return total + (c2.to(tl.int64) << 16)


@triton.jit
def scores(
    a,
    b,
    maxima_a,
    maxima_b,
    batch,
    i,
    j,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    P: tl.constexpr,
    DIGITS: tl.constexpr,
    QMAX: tl.constexpr,
    BITS: tl.constexpr,
):
    """A tile of a product: rows i of a [B, DIGITS, ROWS, P] by rows j of b [B, DIGITS, COLUMNS, P]."""
    k = tl.arange(0, P)
    plane_a, plane_b = tl.cast(ROWS, tl.int64) * P, tl.cast(COLUMNS, tl.int64) * P
    # What lies beyond an edge wraps around to what exists: scores that nobody uses.
    at_a = tile_of(a + batch * DIGITS * plane_a, i % ROWS, k, P)
    at_b = tl.trans(tile_of(b + batch * DIGITS * plane_b, j % COLUMNS, k, P))
    a0, a1, b0, b1 = tl.load(at_a), tl.load(at_a + plane_a), tl.load(at_b), tl.load(at_b + plane_b)
    a2, b2 = a1, b1
    if DIGITS == 3:
        a2, b2 = tl.load(at_a + 2 * plane_a), tl.load(at_b + 2 * plane_b)
    total = exact_product(a0, a1, a2, b0, b1, b2, DIGITS)
    highest_a, highest_b = (
        tl.load(maxima_a + batch * ROWS + i % ROWS),
        tl.load(maxima_b + batch * COLUMNS + j % COLUMNS),
    )
    s = product_scale(highest_a, QMAX, BITS)[:, None] + product_scale(highest_b, QMAX, BITS)[None, :]
    finite = (highest_a < INFINITY)[:, None] & (highest_b < INFINITY)[None, :]
    return tl.where(finite, store(total, s), canonical_nan(s))


@triton.jit
def product(
    x,
    inside,
    maximum,
    w,
    batch,
    k,
    D: tl.constexpr,
    P: tl.constexpr,
    SIZE: tl.constexpr,
    DIGITS: tl.constexpr,
    QMAX: tl.constexpr,
    BITS: tl.constexpr,
):
    """The int64 sums of a tile x [I, K] at the scales of `maximum` [I, 1] times terms k of w [B, DIGITS, D, P]."""
    q = quantise(tl.where(inside & (maximum < INFINITY), x, 0.0), product_scale(maximum, QMAX, BITS))
    plane = tl.cast(D, tl.int64) * P
    at = tl.trans(tile_of(w + batch * DIGITS * plane, tl.arange(0, SIZE) % D, k, P))
    x0 = low_digit(q)
    q = (q - x0) >> 8
    x1, x2 = q, q
    w0, w1 = tl.load(at), tl.load(at + plane)
    w2 = w1
    if DIGITS == 3:
        x1 = low_digit(q)
        x2 = (q - x1) >> 8
        w2 = tl.load(at + 2 * plane)
    return exact_product(x0.to(tl.int8), x1.to(tl.int8), x2.to(tl.int8), w0, w1, w2, DIGITS)


@triton.jit
def write(
    out,
    total,
    maximum,
    maxima_w,
    batch,
    row,
    row_stride: tl.constexpr,
    column_stride: tl.constexpr,
    M: tl.constexpr,
    D: tl.constexpr,
    SIZE: tl.constexpr,
    QMAX: tl.constexpr,
    BITS: tl.constexpr,
):
    """Rounds exact sums [I, SIZE] once and writes rows `row` and columns below D of out [B, M, D], of any strides."""
    d = tl.arange(0, SIZE)
    highest = tl.load(maxima_w + batch * D + d, d < D, 0)
    s = product_scale(maximum, QMAX, BITS) + product_scale(highest, QMAX, BITS)[None, :]
    finite = (maximum < INFINITY) & (highest < INFINITY)[None, :]
    value = tl.where(finite, store(total, s), canonical_nan(s))
    at = out + batch * M * D + row.to(tl.int64)[:, None] * row_stride + d[None, :] * column_stride
    tl.store(at, value, (row < M)[:, None] & (d < D)[None, :])


@triton.jit
def highest_of_columns(x, inside, out, column, N: tl.constexpr):
    """Raises the maxima of columns to those of a tile [R, C]."""
    tl.atomic_max(out + column, tl.max(tl.where(inside, magnitude(x), 0), 0), column < N)


@triton.jit
def softmax_maximum(highest):
    """The largest exp(x - max x) of rows as bits: 1, or NaN where the row's maximum is not finite."""
    return tl.where(magnitude(highest) < INFINITY, ONE, CANONICAL_NAN)


@triton.jit
def quotient_maximum(maximum, divisor):
    """The largest |x / divisor| as bits, of rows whose largest |x| is known: rounding keeps the order."""
    return magnitude(members.div_float(maximum.to(tl.float32, bitcast=True), divisor))


@triton.jit
def product_maximum(maximum, factor):
    return magnitude(members.mul_float(maximum.to(tl.float32, bitcast=True), factor))
