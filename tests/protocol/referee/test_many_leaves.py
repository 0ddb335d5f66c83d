"""Ten thousand elements of every operator that reads more than its own place, each side in turn the liar (D19)."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from kernels.backends import available, load
from tests.protocol.referee.asking import Asked

CHANCE = np.random.default_rng(20)
FAST = [name for name in ("native", "portable") if name in available()]
SAMPLE, MANY = 40, 10_000


def floats(*shape: int, special: bool = False) -> np.ndarray:
    """Values of many sizes, with ties and signed zeros; where wanted with infinities and NaN."""
    x = (CHANCE.normal(0, 1, shape) * 2.0 ** CHANCE.integers(-30, 30, shape)).astype(np.float32)
    x[CHANCE.random(shape) < 0.2] = np.float32(0.5)
    x[CHANCE.random(shape) < 0.05] = np.float32(-0.0)
    if special:
        for value, share in ((np.inf, 0.02), (-np.inf, 0.02), (np.nan, 0.02)):
            x[CHANCE.random(shape) < share] = value
        x.view(np.uint32)[np.isnan(x)] = 0x7FC00000
    return x


def ints(high: int, *shape: int) -> np.ndarray:
    return CHANCE.integers(0, high, shape)


PAIRS = {"stride": [2, 1], "padding": [1, 2], "dilation": [1, 2]}
CASES: dict[str, tuple[tuple[np.ndarray, ...], dict[str, Any]]] = {
    "amax": ((floats(10_000, 7, special=True),), {"axes": [1]}),
    "amin": ((floats(7, 10_000, special=True),), {"axes": [0]}),
    "argmax": ((floats(10_000, 9, special=True),), {"axis": 1}),
    "argsort": ((floats(1250, 8, special=True),), {"axis": 1, "descending": True}),
    "max_pool_index": ((floats(4, 26, 20, 21, special=True),), {"kernel": [3, 2], **PAIRS}),
    "sum": ((floats(10_000, 6),), {"axes": [1]}),
    "cumsum": ((floats(8, 1250),), {"axis": 0}),
    "matmul": ((floats(4, 50, 9), floats(4, 9, 50)), {"width": "narrow"}),
    "conv": ((floats(4, 4, 22, 20), floats(16, 2, 3, 2)), {**PAIRS, "groups": 2, "width": "wide"}),
    "conv_grad_input": (
        (floats(4, 16, 11, 22), floats(16, 4, 3, 2)),
        {**PAIRS, "size": [22, 20], "groups": 2, "width": "narrow"},
    ),
    "conv_grad_weight": (
        (floats(1, 42, 3, 6), floats(1, 80, 6, 5)),
        {**PAIRS, "size": [3, 2], "groups": 2, "width": "wide", "padding": [1, 1], "dilation": [1, 1]},
    ),
    "add_rows": ((floats(1250, 8), ints(1250, 30), floats(30, 8)), {}),
    "scatter_add": ((floats(100, 100), ints(100, 12, 100), floats(12, 100)), {"axis": 0}),
    "take_rows": ((floats(30, 8, special=True), ints(30, 1250)), {}),
    "gather": ((floats(40, 100, special=True), ints(40, 100, 100)), {"axis": 0}),
    "concat": ((floats(60, 50), floats(60, 120)), {"axis": 1}),
    "pad": ((floats(80, 90), np.float32(3.5) * np.ones((), np.float32)), {"low": [5, 6], "high": [10, 10]}),
    "iota": ((), {"shape": [100, 100], "axis": 1, "dtype": "int64"}),
    "random_bits": (tuple(np.array(x, np.int64) for x in (7, 3, 1)), {"site": 5, "shape": [10_000]}),
}


def judged(op: str, count: int) -> int:
    inputs, attributes = CASES[op]
    asked = Asked(op, inputs, attributes)
    for name in FAST:
        assert load(name).run(op, inputs, attributes).tobytes() == asked.result.tobytes(), name
    size = asked.type.size
    elements = range(size) if count >= size else sorted({zlib.crc32(b"%d" % i) % size for i in range(count)})
    for element in elements:
        truth, liar = asked.truth(element), element % 2
        verdict = asked.decide(element, truth ^ (1 << element % 31), liar)
        assert verdict.wrong == (liar == 0, liar == 1), (op, element)
    return len(elements)


@pytest.mark.parametrize("op", CASES)
def test_the_referee_names_the_liar_about_large_arrays(op: str) -> None:
    assert judged(op, SAMPLE) > SAMPLE // 2


@pytest.mark.long
@pytest.mark.parametrize("op", CASES)
def test_the_referee_names_the_liar_ten_thousand_times(op: str) -> None:
    assert judged(op, 2 * MANY) >= 9_000
