"""Random operators become functions of (seed, step, micro-batch, call site).

A dispatch mode sees every operator that a model runs, forward and backward, below autograd. Each random one is
answered from `isobit::bits`, numbered in call order. The same mode around an ordinary torch loop gives that loop the
program's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import pi
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.tracing.distributions import RULES as OF_DISTRIBUTIONS
from engine.tracing.distributions import refuse_generator
from engine.tracing.errors import TraceError
from kernels.backends import available, run

aten = torch.ops.aten
UNIT = 2.0**-24


@torch.library.custom_op("isobit::bits", mutates_args=())
def bits(key: Tensor, site: int, shape: Sequence[int]) -> Tensor:
    """The law's random_bits as int64 in [0, 2^32).

    key: [3] int64, the seed, the step and the micro-batch
    """
    operands = [np.array(number, np.int64) for number in key.tolist()]
    words = run("random_bits", operands, {"site": site, "shape": tuple(shape)}, backend=available()[0])
    return torch.from_numpy(words.astype(np.int64))


@bits.register_fake
def _(key: Tensor, site: int, shape: Sequence[int]) -> Tensor:
    return key.new_empty(list(shape))


class ExplicitRandomness(TorchDispatchMode):
    """Answers every random operator from (key, call site).

    key: [3] int64, the seed, the step and the micro-batch
    """

    def __init__(self, key: Tensor) -> None:
        super().__init__()
        self.key, self.site = key, 0
        self.drawn: int | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule = RULES.get(func)
        if rule is not None:
            return rule(self, *args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags and not _draws_nothing(func, args, kwargs or {}):
            raise TraceError(
                f"trace: {func} draws random numbers in a way that has no rule here; draw with dropout, rand, randn,"
                " randint, bernoulli, uniform_ or normal_"
            )
        return func(*args, **(kwargs or {}))

    def bits(self, shape: Sequence[int]) -> Tensor:
        """Fresh bits of the next call site."""
        if self.drawn is not None and self.site >= self.drawn:
            raise TraceError(
                "trace: new random numbers are drawn while the gradient is computed, so a recomputation would not see"
                " those of the loss; call checkpoint(..., preserve_rng_state=True)"
            )
        self.site += 1
        return torch.ops.isobit.bits(self.key, self.site - 1, list(shape))

    def loss_is_done(self) -> None:
        """From now on no call site is new: a gradient may only see the loss's numbers again."""
        self.drawn = self.site

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Multiples of 2^-24 in [0, 1)."""
        return (self.bits(shape) >> 8).to(torch.float32) * UNIT

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Box-Muller from two call sites."""
        radius = torch.sqrt(torch.log(self.uniform(shape) + UNIT) * -2.0)
        return radius * torch.cos(self.uniform(shape) * (2 * pi))


def _draws_nothing(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether an operator that may draw is told not to: attention without dropout."""
    names = [argument.name for argument in func._schema.arguments]
    values = dict(zip(names, args, strict=False)) | kwargs
    return "dropout_p" in names and values.get("dropout_p", 0.0) == 0.0


def _as(result: Tensor, like: Tensor | None, kwargs: dict[str, Any]) -> Tensor:
    dtype = kwargs.get("dtype") or (like.dtype if like is not None else torch.get_default_dtype())
    return result if result.dtype == dtype else result.to(dtype)


def _bernoulli(mode: ExplicitRandomness, x: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    refuse_generator(generator)
    return (mode.uniform(x.shape) < (x if p is None else p)).to(x.dtype)


def _bernoulli_(mode: ExplicitRandomness, x: Tensor, p: float | Tensor = 0.5, *, generator: Any = None) -> Tensor:
    refuse_generator(generator)
    return x.copy_((mode.uniform(x.shape) < p).to(x.dtype))


def _native_dropout(mode: ExplicitRandomness, x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    if train is False or p == 0.0:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    keep = mode.uniform(x.shape) < 1.0 - p
    return x * keep.to(x.dtype) * (1.0 / (1.0 - p) if p < 1.0 else 0.0), keep


def _rand(mode: ExplicitRandomness, size: Sequence[int], generator: Any = None, **kwargs: Any) -> Tensor:
    refuse_generator(generator)
    return _as(mode.uniform(size), None, kwargs)


def _randn(mode: ExplicitRandomness, size: Sequence[int], generator: Any = None, **kwargs: Any) -> Tensor:
    refuse_generator(generator)
    return _as(mode.normal(size), None, kwargs)


def _rand_like(mode: ExplicitRandomness, x: Tensor, **kwargs: Any) -> Tensor:
    return _as(mode.uniform(x.shape), x, kwargs)


def _randn_like(mode: ExplicitRandomness, x: Tensor, **kwargs: Any) -> Tensor:
    return _as(mode.normal(x.shape), x, kwargs)


def _integers(mode: ExplicitRandomness, low: int, high: int, size: Sequence[int]) -> Tensor:
    if not 0 < high - low < 2**31:
        raise TraceError(f"trace: randint: got a range of {high - low}, want 1 to {2**31 - 1}")
    return ((mode.bits(size) * (high - low)) >> 32) + low


def _randint(mode: ExplicitRandomness, high: int, size: Sequence[int], generator: Any = None, **kwargs: Any) -> Tensor:
    return _randint_low(mode, 0, high, size, generator, **kwargs)


def _randint_low(
    mode: ExplicitRandomness, low: int, high: int, size: Sequence[int], generator: Any = None, **kwargs: Any
) -> Tensor:
    refuse_generator(generator)
    drawn = _integers(mode, low, high, size)
    return drawn.to(kwargs["dtype"]) if kwargs.get("dtype") else drawn


def _randint_like(mode: ExplicitRandomness, x: Tensor, high: int, **kwargs: Any) -> Tensor:
    return _as(_integers(mode, 0, high, x.shape), x, kwargs)


def _randint_like_low(mode: ExplicitRandomness, x: Tensor, low: int, high: int, **kwargs: Any) -> Tensor:
    return _as(_integers(mode, low, high, x.shape), x, kwargs)


def _uniform_(
    mode: ExplicitRandomness, x: Tensor, low: float = 0.0, high: float = 1.0, *, generator: Any = None
) -> Tensor:
    refuse_generator(generator)
    return x.copy_(mode.uniform(x.shape) * (high - low) + low)


def _normal_(
    mode: ExplicitRandomness, x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None
) -> Tensor:
    refuse_generator(generator)
    return x.copy_(mode.normal(x.shape) * std + mean)


def _normal_of(
    mode: ExplicitRandomness, mean: Any, std: Any = 1.0, *size: Any, generator: Any = None, **_: Any
) -> Tensor:
    refuse_generator(generator)
    like = next((value for value in (mean, std) if isinstance(value, Tensor)), None)
    return mode.normal(like.shape if like is not None else size[0]) * std + mean


def _exponential_(mode: ExplicitRandomness, x: Tensor, rate: float = 1.0, *, generator: Any = None) -> Tensor:
    """Minus the logarithm of a uniform number in (0, 1]."""
    refuse_generator(generator)
    return x.copy_(torch.log(mode.uniform(x.shape) + UNIT) * (-1.0 / rate))


def _randperm(mode: ExplicitRandomness, n: int, *, generator: Any = None, **kwargs: Any) -> Tensor:
    refuse_generator(generator)
    return torch.argsort(mode.bits([n]), stable=True)


def _multinomial(
    mode: ExplicitRandomness, p: Tensor, count: int, replacement: bool = False, *, generator: Any = None
) -> Tensor:
    """Without replacement the largest of p / exponential numbers, with it the places of uniform ones in p's sums."""
    refuse_generator(generator)
    if not replacement or count == 1:
        waits = -torch.log(mode.uniform(p.shape) + UNIT)
        return torch.topk(p / torch.where(p > 0, waits.clamp_min(UNIT), 1.0), count).indices
    sums = p.cumsum(-1)
    drawn = mode.uniform((*p.shape[:-1], count)) * sums[..., -1:]
    return (sums.unsqueeze(-2) <= drawn.unsqueeze(-1)).sum(-1).clamp_max(p.shape[-1] - 1)


def _random_(mode: ExplicitRandomness, x: Tensor, *ends: int, generator: Any = None) -> Tensor:
    """Integers below `to`, from `from` or 0."""
    refuse_generator(generator)
    low, high = (0, *ends)[-2:]
    return x.copy_(_integers(mode, low, high, x.shape).to(x.dtype))


def _rrelu(
    mode: ExplicitRandomness,
    x: Tensor,
    noise: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
) -> Tensor:
    """Slopes of its own for every negative element, which `noise` keeps for the gradient."""
    refuse_generator(generator)
    if not training:
        return aten.leaky_relu(x, (lower + upper) / 2)
    noise.copy_(torch.where(x <= 0, mode.uniform(x.shape) * (upper - lower) + lower, 1.0))
    return x * noise


def _rrelu_(mode: ExplicitRandomness, x: Tensor, *options: Any, **kwargs: Any) -> Tensor:
    return x.copy_(_rrelu(mode, x, *options, **kwargs))


RULES: dict[Any, Callable[..., Any]] = {
    **OF_DISTRIBUTIONS,
    aten.bernoulli.default: _bernoulli,
    aten.bernoulli.p: _bernoulli,
    aten.bernoulli_.float: _bernoulli_,
    aten.bernoulli_.Tensor: _bernoulli_,
    aten.native_dropout.default: _native_dropout,
    aten.rand.default: _rand,
    aten.rand.generator: _rand,
    aten.randn.default: _randn,
    aten.randn.generator: _randn,
    aten.rand_like.default: _rand_like,
    aten.randn_like.default: _randn_like,
    aten.randint.default: _randint,
    aten.randint.low: _randint_low,
    aten.randint.generator: _randint,
    aten.randint.low_generator: _randint_low,
    aten.randint_like.default: _randint_like,
    aten.randint_like.low_dtype: _randint_like_low,
    aten.uniform_.default: _uniform_,
    aten.normal_.default: _normal_,
    aten.normal.Tensor_float: _normal_of,
    aten.normal.float_Tensor: _normal_of,
    aten.normal.Tensor_Tensor: _normal_of,
    aten.normal.float_float: _normal_of,
    aten.exponential_.default: _exponential_,
    aten.randperm.default: _randperm,
    aten.multinomial.default: _multinomial,
    aten.random_.to: _random_,
    getattr(aten.random_, "from"): _random_,
    aten.rrelu_with_noise.default: _rrelu,
    aten.rrelu_with_noise_.default: _rrelu_,
}


@contextmanager
def recomputation_sees_the_same(mode: ExplicitRandomness) -> Iterator[None]:
    """While active, torch's random state is the next call site, so activation checkpointing restores it too.

    torch.utils.checkpoint saves the random state before a block and restores it before it computes the block again.
    """

    def get(device: Any = "cpu") -> int:
        return mode.site

    def put(state: int, device: Any = "cpu") -> None:
        mode.site = state

    with (
        patch.object(torch, "get_rng_state", get),
        patch.object(torch, "set_rng_state", put),
        patch.object(torch.random, "get_rng_state", get),
        patch.object(torch.random, "set_rng_state", put),
    ):
        yield
