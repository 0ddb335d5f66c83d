"""The functions that e^x gives: exp, exp2, expm1, tanh and sigmoid, on bit patterns that are not NaN."""

from __future__ import annotations

from protocol.referee.fixed_point import (
    EXP_TERMS,
    FINE,
    FRACTION,
    LN2,
    ONE,
    Number,
    exponential,
    number,
    power,
    product,
    quotient,
    rounded,
    times,
)
from protocol.referee.float32 import INFINITY, SIGN, nearest

ONE_BITS = 0x3F800000


def exp(bits: int) -> int:
    """e^x."""
    x = number(bits)
    if not x.below(7):
        return 0 if x.negative else INFINITY
    n, k = exponential(x.signed(FINE))
    return rounded(n, k - FRACTION)


def exp2(bits: int) -> int:
    """2^x; exact at the integers."""
    x = number(bits)
    if not x.below(8):
        return 0 if x.negative else INFINITY
    if x.is_integer():
        return nearest(1, x.signed(0))
    whole = x.signed(FINE) >> FINE
    fraction = x.signed(FINE) - (whole << FINE)
    n, k = exponential((fraction >> FINE - FRACTION) * LN2 >> FRACTION)  # below 1 * ln 2: a product below 2^248
    return rounded(n, whole + k - FRACTION)


def expm1_ratio(x: int) -> int:
    """(e^x - 1) / x = 1 + x/2 + x^2/6 + ... for |x| <= 1."""
    total = term = ONE
    for i in range(2, EXP_TERMS + 1):
        term = product(term, x) // i
        total += term
    return total


def expm1(bits: int) -> int:
    """e^x - 1."""
    x = number(bits)
    if x.m == 0:
        return bits
    if not x.below(7):
        return SIGN | ONE_BITS if x.negative else INFINITY
    if x.below(0):
        return times(x, expm1_ratio(x.signed()))
    n, k = exponential(x.signed(FINE))
    return rounded(power(n, k) - ONE, -FRACTION) if x.negative else rounded(n - power(ONE, -k), k - FRACTION)


def tanh(bits: int) -> int:
    """tanh x: E / (E + 2) with E = e^2x - 1 where x is small, else (1 - w) / (1 + w) with w = e^-2|x|."""
    x = number(bits)
    if x.m == 0:
        return bits
    if not x.below(4):
        return bits & SIGN | ONE_BITS
    if x.below(-1):
        double = 2 * x.fixed()
        ratio = expm1_ratio(double)
        return times(x, quotient(2 * ratio, product(double, ratio) + 2 * ONE))
    w = _decay(Number(x.negative, x.m, x.e + 1))
    return rounded(quotient(ONE - w, ONE + w), -FRACTION) | bits & SIGN


def _decay(x: Number) -> int:
    """e^-|x|, absolutely."""
    return power(*exponential(-x.fixed(FINE)))


def sigmoid(bits: int) -> int:
    """1 / (1 + e^-x)."""
    x = number(bits)
    if not x.below(7):
        return 0 if x.negative else ONE_BITS
    n, k = exponential(-x.fixed(FINE))
    below = ONE + power(n, k)  # 1 + e^-|x|
    return rounded(quotient(n, below), k - FRACTION) if x.negative else rounded(quotient(ONE, below), -FRACTION)
