"""Run by test_triton.py with TRITON_INTERPRET=1: the Triton kernels on the CPU against the spec."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kernels import backends, conformance, spec
from kernels.triton import OPERATORS
from kernels.triton.matmul import TILINGS, Tiling, matmul

SECONDS_EACH = ("K = 131071, equal", "K = 131071, random", "K = 131072, random")  # "K = 131072, equal" stays
CASES = [case for case in conformance.cases() if case.op in OPERATORS and not case.name.endswith(SECONDS_EACH)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_interpreted_kernel_equals_the_spec(case: conformance.Case) -> None:
    got, wanted = (conformance.outcome(case, backends.load(name)) for name in ("triton", "spec"))
    assert got == wanted


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Matrices whose edges no tile divides, with rows and columns that are zero, subnormal, infinite or NaN."""
    generator = np.random.default_rng(7)
    a = generator.standard_normal((37, 300), dtype=np.float32)
    b = generator.standard_normal((300, 41), dtype=np.float32)
    a[3, 7], b[5, 9], a[6], b[:, 11] = np.nan, -np.inf, 0, 0
    a[8] *= np.float32(2**-140)
    b[:, 13] *= np.float32(2**120)
    return a, b


@pytest.mark.parametrize("width", TILINGS)
def test_no_tiling_changes_a_bit(width: str) -> None:
    a, b = operands()
    wanted = spec.run("matmul", [a, b], {"width": width})
    for tiling in (*TILINGS[width], Tiling(16, 16, 64, splits=3), Tiling(32, 64, 32, splits=2, GROUP=1)):
        with np.errstate(all="ignore"):
            got = matmul(torch.from_numpy(a), torch.from_numpy(b), width, tiling)
        assert got.numpy().tobytes() == wanted.tobytes(), tiling


def test_an_operator_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"backend triton: got operator nonsense, want one of .*matmul"):
        backends.load("triton").run("nonsense", [], {})
