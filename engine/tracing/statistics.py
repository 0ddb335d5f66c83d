"""Batch norm without running statistics and the arithmetic that updates them: its schema hides that it does."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    if not training:
        return aten._native_batch_norm_legit_no_training(x, weight, bias, running_mean, running_var, momentum, eps)
    result = aten._native_batch_norm_legit.no_stats(x, weight, bias, True, momentum, eps)
    if running_mean is not None and running_var is not None:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        unbiased = torch.var(x, axes, correction=1 if prod(x.shape[axis] for axis in axes) > 1 else 0)
        running_mean.copy_(running_mean * (1.0 - momentum) + result[1] * momentum)
        running_var.copy_(running_var * (1.0 - momentum) + unbiased * momentum)
    return result


ANSWERS: dict[Any, Callable[..., Any]] = {
    aten.native_batch_norm.default: _batch_norm,
    aten._native_batch_norm_legit.default: _batch_norm,
}
