"""Double arithmetic that numba lacks: a fused multiply-add that is fused, bit casts, polynomials by Horner's rule.

Compiled code is cached per source file, so a file that defines kernels keeps its own constants; this one has none.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ROUND = 1.5 * 2.0**52  # added to a double below 2^51, it leaves the nearest integer in the low bits
NAN = np.float32(np.nan)  # 0x7fc00000
INFINITY = np.float32(np.inf)

# No fastmath: it contracts and reorders. Division by zero is IEEE's, not Python's.
kernel: Any = njit(nogil=True, cache=True, error_model="numpy")
instruction: Any = intrinsic  # untyped for mypy, which would count the typing context as an argument


@instruction
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c rounded once."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), emit


def bit_cast(source: Any, target: Any) -> Callable[..., Any]:
    """The function that reads the bits of one type as another."""

    @instruction
    def cast(typing: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), emit

    return cast


bits_of = bit_cast(types.float64, types.uint64)
double_of = bit_cast(types.uint64, types.float64)


def polynomial(coefficients: tuple[float, ...]) -> Callable[..., Any]:
    """The function c[0] + c[1] x + ... as one chain of fused multiply-adds."""

    @instruction
    def value(typing: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            constants = [ir.Constant(ir.DoubleType(), c) for c in coefficients]
            total = constants.pop()
            while constants:
                total = builder.fma(total, arguments[0], constants.pop())
            return total

        return types.float64(types.float64), emit

    return value


def step_at(ties: dict[int, int]) -> Callable[..., Any]:
    """The function (x, y) -> y, moved by the given steps in its last place where the bits of x are among the keys."""

    @instruction
    def value(typing: Any, x: Any, y: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            word = ir.IntType(32)
            bits, total = (builder.bitcast(argument, word) for argument in arguments)
            for pattern, step in ties.items():
                is_tie = builder.icmp_unsigned("==", bits, ir.Constant(word, pattern))
                total = builder.add(total, builder.select(is_tie, ir.Constant(word, step), ir.Constant(word, 0)))
            return builder.bitcast(total, ir.FloatType())

        return types.float32(types.float32, types.float32), emit

    return value


def doubles(text: str) -> tuple[float, ...]:
    """Hexadecimal doubles, separated by blanks."""
    return tuple(float.fromhex(word) for word in text.split())


@kernel
def limit(x, bound):
    """x in double with |x| at most the bound; a NaN passes through."""
    return min(max(np.float64(x), -bound), bound)


@kernel
def unless_nan(x, y):
    """y rounded to float32, or the law's NaN where x is one."""
    return np.float32(y) if x == x else NAN
