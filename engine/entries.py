"""The trace of a step as a static table: what is committed, in which order, and where each operand comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from engine.canonical import to_canonical
from engine.merkle import leaf_hash, root_of
from engine.program import Node, Program
from kernels import spec
from kernels.types import TensorType

EntryKind = Literal["batch", "scale", "node", "slot", "state"]
SourceKind = Literal["entry", "state", "batch", "schedule", "constant", "step", "seed", "micro_batch"]


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One committed value of a step.

    kind:    batch: a loaded batch input; scale: the maxima of one quantised operand of a node; node: a node's result;
             slot: a slot of the next state that no entry or old slot is as it stands; state: the post-state root, last
    number:  the program's value number of the input or node; of a slot its place in the state; 0 for state
    operand: the operand that a scale belongs to; 0 otherwise
    type:    the array's type; None for state, whose root is the state root itself
    """

    kind: EntryKind
    number: int
    operand: int
    type: TensorType | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where an operand comes from once layout nodes are followed back.

    index:  entry, batch: the index of the trace entry; state: the slot; constant: the value number; schedule: its
            place among the program's schedule inputs; otherwise 0
    number: the program's value number of that value
    layout: the layout nodes to apply to it, first to last, to reach the operand
    """

    kind: SourceKind
    index: int
    number: int
    layout: tuple[int, ...]


def is_layout(node: Node) -> bool:
    """Whether a node is an index map, which leaves no entry in a trace."""
    return spec.is_layout(node.op)


@lru_cache(maxsize=16)
def step_entries(program: Program) -> tuple[TraceEntry, ...]:
    """The trace of every step of a program: batch inputs, then per node its scales and itself, last the post-state."""
    types = program.types
    inputs = enumerate(program.inputs)
    entries = [TraceEntry("batch", number, 0, value.type) for number, value in inputs if value.role == "batch"]
    for number, node in program.numbered_nodes():
        if not is_layout(node):
            scales = scale_types(node, [types[operand] for operand in node.operands])
            entries += [TraceEntry("scale", number, operand, type_) for operand, type_ in scales]
            entries.append(TraceEntry("node", number, 0, types[number]))
    slots = [(place, output.value) for place, output in enumerate(program.outputs_of("state"))]
    entries += [
        TraceEntry("slot", place, 0, types[value]) for place, value in slots if not _is_committed(program, value)
    ]
    return (*entries, TraceEntry("state", 0, 0, None))


def _is_committed(program: Program, number: int) -> bool:
    """Whether an entry or a slot of the state before holds a value as it stands, without a layout between."""
    if number >= program.first_node:
        return not is_layout(program.nodes[number - program.first_node])
    return number < len(program.inputs) and program.inputs[number].role in ("batch", "state")


def scale_types(node: Node, types: Sequence[TensorType]) -> list[tuple[int, TensorType]]:
    """(operand, type of its maxima) for each operand that a node quantises; docs/numerics.md, last table."""
    return [(operand, TensorType("uint32", shape)) for operand, shape in _scale_shapes(node, types)]


def scale_count(program: Program, number: int) -> int:
    """How many scale entries stand right before a node's entry."""
    index = entry_index(program)
    return sum(("scale", number, operand) in index for operand in range(3))


def _scale_shapes(node: Node, types: Sequence[TensorType]) -> list[tuple[int, tuple[int, ...]]]:
    shapes = [type_.shape for type_ in types]
    floats = bool(types) and types[0].dtype == "float32"
    match node.op:
        case "sum" if floats:
            return [(0, tuple(s for axis, s in enumerate(shapes[0]) if axis not in node.attributes["axes"]))]
        case "cumsum" if floats:
            return [(0, tuple(s for axis, s in enumerate(shapes[0]) if axis != node.attributes["axis"]))]
        case "matmul":
            return [(0, shapes[0][:-1]), (1, (*shapes[1][:-2], shapes[1][-1]))]
        case "conv":
            return [(0, (shapes[0][0], node.attributes["groups"])), (1, shapes[1][:1])]
        case "conv_grad_input":
            return [(0, (shapes[0][0], node.attributes["groups"])), (1, (node.attributes["groups"], shapes[1][1]))]
        case "conv_grad_weight":
            return [(0, shapes[0][1:2]), (1, shapes[1][1:2])]
        case "add_rows" | "scatter_add" if floats:
            return [(2, ())]
    return []


def entry_hash(entry: TraceEntry, root: bytes) -> bytes:
    """The leaf hash of an entry: canonical CBOR of [kind, number, operand, dtype, shape, root]."""
    dtype, shape = (None, None) if entry.type is None else (entry.type.dtype, list(entry.type.shape))
    return leaf_hash(to_canonical([entry.kind, entry.number, entry.operand, dtype, shape, root]))


def trace_root(entries: Sequence[TraceEntry], roots: Sequence[bytes]) -> bytes:
    """The root over a step's entries."""
    return root_of([entry_hash(entry, root) for entry, root in zip(entries, roots, strict=True)])


def sources(program: Program, entry: TraceEntry) -> tuple[Source, ...]:
    """Where each operand of an entry comes from.

    node: its operands; scale: the one operand; batch: none (the data set, seed and step decide it); slot: the output;
    state: what holds each slot as it stands, then `step` (the post-state holds step + 1) and `seed`.
    """
    if entry.kind == "batch":
        return ()
    outputs = [output.value for output in program.outputs_of("state")]
    if entry.kind == "slot":
        return (source_of(program, outputs[entry.number]),)
    if entry.kind == "state":
        held = tuple(_holder(program, place, value) for place, value in enumerate(outputs))
        return (*held, Source("step", len(held), -1, ()), Source("seed", len(held) + 1, -1, ()))
    operands = program.nodes[entry.number - program.first_node].operands
    if entry.kind == "scale":
        operands = (operands[entry.operand],)
    return tuple(source_of(program, operand) for operand in operands)


def _holder(program: Program, place: int, value: int) -> Source:
    """The entry or slot whose root is the root of a slot of the next state."""
    if _is_committed(program, value):
        return source_of(program, value)
    return Source("entry", entry_index(program)["slot", place, 0], value, ())


def source_of(program: Program, number: int) -> Source:
    """Where a value comes from: the last value before it that is no layout node, and the layout nodes between."""
    layout: list[int] = []
    while number >= program.first_node and is_layout(node := program.nodes[number - program.first_node]):
        layout.insert(0, number)
        number = node.operands[0]
    if number >= program.first_node:
        return Source("entry", entry_index(program)["node", number, 0], number, tuple(layout))
    if number >= program.first_constant:
        return Source("constant", number, number, tuple(layout))
    return _input_source(program, number, tuple(layout))


def _input_source(program: Program, number: int, layout: tuple[int, ...]) -> Source:
    role = program.inputs[number].role
    if role == "batch":
        return Source("batch", entry_index(program)["batch", number, 0], number, layout)
    if role in ("state", "schedule"):
        place = [value.name for value in program.inputs_of(role)].index(program.inputs[number].name)
        return Source(role, place, number, layout)  # type: ignore[arg-type]
    if role in ("step", "seed"):
        return Source(role, len(program.inputs_of("state")) + (role == "seed"), number, layout)  # type: ignore[arg-type]
    return Source("micro_batch", 0, number, layout)


@lru_cache(maxsize=16)
def entry_index(program: Program) -> dict[tuple[str, int, int], int]:
    """(kind, number, operand) -> the index of that entry in the trace."""
    return {(e.kind, e.number, e.operand): index for index, e in enumerate(step_entries(program))}
