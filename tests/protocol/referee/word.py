"""An integer as a contract has it: every result of its arithmetic must fit 256 bits with a sign."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

LIMIT = 2**255
BINARY = "add sub mul floordiv mod lshift rshift and or xor".split()
UNARY = "neg abs invert".split()


class Overflow(Exception):
    """A number beyond 256 bits, a shift by 256 or more places, or one that was no integer operation."""


class Word(int):
    """An int whose operations refuse results outside [-2^255, 2^255) and give Words again."""


def _fits(value: int) -> Word:
    if not -LIMIT <= value < LIMIT:
        raise Overflow(f"got {value.bit_length()} bits, want at most 255 and a sign")
    return Word(value)


def _binary(name: str, swapped: bool) -> Callable[[Word, int], Word]:
    of_ints = getattr(operator, f"__{name}__")

    def apply(self: Word, other: int) -> Word:
        left, right = (int(other), int(self)) if swapped else (int(self), int(other))
        return _fits(of_ints(left, right))

    return apply


def _unary(name: str) -> Callable[[Word], Word]:
    of_int = getattr(operator, f"__{name}__")
    return lambda self: _fits(of_int(int(self)))


def _divmod(self: Word, other: int) -> tuple[Word, Word]:
    return self // other, self % other


def _no_float(self: Word, *other: Any) -> None:
    raise Overflow("the referee divides no fractions and takes no powers")


for name in BINARY:
    setattr(Word, f"__{name}__", _binary(name, False))
    setattr(Word, f"__r{name}__", _binary(name, True))
for name in UNARY:
    setattr(Word, f"__{name}__", _unary(name))
Word.__divmod__ = _divmod  # type: ignore[method-assign, assignment]
for name in ("truediv", "rtruediv", "float", "pow", "rpow"):
    setattr(Word, f"__{name}__", _no_float)
