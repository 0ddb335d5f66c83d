"""Run by test_triton.py without a GPU: what the Triton compiler makes of generated kernels and of the hashes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton_compiled import assert_exact

from kernels.group import ELEMENTWISE, SPREAD, Group, Register, Step
from kernels.spec import infer
from kernels.triton import sha256
from kernels.triton.group import blocks_of, kernel_of, warps_of
from kernels.triton.group_text import Axes, kernel_text
from kernels.triton.launch import OPTIONS
from kernels.types import TensorType

ARCHITECTURES = (80, 90, 100)
POINTERS = {"float32": "*fp32", "int64": "*i64", "int32": "*i32", "uint32": "*u32", "bool": "*i8"}
FUSED = {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "rsqrt", "sin", "cos", "tanh", "erf", "sigmoid"}


def compiled(kernel: Any, types: dict[str, str], constants: dict[str, Any], architecture: int, warps: int) -> str:
    """The PTX of a kernel, after it has been assembled too."""
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(types.values()) if kind[0] == "*"}
    signature = {**types, **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    target = GPUTarget("cuda", architecture, 32)
    result = triton.compile(source, target=target, options={**OPTIONS, "num_warps": warps})
    assert len(result.asm["cubin"]) > 0
    return result.asm["ptx"]


def ptx(group: Group, axes: tuple[Axes, ...], architecture: int, longest: int = 8192) -> str:
    """The PTX of a group's kernel, with the blocks that a GPU gets."""
    blocks = blocks_of(group, 4096, longest)
    types = {f"x{n}": POINTERS[group.registers[n].dtype] for n in range(group.inputs)}
    types |= {f"y{n}": POINTERS[type_.dtype] for n, (_, type_) in enumerate(group.outputs)}
    constants = {"R": blocks.R, "C": blocks.C}
    kernel = kernel_of(kernel_text(group, axes, blocks), "group_kernel")
    return compiled(kernel, {**types, "table": "*i64"}, constants, architecture, warps_of(blocks))


def alone(op: str, dtypes: tuple[str, ...], attributes: dict[str, Any]) -> Group:
    """A group of one elementwise operator on 5000 elements."""
    types = [TensorType(dtype, (5000,)) for dtype in dtypes]
    result = infer(op, types, attributes)
    registers = tuple(Register(type_.dtype, False) for type_ in (*types, result))
    step = Step(op, len(types), tuple(range(len(types))))
    return Group(5000, 0, registers, len(types), ((len(types), result),), (step,))


def every_operator() -> list[tuple[str, Group]]:
    """Each elementwise operator on each dtype that it takes."""
    found = []
    for op in sorted(ELEMENTWISE):
        for dtype in POINTERS:
            for dtypes in ((dtype,), (dtype, dtype), ("bool", dtype, dtype)):
                for target in POINTERS if op == "cast" else [None]:
                    try:
                        group = alone(op, dtypes, {} if target is None else {"dtype": target})
                    except (ValueError, IndexError):
                        continue
                    found.append((f"{op} {' '.join(dtypes)} {target or ''}".strip(), group))
    return found


OPERATORS = every_operator()


@pytest.mark.parametrize(("name", "group"), OPERATORS, ids=[name for name, _ in OPERATORS])
def test_an_operator_alone_is_ieee(name: str, group: Group) -> None:
    text = ptx(group, (((5000, 1),),) * group.inputs, 90)
    assert_exact(text, fused=name.split()[0] in FUSED)


def softmax(columns: int) -> Group:
    """amax, sub, exp, sum, div of 100 rows, and the rows' sums."""
    full, row = Register("float32", False), Register("float32", True)
    registers = (full, row, full, full, full, row, full, full)
    steps = (Step("amax", 1, (0,)), Step(SPREAD, 2, (1,)), Step("sub", 3, (0, 2)), Step("exp", 4, (3,)))
    steps += (Step("sum", 5, (4,)), Step(SPREAD, 6, (5,)), Step("div", 7, (4, 6)))
    outputs = ((7, TensorType("float32", (100, columns))), (5, TensorType("float32", (100,))))
    return Group(100 * columns, columns, registers, 1, outputs, steps)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("columns", [768, 50257])
def test_rows_that_are_reduced_in_a_kernel_are_exact(columns: int, architecture: int) -> None:
    text = ptx(softmax(columns), (((100 * columns, 1),),), architecture)
    assert_exact(text, fused=True)
    assert "div.rn.f32" in text and "cvt.rn.f32.s64" in text and "fma.rn.f64" in text
    assert not re.search(r"fma\.\w+\.f32", text)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_product_and_a_sum_stay_two_roundings(architecture: int) -> None:
    float_ = Register("float32", False)
    steps = (Step("mul", 3, (0, 1)), Step("add", 4, (3, 2)), Step("div", 5, (4, 1)), Step("sqrt", 6, (5,)))
    outputs = ((6, TensorType("float32", (64, 768))),)
    group = Group(64 * 768, 0, (float_,) * 7, 3, outputs, steps)
    bias: Axes = ((64, 0), (768, 1))
    text = ptx(group, (((64 * 768, 1),), bias, ((64 * 768, 1),)), architecture)
    assert_exact(text)
    for instruction in ("mul.rn.f32", "add.rn.f32", "div.rn.f32", "sqrt.rn.f32"):
        assert instruction in text


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hashes_are_integer_arithmetic_in_registers(architecture: int) -> None:
    leaf = {"addresses": "*i64", "lengths": "*i32", "out": "*u32", "leaves": "i32", "eight": "i32", "constants": "*u32"}
    node = {"below": "*u32", "left": "*i32", "right": "*i32", "out": "*u32", "nodes": "i32", "constants": "*u32"}
    for kernel, types in ((sha256.leaf_kernel, leaf), (sha256.node_kernel, node)):
        text = compiled(kernel, types, {"L": 128}, architecture, 4)
        assert not re.search(r"\.f(32|64)\b|\.local\b", text)
