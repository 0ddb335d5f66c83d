"""A small network, its data and losses: what the tests of the tracer wrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

X = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
LABELS = np.arange(20) % 3
RNG = np.random.default_rng(5)
PAIRS = {"x": RNG.standard_normal((12, 4)).astype(np.float32), "y": RNG.standard_normal((12, 4)).astype(np.float32)}


def squares(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.mse_loss(model(batch["x"]), batch["x"][:, :1])


def distance(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.mse_loss(model(batch["x"]), batch["y"])


def classify(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch["x"]), batch["y"])


class Net(nn.Module):
    """A line of a network, wrapped by what a test does to it."""

    def __init__(self, forward: Any = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line, self.wrapped = nn.Linear(6, 1), forward

    def forward(self, x: Tensor) -> Tensor:
        return self.wrapped(self.line, x) if self.wrapped else self.line(x)


class Around(nn.Module):
    """A function of a line's result."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.function = nn.Linear(4, 4), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer(x))
