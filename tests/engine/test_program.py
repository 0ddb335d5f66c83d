"""Programs: the same bytes and hash in both directions, and a named refusal of each broken rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import numpy as np
import pytest
from small_jobs import Builder, small_program

from engine.canonical import from_canonical, to_canonical
from engine.encoding import program_from_bytes, program_hash, program_to_bytes
from engine.program import Constant, Input, Node, Output, Program, to_text, verify
from kernels.types import TensorType

SCALAR = TensorType("float32", ())
ROW = TensorType("float32", (2,))


def tiny() -> Program:
    """x - rate * x."""
    return Program(
        (Input("x", "state", ROW), Input("rate", "schedule", SCALAR)),
        (Constant(ROW, np.array([1, np.nan], "<f4").tobytes()),),
        (
            Node("reshape", (1,), {"shape": (1,)}),
            Node("broadcast", (3,), {"shape": (2,)}),
            Node("mul", (4, 0)),
            Node("sub", (0, 5)),
        ),
        (Output("x", "state", 6), Output("same", "metric", 1)),
    )


def test_a_program_comes_back_from_its_bytes() -> None:
    for program in (verify(tiny()), small_program()):
        data = program_to_bytes(program)
        assert program_from_bytes(data) == program
        assert program_to_bytes(program_from_bytes(data)) == data


def test_the_hash_of_a_program_is_part_of_the_format() -> None:
    assert program_hash(tiny()).hex() == "d2b61325b1deb5af36fe1d6194ec84756c580e8259f2f132b43b89a273ba8af8"


def test_equal_programs_have_equal_hashes_in_a_set() -> None:
    assert len({tiny(), tiny(), small_program()}) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": (*tiny().nodes[:2], Node("mul", (0, 4)), tiny().nodes[3])},
        {"nodes": (*tiny().nodes[:3], Node("add", (0, 5)))},
        {"outputs": (Output("x", "state", 5), Output("same", "metric", 1))},
        {"constants": (Constant(ROW, bytes(8)),)},
        {"inputs": (Input("x", "state", ROW), Input("lr", "schedule", SCALAR))},
    ],
)
def test_every_change_changes_the_hash(change: dict[str, Any]) -> None:
    assert program_hash(verify(replace(tiny(), **change))) != program_hash(tiny())


def test_the_text_shows_one_value_a_line() -> None:
    assert to_text(tiny()) == (
        "%0 = state x : float32[2]\n"
        "%1 = schedule rate : float32[]\n"
        "%2 = constant sha256:c5a9838fc5dcd30b : float32[2]\n"
        "%3 = reshape(%1) shape=[1] : float32[1]\n"
        "%4 = broadcast(%3) shape=[2] : float32[2]\n"
        "%5 = mul(%4, %0) : float32[2]\n"
        "%6 = sub(%0, %5) : float32[2]\n"
        "state x = %6\n"
        "metric same = %1\n"
    )


BROKEN = {
    "a cycle": ({"nodes": (Node("neg", (3,)),)}, "node %3 (neg) reads %3, want an earlier value (0 to 2)"),
    "a forward reference": ({"nodes": (Node("add", (0, 4)), Node("neg", (0,)))}, "node %3 (add) reads %4"),
    "a negative operand": ({"nodes": (Node("neg", (-1,)),)}, "node %3 (neg) reads %-1"),
    "an operand that is a bool": ({"nodes": (Node("neg", (True,)),)}, "node %3 (neg) reads %True"),
    "an unknown operator": ({"nodes": (Node("softmax", (0,)),)}, "node %3: operator: got 'softmax'"),
    "operands of two types": ({"nodes": (Node("add", (0, 1)),)}, "node %3: add"),
    "an attribute too few": ({"nodes": (Node("reshape", (0,)),)}, "node %3: reshape"),
    "an attribute too many": ({"nodes": (Node("neg", (0,), {"axis": 0}),)}, "node %3: neg"),
    "two inputs of a name": ({"inputs": (Input("x", "state", ROW),) * 2}, "two inputs are called 'x'"),
    "an input without a name": ({"inputs": (Input("", "state", ROW),)}, "input name ''"),
    "a name with a line break": ({"inputs": (Input("a\nb", "state", ROW),)}, "input name 'a\\nb'"),
    "a role of its own": ({"inputs": (Input("x", "weights", ROW),)}, "input 'x' has role 'weights'"),
    "a slot called step": ({"inputs": (Input("step", "state", ROW),)}, "a state input is called 'step'"),
    "a slot called seed": ({"inputs": (Input("seed", "state", ROW),)}, "a state input is called 'seed'"),
    "a float step": ({"inputs": (Input("s", "step", SCALAR),)}, "input 's' has type float32[], want int64[]"),
    "a schedule of rank 1": (
        {"inputs": (Input("r", "schedule", ROW),)},
        "schedule 'r' has type float32[2], want rank 0",
    ),
    "a short constant": ({"constants": (Constant(ROW, bytes(7)),)}, "constant %2 has 7 bytes, want 8"),
    "a constant NaN of its own": (
        {"constants": (Constant(SCALAR, bytes.fromhex("0100c07f")),)},
        "constant %2 holds a NaN other than 0x7fc00000",
    ),
    "a constant bool of 2": ({"constants": (Constant(TensorType("bool", (1,)), b"\2"),)}, "neither 0 nor 1"),
    "an output of nothing": ({"outputs": (Output("x", "state", 7),)}, "output 'x' is %7, want a value below 7"),
    "a role of an output": ({"outputs": (Output("x", "loss", 6),)}, "output 'x' has role 'loss'"),
    "a lost slot": ({"outputs": ()}, "state output 0 is none, want x float32[2]"),
    "a slot of another type": (
        {"outputs": (Output("x", "state", 1),)},
        "state output 0 is x float32[], want x float32[2]",
    ),
    "a slot too many": (
        {"outputs": (Output("x", "state", 6), Output("y", "state", 6))},
        "state output 1 is y float32[2], want none",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_refuses(rule: str) -> None:
    change, message = BROKEN[rule]
    with pytest.raises(ValueError, match=re.escape(message)):
        verify(replace(tiny(), **change))


def edited(change: Callable[[dict[str, Any]], Any]) -> bytes:
    content = cbor2.loads(program_to_bytes(tiny()))
    change(content)
    return cbor2.dumps(content, canonical=True)


MALFORMED = {
    "nothing": b"",
    "no CBOR": b"\xff\xff",
    "a number": to_canonical(7),
    "cut short": program_to_bytes(tiny())[:-1],
    "trailing bytes": program_to_bytes(tiny()) + b"\0",
    "keys in another order": cbor2.dumps(dict(reversed(cbor2.loads(program_to_bytes(tiny())).items()))),
    "another law": edited(lambda c: c.update(law="isobit-law-0")),
    "another format": edited(lambda c: c.update(format="isobit-program-2")),
    "a field more": edited(lambda c: c.update(note="")),
    "a field less": edited(lambda c: c.pop("constants")),
    "nodes that are no list": edited(lambda c: c.update(nodes=7)),
    "a node of two parts": edited(lambda c: c["nodes"][0].pop()),
    "operands that are no list": edited(lambda c: c["nodes"][0].__setitem__(1, 1)),
    "a float operand": edited(lambda c: c["nodes"][0].__setitem__(1, [1.0])),
    "attributes that are no map": edited(lambda c: c["nodes"][0].__setitem__(2, [1])),
    "an operator that is no string": edited(lambda c: c["nodes"][0].__setitem__(0, 7)),
    "an operator that is a list": edited(lambda c: c["nodes"][0].__setitem__(0, ["neg"])),
    "a dtype of no law": edited(lambda c: c["inputs"][0].__setitem__(2, "float64")),
    "a dtype that is a list": edited(lambda c: c["inputs"][0].__setitem__(2, [])),
    "a shape that is a number": edited(lambda c: c["inputs"][0].__setitem__(3, 2)),
    "a shape of strings": edited(lambda c: c["inputs"][0].__setitem__(3, ["2"])),
    "a shape of bools": edited(lambda c: c["inputs"][0].__setitem__(3, [True, True])),
    "a huge shape": edited(lambda c: c["inputs"][0].__setitem__(3, [2**63])),
    "a rank of 9": edited(lambda c: c["inputs"][0].__setitem__(3, [1] * 9)),
    "a constant of text": edited(lambda c: c["constants"][0].__setitem__(2, "12345678")),
    "a name that is a number": edited(lambda c: c["inputs"][0].__setitem__(0, 7)),
    "a role that is a list": edited(lambda c: c["inputs"][0].__setitem__(1, [])),
    "an output that is a string": edited(lambda c: c["outputs"][0].__setitem__(2, "6")),
    "an output that is a bool": edited(lambda c: c["outputs"][0].__setitem__(2, True)),
}


@pytest.mark.parametrize("wrong", MALFORMED)
def test_refuses_bytes_that_are_no_program(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"^program"):
        program_from_bytes(MALFORMED[wrong])


@pytest.mark.parametrize("position", range(0, len(program_to_bytes(tiny())), 3))
def test_an_altered_byte_is_refused_or_another_program(position: int) -> None:
    data = bytearray(program_to_bytes(tiny()))
    data[position] ^= 1
    try:
        program = program_from_bytes(bytes(data))
    except ValueError:
        return
    assert program_to_bytes(program) == data and program_hash(program) != program_hash(tiny())


@pytest.mark.parametrize(
    "data", [b"\x18\x01", b"\x9f\xff", b"\xfb" + bytes(8), b"\xa2\x61a\x01\x61a\x02", b"\xc2\x41\x01", b"\xf7"]
)
def test_bytes_have_one_encoding(data: bytes) -> None:
    """A longer integer, an indefinite list, a float, a key twice, a small bignum, undefined."""
    with pytest.raises(ValueError, match=r"^thing: .*canonical"):
        from_canonical(data, "thing")


@pytest.mark.parametrize("value", [1.0, {1: 2}, {"a": [float("nan")]}, {1, 2}, object()])
def test_refuses_to_encode_what_has_no_canonical_bytes(value: Any) -> None:
    with pytest.raises(TypeError):
        to_canonical(value)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^thing"):
        from_canonical(b"\x81" * 100_000 + b"\x00", "thing")


def test_a_built_program_is_numbered_inputs_constants_nodes() -> None:
    build = Builder()
    node = build.node("neg", build.constant([1.0], "float32"))
    build.output("out", "metric", node)
    build.input("x", "batch", "float32", 1)
    assert build.program().outputs[0].value == 2
