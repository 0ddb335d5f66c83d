"""The law with NumPy and numba: any CPU, no compiler at install. kernels/spec defines every operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kernels.float_mode import ieee_mode
from kernels.portable import conv, elementwise, indexing, layout, matmul, random, reduction
from kernels.portable.rounding import maxima
from kernels.spec import is_layout
from kernels.spec.operator import Array, Attributes

__all__ = ["OPERATORS", "maxima", "run"]

OPERATORS: dict[str, Callable[..., Array]] = {
    **layout.OPERATORS,
    **elementwise.OPERATORS,
    **reduction.OPERATORS,
    **matmul.OPERATORS,
    **conv.OPERATORS,
    **indexing.OPERATORS,
    **random.OPERATORS,
}


def run(op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1) -> Array:
    """The operator's value, row-major; the types are taken as checked by infer. The threads do not change a bit.

    Products run in NumPy's BLAS, which has threads of its own.
    """
    with ieee_mode():
        value = OPERATORS[op](*inputs, **attributes, threads=threads)
    return value if is_layout(op) else np.asarray(value, order="C")
