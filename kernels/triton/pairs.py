"""Arithmetic on pairs of float32, high + low: sums and products without error, and when a pair's rounding is certain.

Exact as long as nothing is contracted, overflows or is subnormal (Dekker, Knuth; a fused multiply-add gives what a
product's rounding left).
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def single(like, C: tl.constexpr):
    """A float32 in a tensor's shape."""
    return tl.full(like.shape, C, tl.float32)


@triton.jit
def bits_of(x):
    return x.to(tl.int32, bitcast=True)


@triton.jit
def exact_sum(a, b):
    """a + b as a pair, where |a| >= |b| or a = 0."""
    total = a + b
    return total, b - (total - a)


@triton.jit
def exact_sum_of_any(a, b):
    """a + b as a pair (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@triton.jit
def exact_product(a, b):
    """a b as a pair."""
    product = a * b
    return product, tl.fma(a, b, -product)


@triton.jit
def polynomial(x, C: tl.constexpr, COUNT: tl.constexpr):
    """C[0] + C[1] x + ..."""
    total = single(x, C[COUNT - 1])
    for i in tl.static_range(COUNT - 2, -1, -1):
        total = tl.fma(total, x, single(x, C[i]))
    return total


@triton.jit
def rounded(high, low, bound):
    """high + low rounded, and whether an error up to the bound could not change that."""
    above, below = high + (low + bound), high + (low - bound)
    return above, above == below


@triton.jit
def times_power_of_two(x, e):
    """x 2^e, both normal."""
    return (bits_of(x) + (e << 23)).to(tl.float32, bitcast=True)


@triton.jit
def quotient(a, a_low, b, b_low):
    """(a + a_low) / (b + b_low) as a pair, relative error 2^-45, where low parts are below 2^-13 of the high ones."""
    inverse = tl.math.div_rn(single(b, 1.0), b)
    y = a * inverse
    rest = tl.fma(-y, b_low, tl.fma(-y, b, a) + a_low)
    return y, rest * tl.fma(-inverse, b_low * inverse, inverse)
