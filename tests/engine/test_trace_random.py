"""Draws of other distributions have their mean and variance."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.distributions as D
from torch import Tensor

from engine.tracing.randomness import ExplicitRandomness

N = 50_000
DRAWS: dict[str, tuple[Callable[[], Tensor], float, float]] = {
    "gamma of 0.3": (lambda: D.Gamma(torch.tensor(0.3), 1.0).sample((N,)), 0.3, 0.3),
    "gamma of 1": (lambda: D.Gamma(torch.tensor(1.0), 1.0).sample((N,)), 1.0, 1.0),
    "gamma of 7 at rate 2": (lambda: D.Gamma(torch.tensor(7.0), 2.0).sample((N,)), 3.5, 1.75),
    "beta of 0.2": (lambda: D.Beta(torch.tensor(0.2), torch.tensor(0.2)).sample((N,)), 0.5, 0.25 / 1.4),
    "Dirichlet": (lambda: D.Dirichlet(torch.tensor([1.0, 2, 3])).sample((N,))[:, 2], 0.5, 0.25 / 7),
    "chi squared": (lambda: D.Chi2(torch.tensor(3.0)).sample((N,)), 3.0, 6.0),
    "geometric": (lambda: torch.empty(N).geometric_(0.4), 2.5, 3.75),
    "logarithms of log normal": (lambda: torch.empty(N).log_normal_(0.5, 2.0).log(), 0.5, 4.0),
    "arcs of Cauchy": (lambda: torch.atan(torch.empty(N).cauchy_()), 0.0, torch.pi**2 / 12),
    "exponential": (lambda: torch.empty(N).exponential_(2.0), 0.5, 0.25),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_has_the_mean_and_the_variance_of_its_distribution(name: str) -> None:
    draw, mean, variance = DRAWS[name]
    with ExplicitRandomness(torch.tensor([5, 0, 0])):
        found = draw().double()
    assert abs(found.mean() - mean) < 4 * (variance / N) ** 0.5
    assert abs(found.var() / variance - 1) < 0.05
