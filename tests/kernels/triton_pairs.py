"""Run by test_triton.py with TRITON_INTERPRET=1: functions in pairs of float32, for GPUs whose float64 is slow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from kernels import backends
from kernels.group import Group, Register, Step
from kernels.triton import MEMORY, functions_pairs, functions_tables, launch
from kernels.triton.elementwise import tables
from kernels.triton.functions_pairs import IN_PAIRS
from kernels.triton.group import compile_group
from kernels.types import TensorType

VECTORS = Path(__file__).parents[1] / "vectors" / "functions"
OPS = sorted(IN_PAIRS)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.2e-38, 3.4e38, -3.4e38], np.float32)


@triton.jit
def fast_kernel(x, out, sure, table, F: tl.constexpr, B: tl.constexpr):
    i = tl.arange(0, B)
    y, is_sure = F(tl.load(x + i), table)
    tl.store(out + i, y)
    tl.store(sure + i, is_sure.to(tl.int8))


def fast(op: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values in pairs, and where they are sure; x has a power of two elements."""
    out, sure = torch.empty(x.size), torch.empty(x.size, dtype=torch.int8)
    function = getattr(functions_pairs, f"fast_{op}")
    with np.errstate(all="ignore"):
        fast_kernel[(1,)](torch.from_numpy(x), out, sure, tables(torch.device("cpu")), F=function, B=x.size)
    return out.numpy(), sure.numpy() != 0


def patterns() -> np.ndarray:
    """Random bit patterns, then values as they are in a model, then special ones."""
    random = np.random.default_rng(11)
    x = random.integers(0, 2**32, 2**17, dtype=np.uint32).view(np.float32)
    x = np.where(np.isnan(x), np.float32(np.nan), x)
    normal = random.standard_normal(2**17, dtype=np.float32) * 3
    normal[: SPECIAL.size] = SPECIAL
    return np.concatenate([x, normal])


@pytest.mark.parametrize("op", OPS)
def test_what_is_sure_in_pairs_is_right_and_hardly_anything_is_not(op: str) -> None:
    x = patterns()
    y, sure = fast(op, x)
    want = backends.load("native").run(op, [x], {})
    assert (y.view(np.uint32) == want.view(np.uint32))[sure].all()
    positive = x[2**17 :] > 0
    assert np.mean(~sure[2**17 :][positive]) < 1e-4
    assert np.mean(~sure[: 2**17]) < 0.16  # 37 of 256 exponents are below 2^-90, where erf's rests would underflow


@pytest.mark.parametrize("op", OPS)
def test_float64_decides_what_is_not_sure(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PAIRS", True)
    lines = (VECTORS / f"{op}.txt").read_text().splitlines()
    pairs = np.array([[int(word, 16) for word in line.split()] for line in lines], np.uint32)
    x = np.ascontiguousarray(pairs[:, 0]).view(np.float32)
    whole = np.resize(x, 256)
    _, sure = fast(op, whole)
    assert not sure.all()  # the inputs nearest to a tie
    np.testing.assert_array_equal(backends.load("triton").run(op, [x], {}).view(np.uint32), pairs[:, 1])


@pytest.mark.parametrize("op", OPS)
def test_an_operator_and_a_generated_kernel_take_them_where_float64_is_slow(
    op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = patterns()[:: 2**5]
    want = backends.load("native").run(op, [x], {})
    monkeypatch.setattr(launch, "PAIRS", True)
    monkeypatch.setattr(functions_pairs, f"fast_{op}", failing)
    type_ = TensorType("float32", x.shape)
    group = Group(x.size, 0, (Register("float32", False),) * 2, 1, ((1, type_),), (Step(op, 1, (0,)),))
    with pytest.raises(Exception, match="asked for in pairs"):
        backends.load("triton").run(op, [x], {})
    with pytest.raises(Exception, match="asked for in pairs"):
        compile_group(group)([MEMORY.put(x)], 1)
    monkeypatch.undo()
    monkeypatch.setattr(launch, "PAIRS", True)
    with np.errstate(all="ignore"):
        got = [backends.load("triton").run(op, [x], {}), MEMORY.get(compile_group(group)([MEMORY.put(x)], 1)[0])]
    assert [y.tobytes() for y in got] == [want.tobytes()] * 2


def failing(x: object, table: object) -> None:
    raise AssertionError("asked for in pairs")


def test_tables_start_where_kernels_look_for_them() -> None:
    held = tables(torch.device("cpu")).view(torch.float32).numpy()
    for name, place in functions_tables.PLACES.items():
        table = np.array(functions_tables.TABLES[name], np.float32)
        np.testing.assert_array_equal(held[place : place + 32], table)
        assert table.size == 32 and table.tolist() == list(functions_tables.TABLES[name])
