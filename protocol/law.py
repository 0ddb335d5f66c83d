"""What a job computes, for the game: the leaves of a step, and what the referee is asked about any place of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from engine.data import LOADS_AS, Field, fields_from_bytes
from engine.encoding import program_from_bytes, program_hash
from engine.entries import entry_hash, step_entries
from engine.job import state_types
from engine.job_id import Job, job_from_bytes
from engine.merkle import LEAF_SIZE, root_of
from engine.program import Input, Node, Program
from kernels.types import TensorType
from protocol.game.params import Point
from protocol.operands import Operands, tensor_operand
from protocol.referee.geometry import copy_source, size_of
from protocol.referee.question import Operand, Question


class ProgramLaw:
    """The law of one job."""

    def __init__(self, job: Job, program: Program, fields: tuple[Field, ...]) -> None:
        self.start, self.steps, self.intervals = job.start, job.steps, job.intervals
        self.job, self.program = job, program
        self.table = step_entries(program)
        self.entries = len(self.table)
        self.slots = list(state_types(program).items())
        self.fields = {
            value.name: require_loadable(fields, job, value) for value in program.inputs if value.role == "batch"
        }

    @cached_property
    def _operands(self) -> Operands:
        return Operands(self.job, self.program, self.table, self.slots)

    def leaf(self, entry: int, value: bytes) -> bytes:
        """The leaf hash of a step's entry whose root is `value`."""
        return entry_hash(self.table[entry], value)

    def size(self, entry: int) -> int:
        """The leaves under an entry's root: of 1 KiB of its array, of the post-state its slots."""
        type_ = self.table[entry].type
        return len(self.slots) if type_ is None else -(-type_.bytes // LEAF_SIZE)

    def leaf_bytes(self, entry: int, leaf: int) -> int:
        """The length of a leaf of an entry's array; 0 for the post-state, whose leaves are compared by their hashes."""
        type_ = self.table[entry].type
        return 0 if type_ is None else min(LEAF_SIZE, type_.bytes - leaf * LEAF_SIZE)

    def dtype(self, entry: int) -> str:
        """The dtype of an entry's array."""
        return self._type(entry).dtype

    def _type(self, entry: int) -> TensorType:
        type_ = self.table[entry].type
        assert type_ is not None, "only the post-state has no type, and no element"
        return type_

    def node(self, entry: int) -> Node:
        """The node that an entry of kind scale or node belongs to."""
        return self.program.nodes[self.table[entry].number - self.program.first_node]

    def name(self, entry: int) -> str:
        """What stands at an entry, for a reader."""
        item = self.table[entry]
        match item.kind:
            case "batch":
                return f"batch input {self.program.inputs[item.number].name}"
            case "slot":
                return f"slot {self.slots[item.number][0]} of the state after the step"
            case "state":
                return "state after the step"
        place = f"node %{item.number} = {self.node(entry).op}"
        return place if item.kind == "node" else f"maxima of operand {item.operand} of {place}"

    def question(self, point: Point) -> Question:
        """What the referee is asked about a place."""
        entry = self.table[point.entry]
        match entry.kind:
            case "state":
                return self._state(point)
            case "batch":
                return self._batch(point, self.program.inputs[entry.number])
            case "slot":
                return self._copy(point, {"at": point.element}, self._operands.of_entry(point)[0])
            case "scale":
                node = self.node(point.entry)
                attributes = {**node.attributes, "for": node.op, "of": entry.operand}
                return self._asked(point, "scale", attributes, self._operands.of_entry(point))
        return self._node(point, self.node(point.entry))

    def _asked(
        self, point: Point, op: str, attributes: Mapping[str, Any], operands: tuple[Operand, ...], **more: Any
    ) -> Question:
        type_ = self._type(point.entry)
        return Question(
            phase=point.phase,
            op=op,
            attributes=attributes,
            dtype=type_.dtype,
            shape=type_.shape,
            element=point.element,
            operands=operands,
            scales=more.pop("scales", ()),
            output=tensor_operand(type_, point.tensor),
            claims=point.claims,
            facts=point.facts,
            term=point.term,
            prover=point.prover,
            before=self._operands.before(point),
        )

    def _node(self, point: Point, node: Node) -> Question:
        operands = self._operands.of_entry(point)
        if node.op in ("concat", "pad", "iota") and size_of(self._type(point.entry).shape):
            shapes = tuple(operand.seen for operand in operands)
            which, at = copy_source(node.op, point.element, shapes, self._type(point.entry).shape, node.attributes)
            number = Operand("number", self.dtype(point.entry), (), bits=at)
            return self._copy(point, {"at": at}, operands[which] if which >= 0 else number)
        return self._asked(point, node.op, node.attributes, operands, scales=self._operands.scales_of(point))

    def _copy(self, point: Point, attributes: Mapping[str, Any], operand: Operand) -> Question:
        return self._asked(point, "copy", attributes, (operand,))

    def _batch(self, point: Point, value: Input) -> Question:
        field = self.fields[value.name]
        record = size_of(field.record_shape)
        attributes = {
            "record_size": record,
            "stride": record if field.kind == "rows" else field.stride,
            "records": self.job.records,
            "seed": self.job.seed,
            "position": point.step * self.job.batch_size,
        }
        stored = Operand("tensor", field.dtype, field.shape, anchor=field.root)
        return self._asked(point, "batch", attributes, (stored,))

    def _state(self, point: Point) -> Question:
        name, type_ = self.slots[point.element]
        described = Operand("slot", type_.dtype, type_.shape, label=(name,))
        return Question(
            phase=point.phase,
            op="state",
            attributes={},
            dtype="int64",
            shape=(len(self.slots),),
            element=point.element,
            operands=(self._operands.of_slot(point),),
            scales=(),
            output=described,
            claims=point.claims,
            prover=point.prover,
            before=self._operands.before(point),
        )


def require_loadable(fields: tuple[Field, ...], job: Job, value: Input) -> Field:
    """The field that a batch input loads; a ValueError where the data set has none that fits."""
    for field in fields:
        shape = (job.batch_size, *field.record_shape)
        loads = value.type.shape == shape and value.type.dtype in LOADS_AS[field.dtype]
        if field.name == value.name and field.records == job.records >= 1 and loads:
            return field
    raise ValueError(f"job: the data set has no field that loads as batch input {value.name!r} of type {value.type}")


@lru_cache(maxsize=64)
def law_of(job: bytes, program: bytes, data: bytes) -> ProgramLaw:
    """The law of a job's canonical bytes; a ValueError where one is invalid or they do not fit."""
    parsed, content, fields = job_from_bytes(job), program_from_bytes(program), fields_from_bytes(data)
    if program_hash(content) != parsed.program:
        raise ValueError(f"job: program is {program_hash(content).hex()}, want {parsed.program.hex()}")
    root = root_of([field.hash for field in fields])
    if root != parsed.data:
        raise ValueError(f"job: data root is {root.hex()}, want {parsed.data.hex()}")
    return ProgramLaw(parsed, content, fields)
