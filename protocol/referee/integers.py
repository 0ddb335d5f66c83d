"""Integers of a dtype as bit patterns: two's complement, wrapping."""

from __future__ import annotations

from protocol.referee.fault import Fault

BITS = {"int64": 64, "int32": 32, "uint32": 32, "bool": 1}
SIGNED = ("int64", "int32")


def signed(dtype: str, bits: int) -> int:
    """The integer of a bit pattern."""
    width = BITS[dtype]
    return bits - (1 << width) if dtype in SIGNED and bits >> width - 1 else bits


def wrapped(dtype: str, number: int) -> int:
    """The bit pattern of an integer modulo 2^bits."""
    return number & (1 << BITS[dtype]) - 1


def floor_divide(dtype: str, x: int, y: int) -> int:
    """x / y toward minus infinity."""
    return wrapped(dtype, _divided(dtype, x, y)[0])


def remainder(dtype: str, x: int, y: int) -> int:
    """x - y * floor(x / y): it has y's sign."""
    return wrapped(dtype, _divided(dtype, x, y)[1])


def _divided(dtype: str, x: int, y: int) -> tuple[int, int]:
    if y == 0:
        raise Fault("an integer is divided by zero")
    return divmod(signed(dtype, x), signed(dtype, y))


def shift_left(dtype: str, x: int, amount: int) -> int:
    """x * 2^amount, wrapped; an amount outside [0, bits) gives 0."""
    by = signed(dtype, amount)
    return wrapped(dtype, x << by) if 0 <= by < BITS[dtype] else 0


def shift_right(dtype: str, x: int, amount: int) -> int:
    """x / 2^amount toward minus infinity; an amount outside [0, bits) gives what the largest would leave: 0 or -1."""
    by, number = signed(dtype, amount), signed(dtype, x)
    return wrapped(dtype, number >> by if 0 <= by < BITS[dtype] else -(number < 0))
