"""Arithmetic, one element at a time: IEEE-754 for float32, modulo 2^bits for integers."""

from __future__ import annotations

import numpy as np

from kernels.spec.operator import Array
from kernels.spec.rounding import NAN, canonical


def add(x: Array, y: Array) -> Array:
    """The sum of two elements.

    Value:    x + y; integers wrap
    Rounding: once, to nearest even
    Special:  a NaN, or inf - inf, gives NaN; -0 + -0 = -0, any other sum of 0 is +0
    Gradient: x <- g, y <- g
    """
    return canonical(x + y)


def sub(x: Array, y: Array) -> Array:
    """The difference of two elements.

    Value:    x - y; integers wrap
    Rounding: once, to nearest even
    Special:  a NaN, or inf - inf, gives NaN; -0 - +0 = -0, any other difference of 0 is +0
    Gradient: x <- g, y <- neg(g)
    """
    return canonical(x - y)


def mul(x: Array, y: Array) -> Array:
    """The product of two elements.

    Value:    x * y; integers wrap
    Rounding: once, to nearest even; a subnormal result is kept
    Special:  a NaN, or 0 * inf, gives NaN; a 0 has the sign of the two signs' product
    Gradient: x <- g * y, y <- g * x
    """
    return canonical(x * y)


def div(x: Array, y: Array) -> Array:
    """The quotient of two elements.

    Value:    x / y
    Rounding: once, to nearest even; a subnormal result is kept
    Special:  a NaN, 0 / 0 or inf / inf gives NaN; x / 0 is an infinity; the sign is that of the two signs' product
    Gradient: x <- g / y, y <- neg(g * (x / y) / y)
    """
    return canonical(x / y)


def maximum(x: Array, y: Array) -> Array:
    """The larger of two elements.

    Value:    x where x > y, else y
    Special:  a NaN gives NaN; maximum(-0, +0) = +0
    Gradient: g where the operand is the larger, g / 2 to both where they are equal
    """
    if x.dtype != np.float32:
        return np.maximum(x, y)
    equal = (x.view(np.uint32) & y.view(np.uint32)).view(np.float32)  # only zeros are equal in other bits
    larger = np.where(x > y, x, np.where(y > x, y, equal))
    return np.where(np.isnan(x) | np.isnan(y), NAN, larger)


def minimum(x: Array, y: Array) -> Array:
    """The smaller of two elements.

    Value:    x where x < y, else y
    Special:  a NaN gives NaN; minimum(-0, +0) = -0
    Gradient: g where the operand is the smaller, g / 2 to both where they are equal
    """
    if x.dtype != np.float32:
        return np.minimum(x, y)
    equal = (x.view(np.uint32) | y.view(np.uint32)).view(np.float32)  # only zeros are equal in other bits
    smaller = np.where(x < y, x, np.where(y < x, y, equal))
    return np.where(np.isnan(x) | np.isnan(y), NAN, smaller)


def neg(x: Array) -> Array:
    """The element with the other sign.

    Value:    -x: the sign bit flipped; integers wrap, so the least one stays
    Special:  a NaN gives the law's NaN, neg(+0) = -0
    Gradient: x <- neg(g)
    """
    if x.dtype != np.float32:
        return np.negative(x)
    return canonical((x.view(np.uint32) ^ np.uint32(0x80000000)).view(np.float32))


def abs_(x: Array) -> Array:
    """The element without its sign.

    Value:    |x|: the sign bit cleared; integers wrap, so the least one stays
    Special:  a NaN gives the law's NaN, abs(-0) = +0
    Gradient: x <- g with the sign of x, 0 where x is 0
    """
    if x.dtype != np.float32:
        return np.abs(x)
    return (x.view(np.uint32) & np.uint32(0x7FFFFFFF)).view(np.float32)


def floor(x: Array) -> Array:
    """The largest integer not above x.

    Value:    floor(x), exact
    Special:  a NaN gives NaN; an infinity stays; a zero keeps its sign
    Gradient: x <- 0
    """
    return canonical(np.floor(x))


def ceil(x: Array) -> Array:
    """The smallest integer not below x.

    Value:    ceil(x), exact
    Special:  a NaN gives NaN; an infinity stays; a zero has the sign of x
    Gradient: x <- 0
    """
    return canonical(np.ceil(x))


def trunc(x: Array) -> Array:
    """x without its fraction.

    Value:    floor(x) for x > 0, else ceil(x), exact
    Special:  a NaN gives NaN; an infinity stays; a zero has the sign of x
    Gradient: x <- 0
    """
    return canonical(np.trunc(x))


def round_(x: Array) -> Array:
    """The integer nearest to x.

    Value:    the nearest integer, ties to even, exact
    Special:  a NaN gives NaN; an infinity stays; a zero has the sign of x
    Gradient: x <- 0
    """
    return canonical(np.rint(x))
