"""The functions of the law on bit patterns: the float32 nearest to the mathematical value, decided and not assumed.

A second way to what kernels/exact/functions.py defines: one precision, 256 bits, bounded loops. Values that are ties or
float32 themselves are taken out beforehand; every other one is enclosed, and both ends must round alike.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.referee.fixed_point import number
from protocol.referee.float32 import INFINITY, NAN, SIGN, is_nan, nearest, sqrt, square_root
from protocol.referee.functions_exp import exp, exp2, expm1, sigmoid, tanh
from protocol.referee.functions_log import log, log1p, log2, log10
from protocol.referee.functions_trig import cos, erf, sin


def rsqrt(bits: int) -> int:
    """x^(-1/2): exact in integers, with a last bit for the remainder."""
    x = number(bits)
    if x.m == 0:
        return bits & SIGN | INFINITY
    if x.negative:
        return NAN
    if bits == INFINITY:
        return 0
    m = x.m << x.e % 2
    root = square_root((1 << 160) // m)
    return nearest(2 * root + (root * root * m != 1 << 160), -(x.e // 2) - 81)


def of_numbers(function: Callable[[int], int]) -> Callable[[int], int]:
    """The function with every NaN taken to the law's NaN."""
    return lambda bits: NAN if is_nan(bits) else function(bits)


FUNCTIONS: dict[str, Callable[[int], int]] = {
    function.__name__: of_numbers(function)
    for function in (sqrt, rsqrt, exp, exp2, expm1, log, log2, log10, log1p, sin, cos, tanh, erf, sigmoid)
}
