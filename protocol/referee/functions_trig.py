"""sin, cos and erf on bit patterns that are not NaN."""

from __future__ import annotations

from protocol.referee.fixed_point import (
    FINE,
    FRACTION,
    ONE,
    Number,
    alternating,
    exponential,
    number,
    power,
    product,
    rounded,
    times,
)
from protocol.referee.float32 import INFINITY, NAN, SIGN

TWO_OVER_PI_BITS = 252
TWO_OVER_PI = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163ABDEBBC56  # rounded down, as all constants are
HALF_PI = 0x1921FB54442D18469898CC51701B839  # with FRACTION fraction bits
QUARTER = 148  # fraction bits of a count of quarter turns, left of 2/pi beside the largest exponent, 104
TWO_OVER_ROOT_PI = 0x120DD750429B6D11AE3A914FED7FD86
ERF_TERMS, ERF_FRACTION, SQUARE_FRACTION = 120, 140, 109
ONE_BITS = 0x3F800000


def quarters_of(x: Number) -> tuple[int, int]:
    """|x| as quarter turns modulo 4, and the rest, an angle in [0, pi/2], for 1 <= |x| < 2^128.

    Of 2/pi only the bits from 4 turns * 2^-e down to 2^-QUARTER matter; what is cut off is less than 2^-124 turns.
    """
    window = TWO_OVER_PI >> TWO_OVER_PI_BITS - x.e - QUARTER & (4 << QUARTER) - 1
    turns = x.m * window & (4 << QUARTER) - 1
    rest = turns & (1 << QUARTER) - 1
    return turns >> QUARTER, product(rest >> QUARTER - FRACTION, HALF_PI)


def sine(x: Number, quarters: int) -> int:
    """sin(|x| + quarters * pi/2)."""
    n, r = (0, x.fixed()) if x.below(0) else quarters_of(x)
    first, i = (ONE, 1) if n + quarters & 1 else (r, 2)
    value = alternating(first, product(r, r), i)
    return -value if n + quarters & 2 else value


def sin(bits: int) -> int:
    """sin x."""
    x = number(bits)
    if x.m == 0 or bits & ~SIGN == INFINITY:
        return bits if x.m == 0 else NAN
    if x.below(0):
        square = product(x.fixed(), x.fixed())
        return times(x, alternating(ONE, square, 2))
    return rounded(sine(x, 0), -FRACTION) ^ (bits & SIGN)


def cos(bits: int) -> int:
    """cos x."""
    x = number(bits)
    return NAN if bits & ~SIGN == INFINITY else rounded(sine(x, 1), -FRACTION)


def erf(bits: int) -> int:
    """erf x = x * 2 / sqrt(pi) * e^(-x^2) * (1 + 2 x^2 / 3 + 4 x^4 / (3 * 5) + ...): all terms positive."""
    x = number(bits)
    if x.m == 0:
        return bits
    if not x.below(2):
        return bits & SIGN | ONE_BITS
    square = Number(False, x.m * x.m, 2 * x.e)
    n, k = exponential(-square.fixed(FINE))
    total = term = power(n << ERF_FRACTION - FRACTION, k)
    q = square.fixed(
        SQUARE_FRACTION
    )  # below 2^113, and the sum of all terms, erf x sqrt(pi) / 2x, below 2^ERF_FRACTION
    for i in range(3, 2 * ERF_TERMS, 2):
        term = (2 * term * q >> SQUARE_FRACTION) // i
        total += term
    return times(x, product(total >> ERF_FRACTION - FRACTION, TWO_OVER_ROOT_PI))
