"""Integers as fixed-point numbers: the series behind the functions, and the one rounding to float32 at their end.

A number with p fraction bits is the integer near value * 2^p. Every routine below is within 2^10 of it, and every
function of functions.py within ERROR. Nothing here is a float: any machine with long integers can follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

CONSTANT_BITS = 640  # fraction bits of the two constants, rounded down
PI = int(
    "3243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89452821e638d01377be5466cf34e90c6"
    "cc0ac29b7c97c50dd3f84d5b5b54709179216d5d98979fb1bd1310ba698dfb5ac",
    16,
)
LN2 = int(
    "b17217f7d1cf79abc9e3b39803f2f6af40f343267298b62d8a0d175b8baafa2be7b876206debac98559552fb4afa1b10"
    "ed2eae35c138214427573b291169b8253e96ca16224ae8c51acbda11317c387e",
    16,
)
ERROR = 1 << 16
PRECISIONS = (128, 192, 256)
SIGN, INFINITY, NAN = 0x80000000, 0x7F800000, 0x7FC00000


class Number(NamedTuple):
    """The float32 (-1)^negative * m * 2^e; an infinity reads as 2^128."""

    negative: bool
    m: int
    e: int

    def fixed(self, p: int) -> int:
        """|x| with p fraction bits, rounded down; exact for p >= 149."""
        return self.m << (self.e + p) if self.e + p >= 0 else self.m >> -(self.e + p)

    def signed(self, p: int) -> int:
        """x with p fraction bits."""
        return -self.fixed(p) if self.negative else self.fixed(p)

    def below_one(self) -> int:
        """How many bits |x| lies below 1: what a result near x needs beyond its own precision."""
        return max(0, -(self.e + self.m.bit_length()))


def number(bits: int) -> Number:
    """The value of a float32 bit pattern that is not NaN."""
    field, fraction = bits >> 23 & 255, bits & 0x7FFFFF
    return Number(bits >= SIGN, fraction | 0x800000 if field else fraction, max(field, 1) - 150)


def nearest(n: int, e: int) -> int:
    """The bits of the float32 nearest to n * 2^e, ties to even; 0 for n <= 0, infinity beyond the largest."""
    if n <= 0:
        return 0
    quantum = max(n.bit_length() + e - 24, -149)
    drop = quantum - e
    if drop <= 0:
        kept = n << -drop
    else:
        kept, rest, half = n >> drop, n & ((1 << drop) - 1), 1 << (drop - 1)
        kept += rest > half or (rest == half and kept & 1)
    return min((quantum + 149 << 23) + kept, INFINITY)  # the leading bit of a normal `kept` adds 1 to the exponent


def decide(approximate: Callable[[int], tuple[int, int]], below_one: int = 0) -> int:
    """The correctly rounded value that (n, e) = approximate(p) encloses as (n +- ERROR) * 2^e; its sign is that of n.

    Widens p until both ends round to one float32: the true value is never a tie where this is called.
    """
    for precision in PRECISIONS:
        n, e = approximate(precision + below_one)
        low, high = nearest(abs(n) - ERROR, e), nearest(abs(n) + ERROR, e)
        if low == high:
            return low | (SIGN if n < 0 else 0)
    raise ArithmeticError(f"functions: a value is within 2^-{PRECISIONS[-1] - 32} of a tie")


def exponential(x: int, p: int) -> tuple[int, int]:
    """(n, k) with e^x = n * 2^k, n of p + 1 bits, for |x| < 2^8 with p fraction bits."""
    k, r = divmod(x, LN2 >> (CONSTANT_BITS - p))
    total = term = 1 << p
    i = 1
    while term:
        term = (term * r >> p) // i
        total += term
        i += 1
    return total, k - p


def logarithm(numerator: int, denominator: int, p: int) -> int:
    """ln(numerator / denominator) with p fraction bits: k ln(2) + 2 atanh(s), |s| <= 1/3."""
    k = numerator.bit_length() - denominator.bit_length()
    a, b = numerator << max(-k, 0), denominator << max(k, 0)
    s = ((a - b) << p) // (a + b)
    square = s * s >> p
    total, power, i = s, s, 3
    while power not in (0, -1):
        power = power * square >> p
        total += power // i
        i += 2
    return k * (LN2 >> (CONSTANT_BITS - p)) + 2 * total


def alternating(first: int, square: int, i: int, p: int) -> int:
    """first - first x^2 / (i (i + 1)) + ...: the sine for first = x, i = 2; the cosine for first = 1, i = 1."""
    total = term = first
    while term:
        term = -(term * square >> p) // (i * (i + 1))
        total += term
        i += 2
    return total


def sine(x: Number, quarters: int, p: int) -> int:
    """sin(|x| + quarters * pi/2) with p fraction bits, for any finite x."""
    wide = p + 152  # |x| < 2^128 spans at most 2^128 quarters: their error stays below 2^-p
    n, r = divmod(x.fixed(wide), PI >> (CONSTANT_BITS + 1 - wide))
    r >>= 152
    first, i = ((1 << p), 1) if (n + quarters) & 1 else (r, 2)
    value = alternating(first, r * r >> p, i, p)
    return -value if (n + quarters) & 2 else value
