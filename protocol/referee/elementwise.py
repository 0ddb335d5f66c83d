"""Every elementwise operator of the law on bit patterns, and the orders by which elements are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from protocol.referee import float32, integers
from protocol.referee.float32 import INFINITY, MAGNITUDE, SIGN, is_nan
from protocol.referee.functions import FUNCTIONS
from protocol.referee.integers import BITS, signed, wrapped

ROUNDINGS = ("floor", "ceil", "trunc", "round")
COMPARISONS = ("eq", "lt", "le")
EXTREMES = ("maximum", "minimum")
FLOATS: dict[str, Callable[..., int]] = {
    "add": float32.add,
    "sub": float32.sub,
    "mul": float32.mul,
    "div": float32.div,
    "neg": float32.neg,
    "abs": lambda x: x & MAGNITUDE,
    **FUNCTIONS,
}
INTEGERS: dict[str, Callable[..., int]] = {
    "add": lambda dtype, x, y: wrapped(dtype, x + y),
    "sub": lambda dtype, x, y: wrapped(dtype, x - y),
    "mul": lambda dtype, x, y: wrapped(dtype, x * y),
    "neg": lambda dtype, x: wrapped(dtype, -x),
    "abs": lambda dtype, x: wrapped(dtype, abs(signed(dtype, x))),
    "floor_divide": integers.floor_divide,
    "remainder": integers.remainder,
    "bit_and": lambda dtype, x, y: x & y,
    "bit_or": lambda dtype, x, y: x | y,
    "bit_xor": lambda dtype, x, y: x ^ y,
    "bit_not": lambda dtype, x: wrapped(dtype, ~x),
    "shift_left": integers.shift_left,
    "shift_right": integers.shift_right,
}
OPERATORS = (*{**FLOATS, **INTEGERS}, *ROUNDINGS, *COMPARISONS, *EXTREMES, "select", "cast")


def value(op: str, dtype: str, operands: Sequence[int], attributes: Mapping[str, Any]) -> int:
    """The bit pattern of one element. dtype: of the operands; of a selection, of the condition, which is bool."""
    if op == "select":
        return operands[1] if operands[0] else operands[2]
    if op == "cast":
        return cast(dtype, attributes["dtype"], operands[0])
    if op in ROUNDINGS:
        return float32.round_to_integer(op, operands[0])
    if op in COMPARISONS:
        return int(_compared(op, dtype, *operands))
    if op in EXTREMES:
        return _extreme("amax" if op == "maximum" else "amin", dtype, *operands)
    return FLOATS[op](*operands) if dtype == "float32" else INTEGERS[op](dtype, *operands)


def _compared(op: str, dtype: str, x: int, y: int) -> bool:
    if dtype == "float32" and (is_nan(x) or is_nan(y)):
        return False
    one, other = key("argmax", dtype, x), key("argmax", dtype, y)
    return one == other if op == "eq" else one < other if op == "lt" else one <= other


def _extreme(kind: str, dtype: str, x: int, y: int) -> int:
    return x if key(kind, dtype, x) >= key(kind, dtype, y) else y


def key(kind: str, dtype: str, bits: int) -> int:
    """A number by which elements are ordered.

    amax, amin:      the larger key is the maximum, or minimum: a NaN above everything, the zeros apart
    argmax, argsort: a NaN above everything, both zeros equal
    """
    if dtype != "float32":
        return -signed(dtype, bits) if kind == "amin" else signed(dtype, bits)
    if is_nan(bits):
        return INFINITY + 2  # in amin an infinity is INFINITY + 1
    magnitude = bits & MAGNITUDE
    if kind in ("amax", "amin"):
        place = -magnitude - 1 if bits & SIGN else magnitude
        return -place if kind == "amin" else place
    return -magnitude if bits & SIGN else magnitude


def cast(dtype: str, target: str, bits: int) -> int:
    """An element in another dtype."""
    if target == "bool":
        return int(bits & MAGNITUDE != 0 if dtype == "float32" else bits != 0)
    if dtype == "float32":
        return bits if target == "float32" else wrapped(target, _truncated(target, bits))
    number = signed(dtype, bits)
    if target != "float32":
        return wrapped(target, number)
    return float32.nearest(abs(number), 0) | (SIGN if number < 0 else 0)


def _truncated(target: str, bits: int) -> int:
    """A float32 as an integer of a dtype: toward zero, saturated, NaN to 0."""
    if is_nan(bits):
        return 0
    width = BITS[target]
    least, most = (0, (1 << width) - 1) if target == "uint32" else (-(1 << width - 1), (1 << width - 1) - 1)
    if bits & MAGNITUDE == INFINITY:
        return least if bits & SIGN else most
    m, e = float32.value_of(bits)
    whole = abs(m) << e if e >= 0 else abs(m) >> -e
    return min(max(-whole if m < 0 else whole, least), most)
