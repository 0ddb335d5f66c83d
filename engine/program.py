"""The program: one training step as data, the rules it obeys and its text. docs/program.md is this file in words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kernels import spec
from kernels.types import NUMPY_DTYPE, TensorType

FORMAT = "isobit-program-1"
LAW = "isobit-law-1"
RESERVED_SLOTS = ("step", "seed")
INPUT_ROLES = ("state", "batch", "schedule", "step", "seed", "micro_batch")
OUTPUT_ROLES = ("state", "metric")
MAX_VALUES = 2**20
MAX_NAME = 256
SCALAR_INT64 = TensorType("int64", ())


@dataclass(frozen=True, slots=True)
class Input:
    """A value that changes between steps: a slot of the state, a batch array, a number per step."""

    name: str
    role: str
    type: TensorType


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is part of the program. data: the row-major little-endian bytes."""

    type: TensorType
    data: bytes


@dataclass(frozen=True, slots=True)
class Node:
    """One operator applied to earlier values. attributes: name -> int, str, bool or tuple of ints."""

    op: str
    operands: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """A value that leaves the step: the next content of a state slot of the same name, or a metric."""

    name: str
    role: str
    value: int


@dataclass(frozen=True)
class Program:
    """One step of a job. Values are numbered: inputs first, then constants, then nodes, in this order.

    A node reads values of lower numbers only, so a program has no cycles and its order is its numbering.
    """

    inputs: tuple[Input, ...]
    constants: tuple[Constant, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]

    def __hash__(self) -> int:
        """Cheap, because attributes are mappings and programs are large; equality compares everything."""
        return hash((len(self.inputs), len(self.constants), len(self.nodes), len(self.outputs)))

    @property
    def first_constant(self) -> int:
        return len(self.inputs)

    @property
    def first_node(self) -> int:
        return len(self.inputs) + len(self.constants)

    @cached_property
    def types(self) -> tuple[TensorType, ...]:
        """The type of every value; a ValueError that names the node where a rule is broken."""
        types = [value.type for value in self.inputs] + [value.type for value in self.constants]
        for number, node in enumerate(self.nodes, start=self.first_node):
            types.append(_node_type(number, node, types))
        return tuple(types)

    def inputs_of(self, role: str) -> tuple[Input, ...]:
        """The inputs with a role, in program order."""
        return tuple(value for value in self.inputs if value.role == role)

    def outputs_of(self, role: str) -> tuple[Output, ...]:
        """The outputs with a role, in program order."""
        return tuple(value for value in self.outputs if value.role == role)

    def numbered_nodes(self) -> Iterator[tuple[int, Node]]:
        """(value number, node) in program order."""
        return enumerate(self.nodes, start=self.first_node)


def _node_type(number: int, node: Node, types: list[TensorType]) -> TensorType:
    for operand in node.operands:
        if type(operand) is not int or not 0 <= operand < number:
            raise ValueError(
                f"program: node %{number} ({node.op}) reads %{operand}, want an earlier value (0 to {number - 1}):"
                " a program has no cycles"
            )
    try:
        return spec.infer(node.op, [types[operand] for operand in node.operands], node.attributes)
    except ValueError as error:
        raise ValueError(f"program: node %{number}: {error}") from None


def verify(program: Program) -> Program:
    """The same program, once every rule of docs/program.md holds; a ValueError names the first one broken."""
    count = len(program.inputs) + len(program.constants) + len(program.nodes)
    if count > MAX_VALUES:
        raise ValueError(f"program: got {count} values, want at most {MAX_VALUES}")
    _verify_inputs(program)
    _verify_constants(program)
    types = program.types
    _verify_outputs(program, types)
    return program


def _verify_inputs(program: Program) -> None:
    _verify_names("input", [value.name for value in program.inputs])
    for value in program.inputs:
        if value.role not in INPUT_ROLES:
            raise ValueError(f"program: input {value.name!r} has role {value.role!r}, want one of {INPUT_ROLES}")
        if value.role == "state" and value.name in RESERVED_SLOTS:
            raise ValueError(f"program: a state input is called {value.name!r}, a slot that every state has by itself")
        if value.role in ("step", "seed", "micro_batch") and value.type != SCALAR_INT64:
            raise ValueError(f"program: input {value.name!r} has type {value.type}, want {SCALAR_INT64}")
        if value.role == "schedule" and value.type.shape != ():
            raise ValueError(f"program: schedule {value.name!r} has type {value.type}, want rank 0")


def _verify_constants(program: Program) -> None:
    for number, constant in enumerate(program.constants, start=program.first_constant):
        if len(constant.data) != constant.type.bytes:
            raise ValueError(
                f"program: constant %{number} has {len(constant.data)} bytes,"
                f" want {constant.type.bytes} for {constant.type}"
            )
        _verify_constant_bits(number, constant)


def _verify_constant_bits(number: int, constant: Constant) -> None:
    array = np.frombuffer(constant.data, NUMPY_DTYPE[constant.type.dtype])
    if constant.type.dtype == "bool" and (array.view(np.uint8) > 1).any():
        raise ValueError(f"program: constant %{number} holds a bool that is neither 0 nor 1")
    if constant.type.dtype == "float32":
        bits = array.view(np.uint32)
        if ((bits & 0x7FFFFFFF > 0x7F800000) & (bits != 0x7FC00000)).any():
            raise ValueError(f"program: constant %{number} holds a NaN other than 0x7fc00000")


def _verify_outputs(program: Program, types: tuple[TensorType, ...]) -> None:
    _verify_names("output", [value.name for value in program.outputs])
    for value in program.outputs:
        if value.role not in OUTPUT_ROLES:
            raise ValueError(f"program: output {value.name!r} has role {value.role!r}, want one of {OUTPUT_ROLES}")
        if type(value.value) is not int or not 0 <= value.value < len(types):
            raise ValueError(f"program: output {value.name!r} is %{value.value!r}, want a value below {len(types)}")
    before = [(value.name, value.type) for value in program.inputs_of("state")]
    after = [(value.name, types[value.value]) for value in program.outputs_of("state")]
    if before != after:
        differs = (i for i, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
        place = next(differs, min(len(before), len(after)))
        shown = [f"{slots[place][0]} {slots[place][1]}" if place < len(slots) else "none" for slots in (before, after)]
        raise ValueError(f"program: state output {place} is {shown[1]}, want {shown[0]}: as the state inputs, in order")


def _verify_names(kind: str, names: list[str]) -> None:
    for name in names:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise ValueError(f"program: {kind} name {name!r}, want 1 to {MAX_NAME} printable characters")
    if len(set(names)) != len(names):
        raise ValueError(f"program: two {kind}s are called {next(n for n in names if names.count(n) > 1)!r}")


def to_text(program: Program) -> str:
    """The program for a reader: one value a line, as docs/program.md shows."""
    types = program.types
    lines = [f"%{i} = {v.role} {v.name} : {v.type}" for i, v in enumerate(program.inputs)]
    constants = enumerate(program.constants, program.first_constant)
    lines += [f"%{i} = constant {_preview(c)} : {c.type}" for i, c in constants]
    for number, node in program.numbered_nodes():
        operands = ", ".join(f"%{operand}" for operand in node.operands)
        attributes = "".join(f" {name}={_attribute(value)}" for name, value in sorted(node.attributes.items()))
        lines.append(f"%{number} = {node.op}({operands}){attributes} : {types[number]}")
    lines += [f"{value.role} {value.name} = %{value.value}" for value in program.outputs]
    return "\n".join(lines) + "\n"


def _attribute(value: Any) -> str:
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value)


def _preview(constant: Constant) -> str:
    if constant.type.size == 1:
        return repr(np.frombuffer(constant.data, NUMPY_DTYPE[constant.type.dtype])[0].item())
    return "sha256:" + hashlib.sha256(constant.data).hexdigest()[:16]
