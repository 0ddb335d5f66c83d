"""Division, bits and shifts of integers, one element at a time, in Python's own integers."""

from __future__ import annotations

import numpy as np

from kernels.spec.operator import Array
from kernels.types import Fault


def floor_divide(x: Array, y: Array) -> Array:
    """The quotient rounded toward minus infinity.

    Value:    the largest integer q with q * y <= x for y > 0, q * y >= x for y < 0; it wraps
    Special:  a divisor 0 is a fault; the least integer divided by -1 gives itself
    """
    _refuse_zero("floor_divide", y)
    quotients = [int(a) // int(b) for a, b in zip(x.flat, y.flat, strict=True)]
    return wrapped(quotients, x)


def remainder(x: Array, y: Array) -> Array:
    """What floor_divide leaves.

    Value:    x - floor_divide(x, y) * y, which has the sign of y
    Special:  a divisor 0 is a fault; the least integer divided by -1 leaves 0
    """
    _refuse_zero("remainder", y)
    remainders = [int(a) % int(b) for a, b in zip(x.flat, y.flat, strict=True)]
    return wrapped(remainders, x)


def _refuse_zero(operator: str, divisor: Array) -> None:
    zeros = np.flatnonzero(np.ravel(divisor) == 0)
    if zeros.size:
        raise Fault(operator, int(zeros[0]), "division by zero")


def wrapped(values: list[int], like: Array) -> Array:
    """Python integers modulo 2^bits, in the dtype and shape of `like`."""
    bits = 8 * like.dtype.itemsize
    unsigned = np.array([value % 2**bits for value in values], dtype=np.uint64).astype(f"<u{like.dtype.itemsize}")
    return unsigned.view(like.dtype).reshape(like.shape)


def shift_left(x: Array, amount: Array) -> Array:
    """The bits moved toward the highest.

    Value:    x * 2^amount modulo 2^bits
    Special:  an amount outside [0, bits) gives 0
    """
    bits = 8 * x.dtype.itemsize
    return wrapped([int(a) << int(n) if 0 <= n < bits else 0 for a, n in zip(x.flat, amount.flat, strict=True)], x)


def shift_right(x: Array, amount: Array) -> Array:
    """The bits moved toward the lowest; the sign comes along.

    Value:    the floor of x / 2^amount
    Special:  an amount outside [0, bits) gives 0, or -1 where x is negative
    """
    bits = 8 * x.dtype.itemsize
    amounts = [int(n) if 0 <= n < bits else bits for n in amount.flat]
    return wrapped([int(a) >> n for a, n in zip(x.flat, amounts, strict=True)], x)


def bit_and(x: Array, y: Array) -> Array:
    """The bits that both hold.

    Value:    x & y, bit by bit; of bools, x and y
    """
    return np.bitwise_and(x, y)


def bit_or(x: Array, y: Array) -> Array:
    """The bits that one of them holds.

    Value:    x | y, bit by bit; of bools, x or y
    """
    return np.bitwise_or(x, y)


def bit_xor(x: Array, y: Array) -> Array:
    """The bits in which they differ.

    Value:    x ^ y, bit by bit; of bools, whether they differ
    """
    return np.bitwise_xor(x, y)


def bit_not(x: Array) -> Array:
    """The other bits.

    Value:    ~x, bit by bit; of bools, not x
    """
    return np.invert(x)
