"""Operators that are answered by others while the loss runs, below autograd: their gradients are torch's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.tracing.each import each, is_of_lists
from engine.tracing.linear_algebra import DETERMINANTS
from engine.tracing.statistics import ANSWERS as BATCH_NORMS

aten = torch.ops.aten


class Answers(TorchDispatchMode):
    """Answers batch norms, determinants, lists of tensors and the zeros of forward derivatives."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule = ANSWERS.get(func, func)
        if rule is func and is_of_lists(func):
            rule = partial(each, func)
        return rule(*args, **(kwargs or {}))


def _zeros(size: Sequence[int], **options: Any) -> Tensor:
    """With a value: torch's own, which have none, lose their device under vmap."""
    return aten.zeros(size, **options)


ANSWERS: dict[Any, Callable[..., Any]] = {**BATCH_NORMS, **DETERMINANTS, aten._efficientzerotensor.default: _zeros}
