"""Every case under pytest-benchmark: `pytest bench --benchmark-json=FILE`; by default the quick ones, on one thread.

`pytest bench -m long` times all the others as well.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="a machine with torch, which is what ours is compared with, runs this")

from bench.case import Case  # noqa: E402  (needs torch)
from bench.suites import SUITES  # noqa: E402

WITHOUT_ONE_RESULT = ("step", "commit", "dispute")  # steps go on from one another; a dispute has no rival
CASES = [
    pytest.param(case, id=f"{suite}: {case.name}", marks=() if case.quick else (pytest.mark.long,))
    for suite, cases in SUITES.items()
    if suite not in WITHOUT_ONE_RESULT
    for case in cases()
    if case.isa is None
]


def tensors(result: object) -> list[np.ndarray]:
    """The arrays of a result, whoever computed it."""
    parts = result if isinstance(result, list | tuple) else [result]
    return [np.asarray(part) for part in parts if part is not None]


@pytest.mark.parametrize("rival", ["ours", "torch"])
@pytest.mark.parametrize("case", CASES)
def test_both_compute_the_same_and_how_fast(benchmark, case: Case, rival: str) -> None:
    torch.set_num_threads(1)
    competitors = case.prepare(1)
    benchmark.group = case.name
    result = tensors(benchmark({"ours": competitors.ours, **competitors.rivals}[rival]))
    other = tensors(competitors.ours() if rival == "torch" else competitors.rivals["torch"]())
    for x, y in zip(result, other, strict=False):  # AdamW's rival works in place and returns nothing
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-3 * float(abs(y).max()))
