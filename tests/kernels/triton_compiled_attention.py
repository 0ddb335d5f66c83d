"""Run by test_triton.py without a GPU: what the Triton compiler makes of attention that stores no scores."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton_compiled import INTEGER_PRODUCT, assert_exact, fits

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

from attention_programs import program_of_size

from engine.attention import Block, blocks_of
from engine.program import Program
from kernels.triton import launch
from kernels.triton.attention import TILES, exchanged
from kernels.triton.attention_text import AttentionText
from kernels.triton.group import kernel_of
from kernels.triton.group_text import Axes
from kernels.triton.launch import OPTIONS

POINTERS = {"float32": "*fp32", "bool": "*i8"}
T, DEPTH = 1024, 64


@cache
def programs(width: str) -> tuple[Program, tuple[Block, ...]]:
    """Causal attention of a GPT-2, forward and backward."""
    program = program_of_size("causal", T, DEPTH, width)
    return program, tuple(blocks_of(program))


def text_of(program: Program, block: Block) -> AttentionText:
    """The kernels' texts; a mask of [M, N] is repeated over sequences and heads."""
    attention = block.attention
    axes: list[Axes] = [()] * len(attention.scores)
    for value in block.reads[attention.matrices :]:
        rows = attention.B * attention.M
        mask: Axes = ((attention.B, 0), (T * T, 1))
        axes.append(((rows, 1),) if program.types[value].size == rows else mask)
    return AttentionText(attention, tuple(axes))


def pointer_of(text: AttentionText, name: str) -> str:
    """The type of an argument: digits, maxima, results, inputs and rows."""
    kind = name.rstrip("0123456789")
    number = int(name[len(kind) :])
    if kind in ("x", "y"):
        return POINTERS[text.values[number if kind == "x" else text.stored[number]].dtype]
    return {"a": "*i8", "b": "*i8", "w": "*i8", "o": "*fp32"}.get(kind, "*i32")


def compiled(text: AttentionText, kernel: str, architecture: int, tile: tuple[int, int]) -> Any:
    source = text.row_text() if kernel == "row_kernel" else text.column_text()
    types = {name: pointer_of(text, name) for name in text.names()}
    types["table"] = "*i64"
    aligned = {(i,): [["tt.divisibility", 16]] for i in range(len(types))}
    constants = dict(zip("RC", tile, strict=True))
    signature = {**types, **dict.fromkeys(constants, "constexpr")}
    ast = ASTSource(fn=kernel_of(source, kernel), signature=signature, constexprs=constants, attrs=aligned)
    return triton.compile(ast, target=GPUTarget("cuda", architecture, 32), options=OPTIONS)


CASES = [("narrow", 80), ("wide", 90)]
MORE = [(width, number) for width in ("narrow", "wide") for number in INTEGER_PRODUCT if (width, number) not in CASES]


@pytest.mark.parametrize(("width", "architecture"), CASES + [pytest.param(*c, marks=pytest.mark.long) for c in MORE])
def test_attention_runs_on_integer_tensor_cores_and_rounds_as_ieee(width: str, architecture: int) -> None:
    assert_exact_attention(width, architecture)


@pytest.mark.long
def test_attention_takes_functions_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PAIRS", True)
    assert_exact_attention("narrow", 89, pairs=True)


def assert_exact_attention(width: str, architecture: int, pairs: bool = False) -> None:
    program, blocks = programs(width)
    assert len(blocks) == 2
    for block in blocks:
        text = text_of(program, block)
        for kernel in ("row_kernel", "column_kernel")[: 1 + text.has_columns]:
            tiles = TILES if kernel == "row_kernel" else exchanged(TILES)
            results = (compiled(text, kernel, architecture, tile) for tile in tiles)
            ptx = next(result for result in results if fits(result, architecture)).asm["ptx"]
            assert re.search(INTEGER_PRODUCT[architecture], ptx)
            assert not re.search(r"mma\S*\.(f16|bf16|tf32|e4m3|e5m2)\b", ptx)
            assert pairs == ("fma.rn.f32" in ptx) or kernel == "column_kernel"
            assert_exact(ptx.replace("fma.rn.f32", "") if pairs else ptx, fused=True)
