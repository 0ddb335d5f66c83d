"""The functions of the law: the float32 nearest to the mathematical value, for every one of the 2^32 inputs.

NAME_bits(bits) is the definition, from bit pattern to bit pattern in integers alone; the referee has a second one.
Rounding is decided, not assumed: an enclosure is narrowed until both ends round alike (fixed_point.decide), and the
values that are themselves representable, where that would never end, are taken out beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import isqrt

from kernels.exact.fixed_point import (
    CONSTANT_BITS,
    INFINITY,
    LN2,
    NAN,
    PI,
    SIGN,
    Number,
    decide,
    exponential,
    logarithm,
    nearest,
    number,
    sine,
)

Bits = Callable[[int], int]
ONE = 0x3F800000
POWERS_OF_TEN = {10**k: k for k in range(11)}  # those that are float32


def nan_to_nan(function: Bits) -> Bits:
    """The function with every NaN taken to the law's NaN."""

    @wraps(function)
    def of_bits(bits: int) -> int:
        return NAN if bits & ~SIGN > INFINITY else function(bits)

    return of_bits


def integer_bits(k: int) -> int:
    """The float32 of a small integer."""
    return nearest(abs(k), 0) | (SIGN if k < 0 else 0)


def log_limit(bits: int) -> int | None:
    """What a logarithm gives where it is no number: at zero, below it and at infinity."""
    if bits & ~SIGN == 0:
        return SIGN | INFINITY
    return NAN if bits >= SIGN else INFINITY if bits == INFINITY else None


@nan_to_nan
def sqrt_bits(bits: int) -> int:
    """x^(1/2): exact in integers, with a last bit for the remainder."""
    x = number(bits)
    if x.m == 0 or bits == INFINITY:
        return bits
    if x.negative:
        return NAN
    square = x.m << 80 + x.e % 2
    root = isqrt(square)
    return nearest(2 * root + (root * root != square), x.e // 2 - 41)


@nan_to_nan
def rsqrt_bits(bits: int) -> int:
    """x^(-1/2): exact in integers, with a last bit for the remainder."""
    x = number(bits)
    if x.m == 0:
        return bits & SIGN | INFINITY
    if x.negative:
        return NAN
    if bits == INFINITY:
        return 0
    m = x.m << x.e % 2
    root = isqrt((1 << 160) // m)
    return nearest(2 * root + (root * root * m != 1 << 160), -(x.e // 2) - 81)


@nan_to_nan
def exp_bits(bits: int) -> int:
    """e^x."""
    x = number(bits)
    if x.fixed(0) >= 128:
        return 0 if x.negative else INFINITY
    return decide(lambda p: exponential(x.signed(p), p))


@nan_to_nan
def exp2_bits(bits: int) -> int:
    """2^x."""
    x = number(bits)
    if x.fixed(0) >= 256:
        return 0 if x.negative else INFINITY
    if x.fixed(0) << 149 == x.fixed(149):
        return nearest(1, x.signed(0))

    def approximate(p: int) -> tuple[int, int]:
        k, fraction = divmod(x.signed(p), 1 << p)
        n, e = exponential(fraction * (LN2 >> (CONSTANT_BITS - p)) >> p, p)
        return n, e + k

    return decide(approximate)


@nan_to_nan
def expm1_bits(bits: int) -> int:
    """e^x - 1."""
    x = number(bits)
    if x.m == 0:
        return bits
    if x.fixed(0) >= 128:
        return SIGN | ONE if x.negative else INFINITY

    def approximate(p: int) -> tuple[int, int]:
        n, e = exponential(x.signed(p), p)
        return (n - (1 << max(-e, 0)), e) if e + p > 0 else ((n >> -(e + p)) - (1 << p), -p)

    return decide(approximate, x.below_one())


@nan_to_nan
def log_bits(bits: int) -> int:
    """ln x."""
    x, limit = number(bits), log_limit(bits)
    if limit is not None:
        return limit
    if bits == ONE:
        return 0
    return decide(lambda p: (logarithm(x.fixed(149), 1 << 149, p), -p))


@nan_to_nan
def log2_bits(bits: int) -> int:
    """log2 x; exact at the powers of two."""
    x, limit = number(bits), log_limit(bits)
    if limit is not None:
        return limit
    if x.m & (x.m - 1) == 0:
        return integer_bits(x.e + x.m.bit_length() - 1)
    return decide(lambda p: ((logarithm(x.fixed(149), 1 << 149, p) << CONSTANT_BITS) // LN2, -p))


@nan_to_nan
def log10_bits(bits: int) -> int:
    """log10 x; exact at the powers of ten."""
    x, limit = number(bits), log_limit(bits)
    if limit is not None:
        return limit
    k = POWERS_OF_TEN.get(x.fixed(0))
    if k is not None and x.fixed(0) << 149 == x.fixed(149):
        return integer_bits(k)
    return decide(lambda p: ((logarithm(x.fixed(149), 1 << 149, p) << p) // logarithm(10, 1, p), -p))


@nan_to_nan
def log1p_bits(bits: int) -> int:
    """ln(1 + x)."""
    x = number(bits)
    if x.m == 0 or bits == INFINITY:
        return bits
    sum_ = (1 << 149) + x.signed(149)
    if sum_ <= 0:
        return SIGN | INFINITY if sum_ == 0 else NAN
    return decide(lambda p: (logarithm(sum_, 1 << 149, p), -p), x.below_one())


@nan_to_nan
def sin_bits(bits: int) -> int:
    """sin x."""
    x = number(bits)
    if x.m == 0 or bits & ~SIGN == INFINITY:
        return bits if x.m == 0 else NAN
    return decide(lambda p: (sine(x, 0, p), -p), x.below_one()) ^ (bits & SIGN)


@nan_to_nan
def cos_bits(bits: int) -> int:
    """cos x."""
    x = number(bits)
    return NAN if bits & ~SIGN == INFINITY else decide(lambda p: (sine(x, 1, p), -p))


@nan_to_nan
def tanh_bits(bits: int) -> int:
    """tanh x = (1 - e^-2|x|) / (1 + e^-2|x|), with the sign of x."""
    x = number(bits)
    if x.m == 0:
        return bits
    if x.fixed(0) >= 16:
        return bits & SIGN | ONE

    def approximate(p: int) -> tuple[int, int]:
        n, e = exponential(-2 * x.fixed(p), p)
        one, power = 1 << p, n >> -(e + p)
        return ((one - power) << p) // (one + power), -p

    return decide(approximate, x.below_one()) | bits & SIGN


def erf_fixed(x: Number, p: int) -> int:
    """erf |x| = 2 / sqrt(pi) e^(-x^2) (x + 2 x^3 / 3 + 4 x^5 / (3 * 5) + ...) for |x| < 4: all terms positive."""
    wide = p + 32  # the series reaches e^16 < 2^24
    total = term = x.fixed(wide)
    square, i = term * term >> wide, 3
    n, e = exponential(-square, wide)
    while term:
        term = 2 * (term * square >> wide) // i
        total += term
        i += 2
    return (2 * total * (n >> -(e + wide)) // isqrt(PI >> (CONSTANT_BITS - wide) << wide)) >> 32


@nan_to_nan
def erf_bits(bits: int) -> int:
    """erf x."""
    x = number(bits)
    if x.m == 0:
        return bits
    if x.fixed(0) >= 4:
        return bits & SIGN | ONE
    return decide(lambda p: (erf_fixed(x, p), -p), x.below_one()) | bits & SIGN


@nan_to_nan
def sigmoid_bits(bits: int) -> int:
    """1 / (1 + e^-x)."""
    x = number(bits)
    if x.fixed(0) >= 128:
        return 0 if x.negative else ONE

    def approximate(p: int) -> tuple[int, int]:
        n, e = exponential(-x.fixed(p), p)
        below = (1 << p) + (n >> -(e + p))  # 1 + e^-|x|
        return ((n << p) // below, e) if x.negative else ((1 << 2 * p) // below, -p)

    return decide(approximate)


BITS: dict[str, Bits] = {
    "sqrt": sqrt_bits,
    "rsqrt": rsqrt_bits,
    "exp": exp_bits,
    "exp2": exp2_bits,
    "expm1": expm1_bits,
    "log": log_bits,
    "log2": log2_bits,
    "log10": log10_bits,
    "log1p": log1p_bits,
    "sin": sin_bits,
    "cos": cos_bits,
    "tanh": tanh_bits,
    "erf": erf_bits,
    "sigmoid": sigmoid_bits,
}
