"""Powers from correctly rounded exponentials and logarithms of base 2, whose product is kept in two parts.

A product of exponent and logarithm that is rounded to 24 bits would lose as many bits of the power as the product has
before its point: 13 of 24 for 10000^x, which turns positions into rotations.
"""

from __future__ import annotations

from math import frexp, ldexp, log2
from typing import Any

from engine.tracing.builder import Builder, Scalar, Value

LN2 = 0.6931471805599453
SPLITTER = 4097.0  # x * 4097 - (x * 4097 - x) has the upper 12 bits of x
INTEGER_BITS = 6


def whole_power(x: Value, exponent: int) -> Value:
    """x to a positive integer power by squaring."""
    half = whole_power(x, exponent // 2) if exponent > 1 else None
    square = half * half if half is not None else None
    return x if square is None else square * x if exponent % 2 else square


def integer_power(b: Builder, x: Value, exponent: Value) -> Value:
    """Integers to the power of integers from 0 to 63, which wraps."""
    value, factor = b.full(1, x.dtype, x.shape), x
    for bit in range(INTEGER_BITS):
        shifted = b.emit("shift_right", [exponent, b.full(bit, exponent.dtype, exponent.shape)])
        is_set = b.binary("eq", b.emit("bit_and", [shifted, b.full(1, exponent.dtype, exponent.shape)]), 1)
        value, factor = b.select(is_set, value * factor, value), factor * factor
    return value


def float_power(b: Builder, x: Value | Scalar, exponent: Value | Scalar) -> Value:
    """x to a power; a negative x has one for whole numbers only."""
    if not isinstance(x, Value) and x == 2 and isinstance(exponent, Value):
        return b.unary("exp2", exponent)
    if not isinstance(x, Value) and x > 0:
        return _exponential(b, exponent, log2(x), 0.0)
    x = x if isinstance(x, Value) else b.full(x, exponent.dtype, exponent.shape)  # type: ignore[union-attr]
    size = b.unary("abs", x) if isinstance(exponent, Value) else x
    value = _exponential(b, exponent, *_logarithm(b, size))
    if not isinstance(exponent, Value):
        return value
    value = b.select(b.binary("eq", exponent, 0.0), 1.0, value)
    is_whole, half = b.binary("eq", b.unary("floor", exponent), exponent), exponent * 0.5
    is_odd = b.emit("bit_and", [is_whole, b.binary("lt", b.unary("floor", half), half)])
    is_below = b.binary("lt", x, 0.0)
    has_sign = b.emit("bit_or", [is_below, b.binary("lt", 1.0 / x, 0.0)])  # -0 too
    value = b.select(b.emit("bit_and", [has_sign, is_odd]), -value, value)
    return b.select(b.emit("bit_and", [is_below, b.unary("bit_not", is_whole)]), float("nan"), value)


def _logarithm(b: Builder, x: Value) -> tuple[Value, Value]:
    """log2(x), and what its rounding leaves, to about 2^-24."""
    high = b.unary("log2", x)
    near = b.unary("exp2", high)
    rest = (x - near) / near * (1 / LN2)
    return high, b.select(b.binary("lt", b.unary("abs", rest), 1.0), rest, 0.0)


def _exponential(b: Builder, exponent: Any, high: Any, rest: Any) -> Value:
    """2^(exponent * (high + rest)), of which one may be a number."""
    upper, lower = _parts(high)
    lower = lower + rest
    e_upper, e_lower = _parts(exponent)
    main = e_upper * upper  # 12 times 12 bits: exact
    small = e_upper * lower + e_lower * upper + e_lower * lower
    precise = b.unary("exp2", main) * b.unary("exp2", small)
    plain = b.unary("exp2", exponent * high)
    is_finite = b.binary("lt", b.unary("abs", small), 64.0)  # else a part was infinite
    return b.select(is_finite, precise, plain)


def _parts(x: Any) -> tuple[Any, Any]:
    """The upper 12 bits of a value or a number, and the rest."""
    if isinstance(x, Value):
        wide = x * SPLITTER
        upper = wide - (wide - x)
        return upper, x - upper
    mantissa, power = frexp(x)
    first = ldexp(round(ldexp(mantissa, 12)), power - 12)
    return first, x - first
