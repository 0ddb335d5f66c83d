"""Index maps without arithmetic: reshape, permute, broadcast, slice. A backend may return views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels.spec.operator import Array, Attributes, Operator, want
from kernels.types import TensorType

Types = Sequence[TensorType]


def _reshape_rule(types: Types, attributes: Attributes) -> TensorType:
    x, shape = types[0], tuple(attributes["shape"])
    result = TensorType(x.dtype, shape)
    want(result.size == x.size, "reshape", f"x {x} and shape {shape}", f"{x.size} elements")
    return result


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """The same elements in another shape.

    Value:    element e of the result, in row-major order, is element e of x
    Gradient: x <- reshape(g, shape of x)
    """
    return np.reshape(x, tuple(shape))


def _permute_rule(types: Types, attributes: Attributes) -> TensorType:
    x, axes = types[0], tuple(attributes["axes"])
    want(sorted(axes) == list(range(len(x.shape))), "permute", f"x {x} and axes {axes}", "each axis of x once")
    return TensorType(x.dtype, tuple(x.shape[axis] for axis in axes))


def permute(x: Array, axes: Sequence[int]) -> Array:
    """x with its axes in another order.

    Value:    axis i of the result is axis axes[i] of x
    Gradient: x <- permute(g, inverse of axes)
    """
    return np.transpose(x, tuple(axes))


def _broadcast_rule(types: Types, attributes: Attributes) -> TensorType:
    x, shape = types[0], tuple(attributes["shape"])
    fits = len(shape) == len(x.shape) and all(a == b or a == 1 for a, b in zip(x.shape, shape, strict=True))
    want(fits, "broadcast", f"x {x} and shape {shape}", "equal rank, and each axis of x equal to the shape's or 1")
    return TensorType(x.dtype, shape)


def broadcast(x: Array, shape: Sequence[int]) -> Array:
    """x repeated along its axes of size 1.

    Value:    out[..., i, ...] = x[..., 0 where that axis of x has size 1, else i, ...]
    Gradient: x <- sum of g over the repeated axes
    """
    return np.broadcast_to(x, tuple(shape))


def _slice_rule(types: Types, attributes: Attributes) -> TensorType:
    x = types[0]
    start, stop, step = attributes["start"], attributes["stop"], attributes["step"]
    same = len(start) == len(stop) == len(step) == len(x.shape)
    want(same, "slice", f"x {x} and {len(start)} starts, {len(stop)} stops, {len(step)} steps", "one per axis")
    for a, b, c, size in zip(start, stop, step, x.shape, strict=True):
        want(0 <= a <= b <= size and c >= 1, "slice", f"{a}:{b}:{c} of {size}", "0 <= start <= stop <= size, step >= 1")
    return TensorType(x.dtype, tuple(-(-(b - a) // c) for a, b, c in zip(start, stop, step, strict=True)))


def slice_(x: Array, start: Sequence[int], stop: Sequence[int], step: Sequence[int]) -> Array:
    """Every step-th element from start up to, without, stop, along each axis.

    Value:    out[..., i, ...] = x[..., start + i * step, ...]
    Gradient: x <- g scattered into zeros at the same places
    """
    return x[tuple(slice(a, b, c) for a, b, c in zip(start, stop, step, strict=True))]


OPERATORS = (
    Operator("reshape", "layout", ("x",), _reshape_rule, reshape, {"shape": "ints"}),
    Operator("permute", "layout", ("x",), _permute_rule, permute, {"axes": "ints"}),
    Operator("broadcast", "layout", ("x",), _broadcast_rule, broadcast, {"shape": "ints"}),
    Operator("slice", "layout", ("x",), _slice_rule, slice_, {"start": "ints", "stop": "ints", "step": "ints"}),
)
