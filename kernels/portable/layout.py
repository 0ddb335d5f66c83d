"""Index maps and movement without arithmetic: kernels/spec/{layout,movement}.py as they stand; NumPy is fast enough."""

from __future__ import annotations

from collections.abc import Callable

from kernels.spec.layout import OPERATORS as LAYOUT
from kernels.spec.movement import OPERATORS as MOVEMENT
from kernels.spec.operator import Array


def _unthreaded(value: Callable[..., Array]) -> Callable[..., Array]:
    """The definition itself, which has no use for threads."""
    return lambda *inputs, threads, **attributes: value(*inputs, **attributes)


OPERATORS = {operator.name: _unthreaded(operator.value) for operator in (*LAYOUT, *MOVEMENT)}
