"""Numbers with FRACTION fraction bits: the series behind the functions, and the one rounding to float32 at their end.

Every number stays below 2^256 and every loop has a fixed bound, so that a contract can follow line by line. One
precision is enough. Over all 2^32 inputs no value comes nearer to a tie than 2^-67 of itself, of the sigmoid 2^-77
(hardest_log2 in bench/results/functions-exhaustive.json). Errors stay below ERROR units of 2^-FRACTION, 2^-104: of the
value itself where times rounds it and in the sigmoid; elsewhere a value is at least 2^-34, the least sine beyond 1.
"""

from __future__ import annotations

from typing import NamedTuple

from protocol.referee.float32 import SIGN, nearest

FRACTION = 120
ONE = 1 << FRACTION
FINE = 128  # fraction bits of an exponent before its multiple of ln 2 is taken out
LN2 = 0xB17217F7D1CF79ABC9E3B39803F2F6AF  # with FINE fraction bits, rounded down
EXP_TERMS, ATANH_TERMS, SINE_TERMS = 36, 42, 20
ERROR = 1 << 16


class Number(NamedTuple):
    """The float32 (-1)^negative * m * 2^e, m below 2^24; an infinity reads as 2^128."""

    negative: bool
    m: int
    e: int

    def fixed(self, fraction: int = FRACTION) -> int:
        """|x| with `fraction` fraction bits, rounded down: below 2^256 where |x| < 2^(256 - fraction)."""
        by = self.e + fraction
        return self.m << by if by >= 0 else self.m >> -by

    def signed(self, fraction: int = FRACTION) -> int:
        """x with `fraction` fraction bits, rounded toward zero."""
        return -self.fixed(fraction) if self.negative else self.fixed(fraction)

    def below(self, k: int) -> bool:
        """Whether |x| < 2^k."""
        return self.m.bit_length() + self.e <= k

    def is_integer(self) -> bool:
        """Whether x has no fraction."""
        return self.e >= 0 or self.m == self.m >> -self.e << -self.e


def number(bits: int) -> Number:
    """The value of a float32 bit pattern that is not NaN."""
    field, fraction = bits >> 23 & 255, bits & 0x7FFFFF
    return Number(bits >= SIGN, fraction | 0x800000 if field else fraction, max(field, 1) - 150)


def rounded(n: int, e: int) -> int:
    """The float32 to which everything between (n - ERROR) * 2^e and (n + ERROR) * 2^e rounds; its sign is that of n."""
    low, high = nearest(abs(n) - ERROR, e), nearest(abs(n) + ERROR, e)
    if low != high:
        raise ArithmeticError("functions: a value is nearer to a tie than any float32 has one")
    return low | (SIGN if n < 0 else 0)


def times(x: Number, ratio: int) -> int:
    """x * ratio rounded once, for functions that are near x where x is small: the error is relative."""
    n = x.m * ratio
    error = x.m * ERROR
    low, high = nearest(n - error, x.e - FRACTION), nearest(n + error, x.e - FRACTION)
    if low != high:
        raise ArithmeticError("functions: a value is nearer to a tie than any float32 has one")
    return low | (SIGN if x.negative else 0)


def product(a: int, b: int) -> int:
    """a * b, rounded down."""
    return a * b >> FRACTION


def quotient(a: int, b: int) -> int:
    """a / b for b > 0, rounded down; |a| < 2^135."""
    return (a << FRACTION) // b


def exponential(x: int) -> tuple[int, int]:
    """(n, k) with e^x = n * 2^(k - FRACTION) and 1 <= n / ONE < 2, for |x| < 2^7 with FINE fraction bits."""
    k = x // LN2
    r = x - k * LN2 >> FINE - FRACTION
    total = term = ONE
    for i in range(1, EXP_TERMS):
        term = product(term, r) // i
        total += term
    return total, k


def power(n: int, k: int) -> int:
    """n * 2^k for k <= 0, rounded down, as a number with FRACTION fraction bits: 0 where nothing is left."""
    return n >> -k if k > -256 else 0


def atanh_ratio(square: int) -> int:
    """atanh(s) / s = 1 + s^2/3 + s^4/5 + ... for s^2 <= 1/9."""
    total = term = ONE
    for i in range(3, 2 * ATANH_TERMS, 2):
        term = product(term, square)
        total += term // i
    return total


def logarithm(n: int, e: int) -> int:
    """ln(n * 2^e) for 0 < n < 2^130: k ln(2) + 2 atanh((f - 1) / (f + 1)), with f in [2/3, 4/3]."""
    length = n.bit_length()
    if 3 * n > 1 << length + 1:  # n / 2^length in [1/2, 1) is above 2/3: f is that, else its double
        one, k = 1 << length, e + length
    else:
        one, k = 1 << length - 1, e + length - 1
    s = quotient(n - one, n + one)
    return (k * LN2 >> FINE - FRACTION) + 2 * product(s, atanh_ratio(product(s, s)))


def alternating(first: int, square: int, i: int) -> int:
    """first - first x^2 / (i (i + 1)) + ...: the sine for first = x, i = 2; the cosine for first = 1, i = 1."""
    total = term = first
    for j in range(i, i + 2 * SINE_TERMS, 2):
        term = -product(term, square) // (j * (j + 1))
        total += term
    return total
