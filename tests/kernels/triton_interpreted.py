"""Run by test_triton.py with TRITON_INTERPRET=1: the Triton kernels on the CPU against the spec."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kernels import backends, conformance, spec
from kernels.portable import functions_exp, functions_log, functions_trig
from kernels.portable.functions import FUNCTIONS
from kernels.triton import OPERATORS, coefficients
from kernels.triton.matmul import matmul
from kernels.triton.tilings import TILINGS, Tiling

VECTORS = Path(__file__).parents[1] / "vectors" / "functions"
SECONDS_EACH = tuple(f"K = {terms}, {kind}" for terms in (131071, 131072) for kind in ("equal", "random", "cancelling"))
KEPT = "K = 131072, equal"
CASES = [
    case
    for case in conformance.cases()
    if (case.name.endswith(KEPT) or not case.name.endswith(SECONDS_EACH))
    and not ("large" in case.label and case.op.startswith("conv"))
]


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
    tilings = (*TILINGS[width], Tiling(16, 16, 64, splits=3), Tiling(32, 64, 32, splits=2, GROUP=1))
    digits = ((0, "bfloat16"), (-1, "bfloat16"), (1, "float16"), (-3, "float16"))
    floats = tuple(replace(tilings[i], digit=digit) for i, digit in digits)
    for tiling in (*tilings, *floats):
        with np.errstate(all="ignore"):
            got = matmul(torch.from_numpy(a), torch.from_numpy(b), width, tiling)
        assert got.numpy().tobytes() == wanted.tobytes(), tiling


@pytest.mark.parametrize("op", FUNCTIONS)
def test_a_function_in_triton_has_the_portable_bits_on_any_pattern(op: str) -> None:
    bits = np.random.default_rng(5).integers(0, 2**32, 2**18, dtype=np.uint32)
    x = bits.view(np.float32)
    x = np.where(np.isnan(x), np.float32(np.nan), x)
    got, wanted = (backends.load(name).run(op, [x], {}) for name in ("triton", "portable"))
    np.testing.assert_array_equal(got.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_function_in_triton_is_right_where_it_is_nearest_to_a_tie(path: Path) -> None:
    pairs = np.array([[int(word, 16) for word in line.split()] for line in path.read_text().splitlines()], np.uint32)
    x = np.ascontiguousarray(pairs[:, 0]).view(np.float32)
    got = backends.load("triton").run(path.stem, [x], {})
    np.testing.assert_array_equal(got.view(np.uint32), pairs[:, 1])


def test_the_coefficients_are_those_of_the_portable_functions() -> None:
    for module in (functions_exp, functions_log, functions_trig):
        for name in ("EXP2_TIES", "SIGMOID_TIES", "LOG_TIES", "LOG10_TIES", "LOG1P_TIES", "SIN_TIES", "COS_TIES"):
            if hasattr(module, name):
                assert getattr(coefficients, name).value == coefficients.ties(getattr(module, name)).value, name
    for module in (functions_exp, functions_log, functions_trig):
        for name in ("EXP", "EXP2", "ERF", "LN2", "LOG", "LOG10_2", "SIN", "PI"):
            if hasattr(module, name):
                assert getattr(coefficients, name).value == getattr(module, name), name
    assert coefficients.INV_PI_BITS == functions_trig.INV_PI_BITS
    assert coefficients.LOG2E.value == (functions_exp.LOG2E,) and coefficients.INV_PI.value == (functions_trig.INV_PI,)
    assert coefficients.LOG10E.value == (functions_log.LOG10E,)
    assert coefficients.SIGMOID_SLOPE.value == (functions_exp.SLOPE,)


class Uint32(TorchDispatchMode):
    """The operators of torch that compute on uint32, of which CUDA has few: what only looks at bits is none."""

    SEES = frozenset({"lift_fresh", "view", "as_strided", "permute", "expand", "slice", "select", "alias", "unsqueeze"})
    SEES |= {"_reshape_alias", "_unsafe_view", "transpose", "squeeze", "detach"}

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.name().split("::")[1].split(".")[0]
        if name not in self.SEES and any(
            isinstance(x, torch.Tensor) and x.dtype == torch.uint32 for x in tree_leaves((args, kwargs, out))
        ):
            self.found.add(name)
        return out


def test_torch_computes_on_no_uint32() -> None:
    cases = [case for case in CASES if case.fault is None and uses_uint32(case)]
    assert {case.op for case in cases} >= {"reshape", "pad", "concat", "gather", "amax", "cast", "random_bits"}
    with Uint32() as mode:
        for case in cases:
            backends.load("triton").run(case.op, case.inputs, case.attributes)
    assert mode.found == set()


def uses_uint32(case: conformance.Case) -> bool:
    dtypes = {x.dtype for x in case.inputs}
    return np.dtype(np.uint32) in dtypes or case.attributes.get("dtype") == "uint32" or case.op == "random_bits"


def test_every_operator_of_the_law_is_there() -> None:
    assert set(OPERATORS) == set(spec.OPERATORS)


def test_an_operator_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"backend triton: got operator nonsense, want one of .*matmul"):
        backends.load("triton").run("nonsense", [], {})
