"""Attention found in programs and cut into calls: with the operators of the law in each call, the bits stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch.nn.functional as F
from attention_programs import CASES, by_definition, program_of, sdpa, shapes, squared, values_of
from composites import traced

from engine import execute
from engine.attention import blocks_of
from engine.execute import Executor
from engine.program import Program
from engine.schedule import fused_calls, needed_nodes, node_of
from kernels import backends, spec


def stored(program: Program, with_attention: bool) -> set[int]:
    """The sizes of the values that calls leave in memory; a layout operator leaves a view."""
    calls = fused_calls(program, needed_nodes(program), with_attention)
    computed = [call for call in calls if not spec.is_layout(node_of(program, call.members[0]).op)]
    return {program.types[value].size for call in computed for value in call.writes}


@pytest.mark.parametrize("case", CASES)
def test_attention_is_cut_into_a_call_forward_and_one_backward(case: str) -> None:
    program = program_of(case, "wide")
    blocks = blocks_of(program)
    assert len(blocks) == CASES[case][2]
    assert [len(block.attention.products) for block in blocks] == [1, 3]
    assert [len(block.attention.scores) for block in blocks] == [1, 2]
    assert not {n for block in blocks for n in block.reads} & {n for block in blocks for n in block.members} - {
        n for block in blocks for n in block.writes
    }


def test_no_matrix_of_scores_is_stored() -> None:
    program = traced(squared(sdpa()), shapes(2, 33, 47, 8))
    scores = 2 * 33 * 47
    assert scores in stored(program, with_attention=False)
    assert scores not in stored(program, with_attention=True)


@pytest.mark.parametrize("width", ["narrow", "wide"])
@pytest.mark.parametrize("case", CASES)
def test_the_calls_have_the_bits_of_the_operators(case: str, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of(case, width)
    values = values_of(program, 3, odd=True)
    with np.errstate(all="ignore"):
        wanted = Executor(program, "spec", fuse=False).step(values)
        cut = replace(backends.load("native"), compile_attention=by_definition)
        monkeypatch.setattr(execute, "load", lambda name: cut)
        got = Executor(program, "native").step(values)
    assert {name: x.tobytes() for name, x in got.items()} == {name: x.tobytes() for name, x in wanted.items()}


def test_weights_that_are_read_elsewhere_keep_their_operators() -> None:
    def shown(p, batch):  # type: ignore[no-untyped-def]
        weights = F.softmax(p["q"] @ p["k"].transpose(-2, -1), -1)
        return weights @ p["v"] + weights.sum((-1, -2), keepdim=True)

    assert blocks_of(traced(shown, shapes(2, 9, 9, 8))) == []


def test_a_perceptron_is_no_attention() -> None:
    def perceptron(p, batch):  # type: ignore[no-untyped-def]
        return F.gelu(p["q"] @ p["k"]) @ p["v"]

    operands = {"q": (1, 2, 5, 6), "k": (1, 2, 6, 9), "v": (1, 2, 9, 6)}
    assert blocks_of(traced(perceptron, operands)) == []
