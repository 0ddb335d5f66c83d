"""How far functions that are composed of others lie from the mathematical ones: docs/tracing.md states these bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.plain_torch import BACKEND
from engine.execute import Executor
from engine.tracing.builder import Builder
from engine.tracing.capture import Captured, graph_of, without_mutation
from engine.tracing.lowering import Lowering
from kernels.types import TensorType

RANDOM = np.random.default_rng(0)
N = 2**16
UNIT = RANDOM.uniform(-1, 1, N).astype(np.float32)
REAL = (RANDOM.standard_normal(N) * np.exp(RANDOM.normal(0, 3, N))).astype(np.float32)
POSITIVE = np.exp(RANDOM.uniform(-20, 20, N)).astype(np.float32)
SMALL = RANDOM.uniform(-8, 9, N).astype(np.float32)


def law(function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """What a program computes."""
    zeros = torch.zeros(x.shape)
    graph = without_mutation(graph_of(lambda x: [function(x)], [zeros]), [zeros])
    builder = Builder()
    given = builder.input("x", "batch", TensorType("float32", x.shape))
    (value,) = Lowering(Captured(graph, (), ()), "strict").build(builder, [given], [])
    return Executor(builder.program([("y", "metric", value)]), BACKEND).step({"x": x})["y"]


# function -> (arguments, the most units in the last place)
IN_LAST_PLACES: dict[str, tuple[Callable[[Tensor], Tensor], np.ndarray, float]] = {
    "sinh": (torch.sinh, SMALL, 4),
    "cosh": (torch.cosh, SMALL, 2),
    "tan": (torch.tan, UNIT * 1.5, 2),
    "asinh": (torch.asinh, REAL, 4),
    "acosh": (torch.acosh, POSITIVE + 1, 4),
    "atanh": (torch.atanh, UNIT, 4),
    "atan": (torch.atan, REAL, 4),
    "atan2": (lambda y: torch.atan2(y, torch.from_numpy(REAL).to(y.dtype).flip(0)), REAL, 4),
    "asin": (torch.asin, UNIT, 4),
    "acos": (torch.acos, UNIT, 4),
    "erfc": (torch.erfc, SMALL, 6),
    "erfinv": (torch.erfinv, UNIT, 6),
    "10000 ** x": (lambda x: 10000.0**x, UNIT * 3, 4),
    "x ** (1/3)": (lambda x: x ** (1 / 3), POSITIVE, 4),
    "x ** 2.7": (lambda x: x**2.7, np.exp(UNIT * 9), 6),
    "x ** y": (lambda x: x ** torch.from_numpy(UNIT * 3).to(x.dtype), np.exp(UNIT * 9), 6),
}
# function -> (arguments, the largest error in units of 2^-24 of the value, or of 1 where it is smaller)
OF_ONE: dict[str, tuple[Callable[[Tensor], Tensor], np.ndarray, float]] = {
    "lgamma": (torch.lgamma, POSITIVE, 8),
    "lgamma below 0": (torch.lgamma, -np.abs(SMALL) - 0.5, 64),
    "digamma": (torch.digamma, POSITIVE, 16),
    "polygamma": (lambda x: torch.polygamma(1, x), POSITIVE[POSITIVE > 1e-4], 16),
}


def reference(function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    return function(torch.from_numpy(x).double()).numpy()


@pytest.mark.parametrize("name", IN_LAST_PLACES)
def test_composites_are_within_a_few_units_in_the_last_place(name: str) -> None:
    function, x, bound = IN_LAST_PLACES[name]
    wanted = reference(function, x)
    unit = np.spacing(np.abs(wanted).astype(np.float32)).astype(np.float64)
    assert np.max(np.abs(law(function, x) - wanted) / unit) <= bound


@pytest.mark.parametrize("name", OF_ONE)
def test_gamma_functions_are_within_a_few_roundings(name: str) -> None:
    function, x, bound = OF_ONE[name]
    wanted = reference(function, x)
    assert np.max(np.abs(law(function, x) - wanted) / np.maximum(np.abs(wanted), 1)) <= bound * 2.0**-24


@pytest.mark.parametrize("function", [torch.atan2, torch.pow])
def test_special_values_are_those_of_torch(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    values = torch.tensor([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, torch.inf, -torch.inf, torch.nan])
    y, x = (part.flatten() for part in torch.meshgrid(values, values, indexing="ij"))
    if function is torch.pow:  # 1 to the power of what is no number, and infinite bases of fractions, are not torch's
        kept = x.isfinite() & (y.abs() != torch.inf)
        y, x = y[kept], x[kept]
    got, wanted = law(lambda y: function(y, x.to(y.dtype)), y.numpy()), function(y, x).numpy()
    assert np.array_equal(np.isnan(got), np.isnan(wanted))
    number = ~np.isnan(wanted)
    np.testing.assert_allclose(got[number], wanted[number], rtol=1e-6)
    assert np.array_equal(np.signbit(got[number]), np.signbit(wanted[number]))
