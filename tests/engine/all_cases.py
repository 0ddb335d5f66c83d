"""Every case of the tracer's operators as a job of two steps of one parameter, by the family of its operators."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.plain_torch import job_of
from tests.engine import basic_cases as basic
from tests.engine.fourier_cases import CASES as FOURIER
from tests.engine.linear_algebra_cases import CASES as MATRICES
from tests.engine.operator_cases import MORE, Function
from tests.engine.special_cases import CASES as SPECIAL
from tests.engine.writing_cases import WRITES

SHAPE = (4, 6)


class Applied(nn.Module):
    """f of a parameter plus the batch, weighed by numbers that tell its elements apart."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.linspace(-1.3, 1.7, prod(SHAPE)).reshape(SHAPE))

    def forward(self, x: Tensor) -> Tensor:
        y = self.function(self.weight + x)
        y = (y if y.is_floating_point() else y.float()).flatten()
        spread = torch.cos(torch.arange(y.shape[0]) * 1.7) + 0.3
        return (y * spread).sum() + (self.weight * self.weight).sum()


def apply(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(batch["x"])


def job(function: Function) -> Any:
    data = {"x": np.random.default_rng(1).normal(0, 0.2, (8, 6)).astype(np.float32)}
    model = Applied(function)
    return job_of(model, apply, data, optimizer=torch.optim.SGD(model.parameters(), lr=0.01), steps=2)


BASIC = (
    basic.ELEMENTWISE,
    basic.ACTIVATIONS,
    basic.LAYOUT,
    basic.REDUCTIONS,
    basic.PRODUCTS,
    basic.INDEXING,
    basic.LOSSES,
)
CASES: dict[str, Function] = {name: function for group in BASIC for name, function in group.items()} | {
    **MORE,
    **WRITES,
    **SPECIAL,
    **FOURIER,
    **MATRICES,
}
