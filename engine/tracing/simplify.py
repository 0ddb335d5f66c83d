"""Operators that would only repeat a value: what the builder gives instead of a new node, equal to the bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.tracing.fold import distinct

if TYPE_CHECKING:
    from engine.tracing.builder import Value


def trivial_value(op: str, operands: Sequence[Value], attributes: Mapping[str, Any]) -> Value | None:
    """The operand that an operator would only repeat, to the bit."""
    if not operands:
        return None
    x = operands[0]
    if op in ("reshape", "broadcast"):
        return x if x.shape == attributes["shape"] else _collapsed(op, x, attributes)
    if op == "permute":
        return x if attributes["axes"] == tuple(range(x.rank)) else _collapsed(op, x, attributes)
    if op == "slice":
        full = attributes["start"] == (0,) * x.rank and attributes["stop"] == x.shape and set(attributes["step"]) <= {1}
        return x if full else None
    if op == "cast":
        return x if x.dtype == attributes["dtype"] else _cast_of_word(x, attributes["dtype"])
    if op == "shift_right":
        return _shift_of_word(x, operands[1])
    if op == "pad":
        return x if not any(attributes["low"] + attributes["high"]) else None
    if op in ("mul", "div") and _is_all(operands[1], 1):
        return x
    if op == "mul" and _is_all(x, 1):
        return operands[1]
    if (op == "sub" and _is_all(operands[1], 0)) or (op == "add" and x.dtype != "float32" and _is_all(operands[1], 0)):
        return x
    return None


def _collapsed(op: str, x: Value, attributes: Mapping[str, Any]) -> Value | None:
    """A layout operator of the same kind over another: one of both."""
    before = x.builder.made_by(x)
    if before is None or before.op != op:
        return None
    source = x.builder.value(before.operands[0])
    if op == "permute":
        return x.builder.permute(source, [before.attributes["axes"][axis] for axis in attributes["axes"]])
    return x.builder.emit(op, [source], shape=attributes["shape"])


def _word(x: Value) -> Value | None:
    """The uint32 that x holds as int64."""
    before = x.builder.made_by(x)
    if x.dtype != "int64" or before is None or before.op != "cast":
        return None
    source = x.builder.value(before.operands[0])
    return source if source.dtype == "uint32" else None


def _cast_of_word(x: Value, dtype: str) -> Value | None:
    """Random bits pass through int64, which torch can shift; the program goes straight to float32."""
    word = _word(x)
    return x.builder.cast(word, dtype) if word is not None and dtype == "float32" else None


def _shift_of_word(x: Value, amount: Value) -> Value | None:
    word, known = _word(x), x.builder.known(amount)
    if word is None or known is None or not ((known >= 0) & (known < 32)).all():
        return None
    shifted = x.builder.emit("shift_right", [word, x.builder.cast(amount, "uint32")])
    return x.builder.cast(shifted, "int64")


def _is_all(x: Value, number: int) -> bool:
    known = x.builder.known(x)
    if known is None or known.size == 0:
        return False
    small = distinct(known)
    return small.size == 1 and small.item() == number and not np.signbit(np.float64(small.item()))
