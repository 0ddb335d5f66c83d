"""A program under construction: values with broadcasting arithmetic, shared subexpressions and folded constants.

Broadcasting and scalars are the builder's: each becomes explicit `broadcast` nodes and constants. Numbering follows the
order of construction, so equal steps give equal programs whatever the process or its hash seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from engine.program import Constant, Input, Node, Output, Program, verify
from engine.tracing.fold import compact, distinct, fold
from kernels import spec
from kernels.types import CANONICAL_NAN, NUMPY_DTYPE, TensorType, type_of

Array = np.ndarray
Scalar = bool | int | float
Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """A value of the program under construction."""

    builder: Builder
    number: int
    type: TensorType

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    @property
    def dtype(self) -> str:
        return self.type.dtype

    def __add__(self, other: Operand) -> Value:
        return self.builder.binary("add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.builder.binary("sub", self, other)

    def __mul__(self, other: Operand) -> Value:
        return self.builder.binary("mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.builder.binary("div", self, other)

    def __radd__(self, other: Operand) -> Value:
        return self.builder.binary("add", other, self)

    def __rsub__(self, other: Operand) -> Value:
        return self.builder.binary("sub", other, self)

    def __rmul__(self, other: Operand) -> Value:
        return self.builder.binary("mul", other, self)

    def __rtruediv__(self, other: Operand) -> Value:
        return self.builder.binary("div", other, self)

    def __neg__(self) -> Value:
        return self.builder.emit("neg", [self])


Operand = Value | Scalar


class Builder:
    """Inputs, constants and nodes in the order in which they were asked for.

    width: of the products that are emitted next
    """

    def __init__(self) -> None:
        self.width = "narrow"
        self._types: list[TensorType] = []
        self._what: list[Input | Constant | Node] = []
        self._same: dict[Key, Value] = {}
        self._known: dict[int, Array] = {}

    # Values from nothing

    def input(self, name: str, role: str, type_: TensorType) -> Value:
        """A new input of the program."""
        return self._append(Input(name, role, type_), type_)

    def constant(self, array: Array) -> Value:
        """An array as part of the program; repeated axes are stored once."""
        small = compact(array)
        stored = self._constant(np.asarray(small, order="C"))
        return stored if small.shape == array.shape else self.broadcast(stored, array.shape)

    def full(self, value: Scalar, dtype: str, shape: Sequence[int]) -> Value:
        """A scalar, repeated."""
        one = np.array(value, np.float64 if dtype == "float32" else None)
        with np.errstate(over="ignore"):
            return self.constant(np.broadcast_to(one.astype(NUMPY_DTYPE[dtype]), tuple(shape)))

    def iota(self, shape: Sequence[int], axis: int) -> Value:
        """The index along an axis, int64."""
        return self.emit("iota", [], shape=tuple(shape), axis=axis, dtype="int64")

    def known(self, value: Value) -> Array | None:
        """The array of a value that does not depend on any input, where it is small enough to be known."""
        return self._known.get(value.number)

    # Operators

    def emit(self, op: str, operands: Sequence[Value], **attributes: Any) -> Value:
        """One operator of the law, or a value that is already there and equal to it."""
        trivial = _trivial(op, operands, attributes)
        if trivial is not None:
            return trivial
        numbers = tuple(value.number for value in operands)
        key = ("node", op, numbers, tuple(sorted(attributes.items())))
        if key not in self._same:
            self._same[key] = self._new(op, operands, numbers, attributes)
        return self._same[key]

    def binary(self, op: str, x: Operand, y: Operand) -> Value:
        """An elementwise operator of two operands, broadcast to each other; a scalar takes the other's dtype."""
        x, y = self.pair(x, y)
        return self.emit(op, [x, y])

    def pair(self, x: Operand, y: Operand) -> tuple[Value, Value]:
        """Both operands at their common shape."""
        if not isinstance(x, Value):
            assert isinstance(y, Value), "one of two operands is a value"
            return self.full(x, y.dtype, y.shape), y
        if not isinstance(y, Value):
            return x, self.full(y, x.dtype, x.shape)
        shape = np.broadcast_shapes(x.shape, y.shape)
        return self.expand(x, shape), self.expand(y, shape)

    def unary(self, op: str, x: Value) -> Value:
        """An elementwise operator of one operand."""
        return self.emit(op, [x])

    def select(self, condition: Value, a: Operand, b: Operand) -> Value:
        """a where condition, else b; all three broadcast to each other."""
        a, b = self.pair(a, b)
        shape = np.broadcast_shapes(condition.shape, a.shape)
        return self.emit("select", [self.expand(value, shape) for value in (condition, a, b)])

    def cast(self, x: Value, dtype: str) -> Value:
        """x as another dtype."""
        return self.emit("cast", [x], dtype=dtype)

    # Layout

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The same elements in another shape."""
        return self.emit("reshape", [x], shape=tuple(shape))

    def permute(self, x: Value, axes: Sequence[int]) -> Value:
        """Axis i of the result is axis axes[i] of x."""
        return self.emit("permute", [x], axes=tuple(axis % max(x.rank, 1) for axis in axes))

    def swap(self, x: Value, first: int = -1, second: int = -2) -> Value:
        """x with two axes exchanged."""
        axes = list(range(x.rank))
        axes[first], axes[second] = axes[second], axes[first]
        return self.permute(x, axes)

    def broadcast(self, x: Value, shape: Sequence[int]) -> Value:
        """Axes of size 1 repeated, at equal rank."""
        return self.emit("broadcast", [x], shape=tuple(shape))

    def expand(self, x: Value, shape: Sequence[int]) -> Value:
        """x repeated to a shape by torch's rule: missing leading axes count as 1."""
        return self.broadcast(self.reshape(x, (1,) * (len(shape) - x.rank) + x.shape), shape)

    def slice(self, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """A half-open range along one axis."""
        starts, stops, steps = [0] * x.rank, list(x.shape), [1] * x.rank
        starts[axis], stops[axis], steps[axis] = start, max(start, stop), step
        return self.emit("slice", [x], start=tuple(starts), stop=tuple(stops), step=tuple(steps))

    def pad(self, x: Value, low: Sequence[int], high: Sequence[int], fill: Scalar = 0) -> Value:
        """x with elements of one value before and after it on each axis."""
        return self.emit("pad", [x, self.full(fill, x.dtype, ())], low=tuple(low), high=tuple(high))

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """The operands one after the other along an axis."""
        return values[0] if len(values) == 1 else self.emit("concat", list(values), axis=axis)

    # Construction

    def _constant(self, array: Array) -> Value:
        type_ = type_of(array)
        if type_.dtype == "float32":
            array = np.where(np.isnan(array), np.array(CANONICAL_NAN, "<u4").view("<f4"), array)
        key = ("constant", type_, array.tobytes())
        if key not in self._same:
            self._same[key] = self._append(Constant(type_, array.tobytes()), type_)
            self._known[self._same[key].number] = array
        return self._same[key]

    def _new(self, op: str, operands: Sequence[Value], numbers: tuple[int, ...], attributes: dict[str, Any]) -> Value:
        arrays = [self._known[number] for number in numbers if number in self._known]
        known = len(arrays) == len(numbers)
        value = fold(op, arrays, attributes) if known else None
        if value is not None:
            return self.constant(value)
        type_ = spec.infer(op, [operand.type for operand in operands], attributes)
        node = self._append(Node(op, numbers, attributes), type_)
        if known and op == "broadcast":
            self._known[node.number] = np.broadcast_to(arrays[0], type_.shape)
        return node

    def _append(self, what: Input | Constant | Node, type_: TensorType) -> Value:
        self._what.append(what)
        self._types.append(type_)
        return Value(self, len(self._what) - 1, type_)

    # The finished program

    def program(self, outputs: Sequence[tuple[str, str, Value]]) -> Program:
        """The verified program of (name, role, value) outputs: every input, and what an output or a fault needs."""
        needed = self._needed([value.number for _, _, value in outputs])
        order = [n for kind in (Input, Constant, Node) for n in needed if isinstance(self._what[n], kind)]
        renumber = {old: new for new, old in enumerate(order)}
        found = [self._what[number] for number in order]
        nodes = (Node(w.op, tuple(renumber[o] for o in w.operands), w.attributes) for w in found if isinstance(w, Node))
        return verify(
            Program(
                inputs=tuple(what for what in found if isinstance(what, Input)),
                constants=tuple(what for what in found if isinstance(what, Constant)),
                nodes=tuple(nodes),
                outputs=tuple(Output(name, role, renumber[value.number]) for name, role, value in outputs),
            )
        )

    def _needed(self, roots: Sequence[int]) -> list[int]:
        needed = [False] * len(self._what)
        for number in roots:
            needed[number] = True
        for number in reversed(range(len(self._what))):
            what = self._what[number]
            needed[number] |= isinstance(what, Input) or (isinstance(what, Node) and spec.OPERATORS[what.op].can_fault)
            if needed[number] and isinstance(what, Node):
                for operand in what.operands:
                    needed[operand] = True
        return [number for number, is_needed in enumerate(needed) if is_needed]


def _trivial(op: str, operands: Sequence[Value], attributes: Mapping[str, Any]) -> Value | None:
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
    before = x.builder._what[x.number]
    if not isinstance(before, Node) or before.op != op:
        return None
    source = Value(x.builder, before.operands[0], x.builder._types[before.operands[0]])
    if op == "permute":
        return x.builder.permute(source, [before.attributes["axes"][axis] for axis in attributes["axes"]])
    return x.builder.emit(op, [source], shape=attributes["shape"])


def _word(x: Value) -> Value | None:
    """The uint32 that x holds as int64."""
    before = x.builder._what[x.number]
    if x.dtype != "int64" or not isinstance(before, Node) or before.op != "cast":
        return None
    source = Value(x.builder, before.operands[0], x.builder._types[before.operands[0]])
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


def elements(shape: Sequence[int]) -> int:
    """How many elements a shape holds."""
    return prod(shape)
