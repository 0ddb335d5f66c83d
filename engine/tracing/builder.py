"""A program under construction: values with broadcasting arithmetic, shared subexpressions and folded constants.

Broadcasting and scalars are the builder's: each becomes explicit `broadcast` nodes and constants. Numbering follows the
order of construction, so equal steps give equal programs whatever the process or its hash seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.program import Constant, Input, Node, Output, Program, verify
from engine.tracing.fold import compact, fold
from engine.tracing.simplify import trivial_value
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

    def made_by(self, value: Value) -> Node | None:
        """The node that computes a value, its operands in the builder's numbers."""
        what = self._what[value.number]
        return what if isinstance(what, Node) else None

    def value(self, number: int) -> Value:
        """The value of a number."""
        return Value(self, number, self._types[number])

    def known(self, value: Value) -> Array | None:
        """The array of a value that does not depend on any input, where it is small enough to be known."""
        return self._known.get(value.number)

    # Operators

    def emit(self, op: str, operands: Sequence[Value], **attributes: Any) -> Value:
        """One operator of the law, or a value that is already there and equal to it."""
        trivial = trivial_value(op, operands, attributes)
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
