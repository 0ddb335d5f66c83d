"""The law's roundings: which power of two a maximum gives, one element as an integer, an exact sum as a float32."""

from __future__ import annotations

from protocol.referee.float32 import INFINITY, MAGNITUDE, SIGN, nearest, nearest_integer, value_of

NARROW_QMAX, WIDE_QMAX, LONG_QMAX = 16383, 8355711, 2097151
WIDE_TERMS = 131071
SUM_BITS, SCATTER_BITS, SIGNIFICAND = 46, 62, 24


def qmax(width: str, terms: int) -> int:
    """The largest quantised magnitude of a product of so many terms."""
    if width == "narrow":
        return NARROW_QMAX
    return WIDE_QMAX if terms <= WIDE_TERMS else LONG_QMAX


def exponent(maximum: int) -> int:
    """e of a positive finite pattern f * 2^e, 1/2 <= f < 1."""
    m, e = value_of(maximum)
    return e + m.bit_length()


def product_scale(maximum: int, most: int) -> int:
    """The largest s with rne(max * 2^s) <= most, for the pattern of a positive maximum."""
    s = most.bit_length() - exponent(maximum)
    return s - (quantise(maximum, s) > most)


def sum_scale(maximum: int) -> int:
    """The scale of a sum: the largest element becomes an integer of 46 bits."""
    return SUM_BITS - exponent(maximum)


def scatter_scale(maximum: int, rows: int) -> int:
    """The scale of a scatter of so many rows, whose sum stays below 2^62."""
    return min(SUM_BITS, SCATTER_BITS - rows.bit_length()) - exponent(maximum)


def quantise(bits: int, s: int) -> int:
    """rne(x * 2^s); a NaN or an infinity counts as 0."""
    if bits & MAGNITUDE >= INFINITY:
        return 0
    m, e = value_of(bits)
    if e + s >= 0:
        return m << e + s
    return 0 if -(e + s) > SIGNIFICAND else nearest_integer(m, -(e + s))  # |m| < 2^24: below one half


def store(total: int, s: int) -> int:
    """The pattern of total * 2^-s: 24 significant bits once, then once more only where it is subnormal or overflows."""
    if total == 0:
        return 0
    magnitude, sign = abs(total), SIGN if total < 0 else 0
    drop = max(magnitude.bit_length() - SIGNIFICAND, 0)
    kept = nearest_integer(magnitude, drop)
    return nearest(kept, drop - s) | sign
