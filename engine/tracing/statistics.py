"""Batch norm shows that it changes its running statistics: its schema hides it from functionalisation."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class VisibleStatistics(TorchDispatchMode):
    """Answers every batch norm by one without running statistics and the arithmetic that updates them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule = _batch_norm if func in BATCH_NORMS else func
        return rule(*args, **(kwargs or {}))


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


BATCH_NORMS = (aten.native_batch_norm.default, aten._native_batch_norm_legit.default)
