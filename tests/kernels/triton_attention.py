"""Run by test_triton.py with TRITON_INTERPRET=1: attention that stores no scores, against operators one by one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import triton.language as tl

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

from attention_programs import CASES, program_of, sdpa, shapes, squared, values_of
from composites import traced

from engine import execute
from engine.attention import blocks_of
from engine.execute import Executor
from engine.program import Program
from engine.resident import OnHost, Resident
from kernels import backends
from kernels.triton import attention_tiles, launch
from kernels.triton.attention import _Launch, compile_attention
from kernels.triton.group import axes_of
from kernels.triton.memory import attention_bytes

TILES = ((16, 32), (32, 16), (128, 128))


def wanted(program: Program, values: dict[str, np.ndarray]) -> dict[str, bytes]:
    with np.errstate(all="ignore"):
        outputs = Executor(program, "spec", fuse=False).step(values)
    return {name: x.tobytes() for name, x in outputs.items()}


def assert_the_bits_stay(program: Program, seed: int, odd: bool = False) -> None:
    values = values_of(program, seed, odd)
    executor = Executor(program, "triton")
    assert sum(call.attention is not None for call, _ in executor._calls) == 2
    with np.errstate(all="ignore"):
        got = executor.step(values)
    assert {name: x.tobytes() for name, x in got.items()} == wanted(program, values)


@pytest.mark.parametrize("case", CASES)
def test_attention_without_scores_has_the_bits_of_its_operators(case: str) -> None:
    """Each case in one of the widths; one in two with infinities and NaN among the inputs."""
    place = list(CASES).index(case)
    assert_the_bits_stay(program_of(case, ("narrow", "wide")[place % 2]), 5, odd=place % 4 > 1)


@pytest.mark.long
@pytest.mark.parametrize("odd", [False, True], ids=["normal", "odd"])
@pytest.mark.parametrize("width", ["narrow", "wide"])
@pytest.mark.parametrize("case", CASES)
def test_attention_has_the_bits_in_either_width_on_any_input(case: str, width: str, odd: bool) -> None:
    assert_the_bits_stay(program_of(case, width), 11, odd)


@pytest.mark.parametrize("tile", TILES)
def test_no_tile_changes_a_bit(tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    tiled = replace(backends.load("triton"), compile_attention=lambda attention: compile_attention(attention, [tile]))
    monkeypatch.setattr(execute, "load", lambda name: tiled)
    assert_the_bits_stay(program_of("not causal, more keys", "wide"), 6)


def test_float_digits_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_tiles, "DIGIT", tl.constexpr("float16"))
    assert_the_bits_stay(program_of("not causal, more keys", "wide"), 6)


def test_functions_in_pairs_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PAIRS", True)
    assert_the_bits_stay(program_of("causal", "narrow"), 6)


@pytest.mark.long
def test_more_keys_than_a_tile_and_a_head_that_is_no_power_of_two() -> None:
    assert_the_bits_stay(traced(squared(sdpa()), shapes(1, 70, 259, 40)), 7, odd=True)


def test_a_resident_state_takes_the_same_bytes() -> None:
    program = program_of("causal", "wide")
    values = values_of(program, 8)
    resident = Resident(program, "triton")
    resident.load(values)
    want = wanted(program, values)
    assert resident.step(values)["loss"].tobytes() == want["loss"]
    state = OnHost(resident.state, resident.memory)
    assert {name: state[name].tobytes() for name in state} == {name: want[name] for name in state}


def test_the_estimate_of_memory_covers_what_is_taken() -> None:
    for block in blocks_of(program_of("scale", "wide")):
        attention = block.attention
        types = [type_ for _, type_ in attention.group.outputs] + [product.type for product in attention.products]
        program = program_of("scale", "wide")
        operands = [torch.zeros(program.types[value].shape) for value in block.reads]
        inputs, results = operands[attention.matrices :], [torch.zeros(type_.shape) for type_ in types]
        axes = tuple([()] * len(attention.scores) + [axes_of(x) for x in inputs])
        taken = _Launch(attention, axes, TILES)._arguments(operands[: attention.matrices], inputs, results)
        given = {x.data_ptr() for x in (*operands, *results)}
        size = sum(x.numel() * x.element_size() for x in taken if x.data_ptr() not in given)
        assert 0 < size <= attention_bytes(attention)
