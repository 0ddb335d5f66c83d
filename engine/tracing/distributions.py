"""Draws of other distributions, made of uniform and normal numbers of call sites of their own."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.tracing.errors import TraceError

if TYPE_CHECKING:
    from engine.tracing.randomness import ExplicitRandomness

aten = torch.ops.aten
UNIT = 2.0**-24
PROPOSALS = 6  # of which each is taken with a probability of at least 0.95


def refuse_generator(generator: Any) -> None:
    """A generator of the user's own would draw other numbers than the job's seed."""
    if generator is not None:
        raise TraceError("trace: got a random operator with a generator of its own, want none: the job's seed decides")


def _positive(mode: ExplicitRandomness, x: Tensor) -> Tensor:
    """Uniform numbers in (0, 1] of x's shape."""
    return mode.uniform(x.shape) + UNIT


def _gamma(mode: ExplicitRandomness, alpha: Tensor, generator: Any = None) -> Tensor:
    """By Marsaglia and Tsang: the first proposal that is taken, or the middle where none of them is."""
    refuse_generator(generator)
    is_small = alpha < 1
    d = torch.where(is_small, alpha + 1, alpha) - 1 / 3
    c, value, is_done = 1 / (9 * d).sqrt(), d, torch.zeros_like(alpha, dtype=torch.bool)
    for _ in range(PROPOSALS):
        x = mode.normal(alpha.shape)
        v = (1 + c * x) ** 3
        bound = 0.5 * x.square() + d - d * v + d * v.clamp_min(UNIT).log()
        is_taken = (v > 0) & (_positive(mode, alpha).log() < bound) & ~is_done
        value, is_done = torch.where(is_taken, d * v, value), is_done | is_taken
    value = value * torch.where(is_small, (_positive(mode, alpha).log() / alpha).exp(), 1.0)
    return value.clamp_min(torch.finfo(torch.float32).tiny)


def _dirichlet(mode: ExplicitRandomness, alpha: Tensor, generator: Any = None) -> Tensor:
    value = _gamma(mode, alpha, generator)
    return value / value.sum(-1, keepdim=True)


def _cauchy_(
    mode: ExplicitRandomness, x: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
) -> Tensor:
    refuse_generator(generator)
    return x.copy_(torch.tan((mode.uniform(x.shape) - 0.5) * pi) * sigma + median)


def _log_normal_(
    mode: ExplicitRandomness, x: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
) -> Tensor:
    refuse_generator(generator)
    return x.copy_((mode.normal(x.shape) * std + mean).exp())


def _geometric_(mode: ExplicitRandomness, x: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """The number of trials up to the first success."""
    refuse_generator(generator)
    trials = _positive(mode, x).log() / torch.log1p(torch.tensor(-p))
    return x.copy_(trials.ceil().clamp_min(1).to(x.dtype))


RULES: dict[Any, Callable[..., Any]] = {
    aten._standard_gamma.default: _gamma,
    aten._sample_dirichlet.default: _dirichlet,
    aten.cauchy_.default: _cauchy_,
    aten.log_normal_.default: _log_normal_,
    aten.geometric_.default: _geometric_,
}
