"""The logarithms on bit patterns that are not NaN."""

from __future__ import annotations

from protocol.referee.fixed_point import (
    FRACTION,
    ONE,
    Number,
    atanh_ratio,
    logarithm,
    number,
    product,
    quotient,
    rounded,
    times,
)
from protocol.referee.float32 import INFINITY, NAN, SIGN, nearest

ONE_BITS = 0x3F800000
INVERSE_LN2 = 0x171547652B82FE1777D0FFDA0D23A7D  # with FRACTION fraction bits, rounded down
INVERSE_LN10 = 0x6F2DEC549B9438CA9AADD557D699EE
POWERS_OF_TEN = {10**k: k for k in range(11)}  # those that are float32


def _integer(k: int) -> int:
    return nearest(abs(k), 0) | (SIGN if k < 0 else 0)


def _limit(bits: int) -> int | None:
    """What a logarithm gives where it is no number: at zero, below it and at infinity."""
    if bits & ~SIGN == 0:
        return SIGN | INFINITY
    return NAN if bits >= SIGN else INFINITY if bits == INFINITY else None


def log(bits: int) -> int:
    """ln x."""
    x, limit = number(bits), _limit(bits)
    if limit is not None:
        return limit
    return 0 if bits == ONE_BITS else rounded(logarithm(x.m, x.e), -FRACTION)


def log2(bits: int) -> int:
    """log2 x; exact at the powers of two."""
    x, limit = number(bits), _limit(bits)
    if limit is not None:
        return limit
    if x.m & x.m - 1 == 0:
        return _integer(x.e + x.m.bit_length() - 1)
    return rounded(product(logarithm(x.m, x.e), INVERSE_LN2), -FRACTION)


def log10(bits: int) -> int:
    """log10 x; exact at the powers of ten."""
    x, limit = number(bits), _limit(bits)
    if limit is not None:
        return limit
    if x.is_integer() and x.below(34) and x.fixed(0) in POWERS_OF_TEN:
        return _integer(POWERS_OF_TEN[x.fixed(0)])
    return rounded(product(logarithm(x.m, x.e), INVERSE_LN10), -FRACTION)


def log1p(bits: int) -> int:
    """ln(1 + x): 2 atanh(x / (2 + x)) where x is small."""
    x = number(bits)
    if x.m == 0 or bits == INFINITY:
        return bits
    if x.below(-1):
        return times(x, _log1p_ratio(x))
    if x.negative and not x.below(0):
        return SIGN | INFINITY if bits == SIGN | ONE_BITS else NAN
    low = min(x.e, 0)
    total = (1 << -low) + ((-x.m if x.negative else x.m) << x.e - low)  # (1 + x) * 2^-low, exact
    return rounded(logarithm(total, low), -FRACTION)


def _log1p_ratio(x: Number) -> int:
    """ln(1 + x) / x for |x| < 1/2."""
    below = 2 * ONE + x.signed()
    s = quotient(x.signed(), below)
    return product(quotient(2 * ONE, below), atanh_ratio(product(s, s)))
