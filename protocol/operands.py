"""Where the operands of a step's entries are committed to, as the referee reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod

import numpy as np

from engine.entries import Source, TraceEntry, entry_index, sources
from engine.job_id import Job
from engine.program import Program
from engine.state import tensor_root
from kernels.types import NUMPY_DTYPE, TensorType
from protocol.game.params import Point
from protocol.referee.geometry import Layout
from protocol.referee.question import Operand


def tensor_operand(type_: TensorType, root: bytes) -> Operand:
    """A tensor that is known by its root."""
    return Operand("tensor", type_.dtype, type_.shape, anchor=root)


class Operands:
    """The operands of one job's entries. Everything but the roots is fixed when the job is posted."""

    def __init__(
        self, job: Job, program: Program, table: Sequence[TraceEntry], slots: Sequence[tuple[str, TensorType]]
    ) -> None:
        self.job, self.program, self.table, self.slots = job, program, table, slots
        self._constant = cache(self._constant_operand)

    def of_entry(self, point: Point) -> tuple[Operand, ...]:
        """The operands of an entry of kind scale, node or slot."""
        return tuple(self._operand(point, source) for source in sources(self.program, self.table[point.entry]))

    def of_slot(self, point: Point) -> Operand:
        """What a slot of the state after the step is: an entry, an old slot, or a number."""
        source = sources(self.program, self.table[-1])[point.element]
        if source.kind in ("step", "seed"):
            number = point.step + 1 if source.kind == "step" else self.job.seed
            return Operand("number", "int64", (), bits=number % 2**64)
        return self._operand(point, source)

    def scales_of(self, point: Point) -> tuple[Operand, ...]:
        """The committed maxima that stand right before a node's entry."""
        number = self.table[point.entry].number
        index = entry_index(self.program)
        found = [index[key] for operand in range(3) if (key := ("scale", number, operand)) in index]
        return tuple(self._entry(point, place) for place in found)

    def before(self, point: Point) -> Operand | None:
        """The entry before: where it has no value, neither has this one. Before the first stands the state."""
        if point.phase != "fault":
            return None
        if point.entry == 0:
            return Operand("tensor", "uint8", (), anchor=point.start)
        return self._entry(point, point.entry - 1)

    def _entry(self, point: Point, index: int, layouts: tuple[Layout, ...] = ()) -> Operand:
        entry = self.table[index]
        assert index < point.entry, "a program has no cycles, so an operand's entry comes earlier"
        assert entry.type is not None, "the post-state comes last"
        label = (entry.kind, entry.number, entry.operand)
        where = index, len(self.table), point.root
        return Operand("entry", entry.type.dtype, entry.type.shape, layouts, label, *where)

    def _operand(self, point: Point, source: Source) -> Operand:
        layouts = tuple(self._layout(number) for number in source.layout)
        match source.kind:
            case "entry" | "batch":
                return self._entry(point, source.index, layouts)
            case "state":
                name, type_ = self.slots[source.index]
                where = source.index, len(self.slots), point.start
                return Operand("slot", type_.dtype, type_.shape, layouts, (name,), *where)
            case "constant":
                return self._constant(source.number, layouts)
            case "schedule":
                return self._scheduled(point, source)
        number = {"step": point.step, "seed": self.job.seed, "micro_batch": 0}[source.kind]
        return Operand("number", "int64", (), bits=number % 2**64)

    def _scheduled(self, point: Point, source: Source) -> Operand:
        """One number of a schedule: the array of all steps, and the one element of it behind layouts."""
        inputs = self.program.inputs_of("schedule")
        value, whole = inputs[source.index], (self.job.steps,)
        layouts = (
            Layout("slice", whole, (1,), (point.step, 1)),
            Layout("reshape", (1,), (), ()),
            *(self._layout(number) for number in source.layout),
        )
        where = source.index, len(inputs), self.job.schedule
        return Operand("slot", value.type.dtype, whole, layouts, (value.name,), *where)

    def _constant_operand(self, number: int, layouts: tuple[Layout, ...]) -> Operand:
        """A constant of the program: a number, where all its elements are one, otherwise a tensor by its root."""
        constant = self.program.constants[number - self.program.first_constant]
        type_, item = constant.type, NUMPY_DTYPE[constant.type.dtype].itemsize
        first = constant.data[:item]
        if constant.data == first * prod(type_.shape):
            return Operand("number", type_.dtype, type_.shape, layouts, bits=int.from_bytes(first, "little"))
        array = np.frombuffer(constant.data, NUMPY_DTYPE[type_.dtype]).reshape(type_.shape)
        return Operand("tensor", type_.dtype, type_.shape, layouts, anchor=tensor_root(array, "portable"))

    def _layout(self, number: int) -> Layout:
        node = self.program.nodes[number - self.program.first_node]
        before, after = self.program.types[node.operands[0]].shape, self.program.types[number].shape
        attributes = node.attributes
        numbers: tuple[int, ...] = ()
        if node.op == "permute":
            numbers = tuple(attributes["axes"])
        elif node.op == "slice":
            numbers = (*attributes["start"], *attributes["step"])
        return Layout(node.op, before, after, numbers)
