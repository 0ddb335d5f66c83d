"""A program as canonical bytes, and back; the bytes' hash is the identity of the computation."""

from __future__ import annotations

import hashlib
from typing import Any

from engine.canonical import from_canonical, to_canonical
from engine.program import FORMAT, LAW, Constant, Input, Node, Output, Program, verify
from kernels.types import DTYPES, TensorType


def program_to_bytes(program: Program) -> bytes:
    """The canonical bytes of a program."""
    return to_canonical(
        {
            "format": FORMAT,
            "law": LAW,
            "inputs": [[v.name, v.role, *_type_to_list(v.type)] for v in program.inputs],
            "constants": [[*_type_to_list(c.type), c.data] for c in program.constants],
            "nodes": [[n.op, list(n.operands), _attributes_to_map(n.attributes)] for n in program.nodes],
            "outputs": [[v.name, v.role, v.value] for v in program.outputs],
        }
    )


def program_hash(program: Program) -> bytes:
    """SHA-256 of the canonical bytes: the identity of the computation, law included."""
    return hashlib.sha256(program_to_bytes(program)).digest()


def program_from_bytes(data: bytes) -> Program:
    """The verified program of canonical bytes; a ValueError for anything else."""
    content = from_canonical(data, "program")
    _require_format(content)
    try:
        program = _program(content)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"program: malformed: {error}") from None
    return verify(program)


def _program(content: dict[str, Any]) -> Program:
    return Program(
        inputs=tuple(Input(_string(name), role, _type(dtype, shape)) for name, role, dtype, shape in content["inputs"]),
        constants=tuple(Constant(_type(dtype, shape), _bytes(raw)) for dtype, shape, raw in content["constants"]),
        nodes=tuple(
            Node(_string(op), tuple(operands), _attributes(attributes)) for op, operands, attributes in content["nodes"]
        ),
        outputs=tuple(Output(_string(name), role, value) for name, role, value in content["outputs"]),
    )


def _require_format(content: Any) -> None:
    fields = ("format", "law", "inputs", "constants", "nodes", "outputs")
    if not isinstance(content, dict) or set(content) != set(fields):
        raise ValueError(f"program: want a map with exactly the fields {', '.join(fields)}")
    if content["format"] != FORMAT or content["law"] != LAW:
        raise ValueError(f"program: got format {content['format']!r}, law {content['law']!r}, want {FORMAT!r}, {LAW!r}")


def _type_to_list(type_: TensorType) -> list[Any]:
    return [type_.dtype, list(type_.shape)]


def _type(dtype: Any, shape: Any) -> TensorType:
    if dtype not in DTYPES or not isinstance(shape, list):
        raise ValueError(f"got type {dtype!r} {shape!r}, want a dtype of {', '.join(DTYPES)} and a list of sizes")
    return TensorType(dtype, tuple(shape))


def _bytes(raw: Any) -> bytes:
    if not isinstance(raw, bytes):
        raise ValueError(f"got a constant of {type(raw).__name__}, want bytes")
    return raw


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"got {value!r:.40}, want a name")
    return value


def _attributes_to_map(attributes: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in attributes.items()}


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}
