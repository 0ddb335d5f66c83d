"""Run by test_triton.py without a GPU: functions in pairs of float32 as instructions, and all functions as C++."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from triton_compiled import assert_exact, assert_no_float64, ptx

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.exhaustive_triton import CHUNK, NAMES, POINTERS, compare, kernel_of, pairs_kernel
from bench.triton_on_cpu import source, ttir
from kernels.triton import elementwise, functions_pairs, launch
from kernels.triton.functions_pairs import IN_PAIRS

SLOW_FLOAT64 = (86, 89, 120)
THREADS = 128
LINES = {"sure": "*i8", "table": "*i64"}
FUSED = "fma.rn.f32"
# The chunks that hold 1/256 .. 1/64, 1/2 .. 1, 1 .. 2, -4 .. -2, 16 .. 32, 2^60 and the last patterns.
STARTS = (0x3B800000, 0x3F000000, 0x3F800000, 0xC0000000, 0x41800000, 0x5D800000, 2**32 - CHUNK)


@pytest.mark.parametrize("architecture", SLOW_FLOAT64)
@pytest.mark.parametrize("op", sorted(IN_PAIRS))
def test_pairs_take_no_float64_and_round_every_step(op: str, architecture: int) -> None:
    function = getattr(functions_pairs, f"fast_{op}")
    text = ptx(pairs_kernel, {"F": function, "B": 8 * THREADS}, architecture, "*fp32", num_warps=THREADS // 32, **LINES)
    asked = ttir(pairs_kernel, {"F": function, "B": 8 * THREADS}, POINTERS)
    for instructions, operations in (("mul", "arith.mulf"), ("add sub", "arith.addf arith.subf"), ("fma", "math.fma")):
        found = sum(text.count(f"{word}.rn.f32") + text.count(f"{word}.rn.f32x2") for word in instructions.split())
        wanted = 8 * sum(asked.count(word) for word in operations.split())
        assert found >= wanted, instructions  # a contraction would take a product and a sum away; x2 are two at once
    assert_exact(text.replace(FUSED, ""))
    assert_no_float64(text)
    assert ("div.rn.f32" in text) == (op in ("rsqrt", "sigmoid", "tanh"))


@pytest.mark.parametrize("op", sorted(IN_PAIRS))
def test_float64_lies_behind_a_branch(op: str) -> None:
    constants = {"OP": f"{op} in pairs", "B": 8 * THREADS}
    text = ptx(elementwise.unary_kernel, constants, 89, "*fp32", table="*i64")
    before, branch, after = text.partition("bra")
    assert branch and re.search(r"\.rn\.f64\b", after)
    assert_no_float64(before)
    assert_exact(text.replace(FUSED, ""), fused=True)


def test_chips_with_slow_float64_are_those_that_are_not_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for capability in ((7, 5), (8, 6), (8, 9), (10, 3), (12, 0)):
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda capability=capability: capability)
        assert launch.is_float64_slow()
    for capability in ((8, 0), (9, 0), (10, 0)):
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda capability=capability: capability)
        assert not launch.is_float64_slow()


@pytest.mark.skipif(shutil.which("g++") is None, reason="a machine with g++ runs this")
@pytest.mark.parametrize("name", NAMES)
def test_a_function_as_cpp_has_the_native_bits(name: str, tmp_path: Path) -> None:
    counts = compare(name, tmp_path, STARTS)
    assert counts["wrong"] == 0 and counts["checked"] == len(STARTS) * CHUNK
    assert counts["left to float64"] < (2e-3 * len(STARTS) * CHUNK if name.endswith("in pairs") else 1)


def test_the_cpp_is_the_kernel_line_by_line() -> None:
    kernel, function = kernel_of("log")
    text = ttir(kernel, {"F": function, "B": 256}, POINTERS)
    assert source(text).count("__builtin_fma(") == text.count("math.fma") > 5
    with pytest.raises(ValueError, match=r"triton_on_cpu: got scf\.if, want an elementwise operation"):
        source(text.replace("= math.fma", "= scf.if"))
