"""What one operator does to the values that a program of a generated kernel holds (kernels/triton/group.py).

The same bits as kernels/spec/elementwise.py and reduction.py. A row of a block is a row of the group's domain; a value
per row is [R, 1], and operands of either shape may meet.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton import functions
from kernels.triton.reduction import FRACTION_BITS, stored, sum_scale
from kernels.triton.scale import INFINITY, magnitude, quantise_long

BITS = tl.constexpr(FRACTION_BITS)
LEAST, MOST = tl.constexpr(-(2**31)), tl.constexpr(2**31 - 1)


@triton.jit
def order_key(x):
    """Integers in the order of the floats, -0 below +0, the law's NaN highest; its own inverse on the bits."""
    bits = x.to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def from_order_key(key):
    return (key ^ ((key >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def add_float(a, b):
    return functions.canonical(a + b)


@triton.jit
def sub_float(a, b):
    return functions.canonical(a - b)


@triton.jit
def mul_float(a, b):
    return functions.canonical(a * b)


@triton.jit
def div_float(a, b):
    return functions.canonical(tl.math.div_rn(a, b))


@triton.jit
def maximum_float(a, b):
    return tl.where(order_key(a) >= order_key(b), a, b)


@triton.jit
def minimum_float(a, b):
    lower = tl.where(order_key(a) <= order_key(b), a, b)
    return tl.where((a == a) & (b == b), lower, functions.constant_nan(lower))


@triton.jit
def neg_float(x):
    return functions.canonical((x.to(tl.int32, bitcast=True) ^ -0x80000000).to(tl.float32, bitcast=True))


@triton.jit
def abs_float(x):
    return magnitude(x).to(tl.float32, bitcast=True)


@triton.jit
def sqrt_float(x):
    return functions.canonical(tl.math.sqrt_rn(x))


@triton.jit
def nearest(x):
    """|x| rounded to an integer, to nearest even: below 2^23 adding 2^23 leaves no fraction."""
    a = abs_float(x)
    return tl.where(a < 8388608.0, (a + 8388608.0) - 8388608.0, a)


@triton.jit
def round_float(x):
    return functions.canonical(functions.with_sign(nearest(x), x))


@triton.jit
def trunc_float(x):
    whole = nearest(x)
    return functions.canonical(functions.with_sign(tl.where(whole > abs_float(x), whole - 1.0, whole), x))


@triton.jit
def floor_float(x):
    whole = functions.with_sign(nearest(x), x)
    return functions.canonical(functions.with_sign(tl.where(whole > x, whole - 1.0, whole), x))


@triton.jit
def ceil_float(x):
    whole = functions.with_sign(nearest(x), x)
    return functions.canonical(functions.with_sign(tl.where(whole < x, whole + 1.0, whole), x))


@triton.jit
def maximum_integer(a, b):
    return tl.where(a >= b, a, b)


@triton.jit
def minimum_integer(a, b):
    return tl.where(a <= b, a, b)


@triton.jit
def abs_integer(x):
    return tl.where(x < 0, 0 - x, x)


@triton.jit
def shift_left(x, by, BITS: tl.constexpr):
    inside = (by >= 0) & (by < BITS)
    return tl.where(inside, x << tl.where(inside, by, 0), 0).to(x.dtype)


@triton.jit
def shift_right(x, by, BITS: tl.constexpr):
    inside = (by >= 0) & (by < BITS)
    return tl.where(inside, x >> tl.where(inside, by, 0), tl.where(x < 0, -1, 0).to(x.dtype))


@triton.jit
def float_to_int64(x):
    """Truncated, saturated, NaN to 0."""
    inside = (x >= -9223372036854775808.0) & (x < 9223372036854775808.0)
    end = tl.where(x > 0, tl.full(x.shape, 2**63 - 1, tl.int64), tl.full(x.shape, -(2**63), tl.int64))
    return tl.where(inside, tl.where(inside, x, 0.0).to(tl.int64), tl.where(x == x, end, 0))


@triton.jit
def float_to_narrow(x, LOW: tl.constexpr, HIGH: tl.constexpr):
    """As int64, saturated at a narrower type's ends: int64's own saturation and NaN are right already."""
    wide = float_to_int64(x)
    low, high = tl.full(wide.shape, LOW, tl.int64), tl.full(wide.shape, HIGH, tl.int64)
    return tl.where(wide < low, low, tl.where(wide > high, high, wide))


@triton.jit
def group_maximum(x, inside):
    """The largest |x| of each row as bits, NaN above all."""
    return tl.max(tl.where(inside, magnitude(x), 0), 1)[:, None]


@triton.jit
def group_sum(x, inside, maximum):
    """The exact sum of the rows' integers at the scale of their maxima; of a row that is not finite, nothing."""
    finite = tl.where(inside & (maximum < INFINITY), x, 0.0)
    return tl.sum(quantise_long(finite, sum_scale(maximum, BITS)), 1)[:, None]


@triton.jit
def rounded_sum(total, maximum):
    return stored(total, maximum, BITS)


@triton.jit
def highest_key(x, inside):
    return tl.max(tl.where(inside, order_key(x), LEAST), 1)[:, None]


@triton.jit
def lowest_key(x, inside):
    """The least key of each row; the least integer, which is no key, where there is a NaN."""
    key = tl.where(x == x, order_key(x), LEAST)
    return tl.min(tl.where(inside, key, MOST), 1)[:, None]


@triton.jit
def from_lowest_key(key):
    value = from_order_key(key)
    return tl.where(key == LEAST, functions.constant_nan(value), value)


@triton.jit
def plus(a, b):
    return a + b
