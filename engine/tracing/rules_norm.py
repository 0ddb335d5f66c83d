"""Layer, group and batch norm with their gradients: mean, centred squares, 1 / sqrt(variance + eps)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from engine.tracing.builder import Builder, Value
from engine.tracing.rules_elementwise import Rule
from engine.tracing.rules_reduction import mean, total, variance

aten = torch.ops.aten


def _inverse(b: Builder, spread: Value, eps: float) -> Value:
    return b.unary("rsqrt", spread + eps)


def _normalise(b: Builder, x: Value, axes: Sequence[int], eps: float) -> tuple[Value, Value, Value]:
    """(x - mean) / sqrt(variance + eps), the mean, and 1 / sqrt(variance + eps), both with kept axes."""
    spread, centre = variance(b, x, axes, 0, keep=True)
    inverse = _inverse(b, spread, eps)
    return (x - centre) * inverse, centre, inverse


def _backward(b: Builder, g: Value, normal: Value, inverse: Value, axes: Sequence[int]) -> Value:
    """The gradient through (x - mean) * inverse for a gradient g of the result."""
    return (g - mean(b, g, axes, keep=True) - normal * mean(b, g * normal, axes, keep=True)) * inverse


def _layer_norm(
    b: Builder, out: Any, x: Value, shape: Sequence[int], w: Value | None, bias: Value | None, eps: float
) -> Any:
    axes = range(x.rank - len(shape), x.rank)
    normal, centre, inverse = _normalise(b, x, axes, eps)
    value = normal if w is None else normal * w
    return (value if bias is None else value + bias), centre, inverse


def _layer_norm_backward(
    b: Builder,
    out: Any,
    g: Value,
    x: Value,
    shape: Sequence[int],
    centre: Value,
    inverse: Value,
    w: Value | None,
    bias: Value | None,
    wanted: Sequence[bool],
) -> tuple[Value | None, ...]:
    axes, outer = range(x.rank - len(shape), x.rank), range(x.rank - len(shape))
    normal = (x - centre) * inverse
    inner = g if w is None else g * w
    return (
        _backward(b, inner, normal, inverse, axes) if wanted[0] else None,
        _outer(b, g * normal, outer) if wanted[1] else None,
        _outer(b, g, outer) if wanted[2] else None,
    )


def _outer(b: Builder, x: Value, axes: Sequence[int]) -> Value:
    return total(b, x, axes) if len(axes) else x


def _per_channel(b: Builder, v: Value, rank: int) -> Value:
    return b.reshape(v, (1, v.shape[0], *(1,) * (rank - 2)))


def _affine(b: Builder, normal: Value, w: Value | None, bias: Value | None) -> Value:
    value = normal if w is None else normal * _per_channel(b, w, normal.rank)
    return value if bias is None else value + _per_channel(b, bias, normal.rank)


def _batch_norm(
    b: Builder, out: Any, x: Value, w: Value | None, bias: Value | None, training: bool, momentum: float, eps: float
) -> Any:
    axes = [axis for axis in range(x.rank) if axis != 1]
    normal, centre, inverse = _normalise(b, x, axes, eps)
    return _affine(b, normal, w, bias), b.reshape(centre, (x.shape[1],)), b.reshape(inverse, (x.shape[1],))


def _batch_norm_of_running(
    b: Builder,
    out: Any,
    x: Value,
    w: Value | None,
    bias: Value | None,
    centre: Value,
    spread: Value,
    momentum: float,
    eps: float,
) -> Any:
    inverse = _inverse(b, _per_channel(b, spread, x.rank), eps)
    empty = b.full(0, "float32", (0,))
    return _affine(b, (x - _per_channel(b, centre, x.rank)) * inverse, w, bias), empty, empty


def _batch_norm_backward(
    b: Builder,
    out: Any,
    g: Value,
    x: Value,
    w: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    centre: Value | None,
    inverse: Value | None,
    training: bool,
    eps: float,
    wanted: Sequence[bool],
) -> tuple[Value | None, ...]:
    axes = [axis for axis in range(x.rank) if axis != 1]
    if not training:
        assert running_mean is not None and running_var is not None, "evaluation uses running statistics"
        centre, inverse = running_mean, _inverse(b, running_var, eps)
    assert centre is not None and inverse is not None, "training saves the batch's statistics"
    wide = _per_channel(b, inverse, x.rank)
    normal = (x - _per_channel(b, centre, x.rank)) * wide
    inner = g if w is None else g * _per_channel(b, w, x.rank)
    to_x = _backward(b, inner, normal, wide, axes) if training else inner * wide
    return (
        to_x if wanted[0] else None,
        total(b, g * normal, axes) if wanted[1] else None,
        total(b, g, axes) if wanted[2] else None,
    )


def _group_norm(
    b: Builder,
    out: Any,
    x: Value,
    w: Value | None,
    bias: Value | None,
    N: int,
    C: int,
    size: int,
    groups: int,
    eps: float,
) -> Any:
    normal, centre, inverse = _normalise(b, b.reshape(x, (N, groups, C // groups, size)), (2, 3), eps)
    value = _affine(b, b.reshape(normal, x.shape), w, bias)
    return value, b.reshape(centre, (N, groups)), b.reshape(inverse, (N, groups))


def _group_norm_backward(
    b: Builder,
    out: Any,
    g: Value,
    x: Value,
    centre: Value,
    inverse: Value,
    w: Value | None,
    N: int,
    C: int,
    size: int,
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Value | None, ...]:
    grouped, axes = (N, groups, C // groups, size), (2, 3)
    wide = b.reshape(inverse, (N, groups, 1, 1))
    normal = (b.reshape(x, grouped) - b.reshape(centre, (N, groups, 1, 1))) * wide
    inner = b.reshape(g if w is None else g * _per_channel(b, w, x.rank), grouped)
    others = [axis for axis in range(x.rank) if axis != 1]
    return (
        b.reshape(_backward(b, inner, normal, wide, axes), x.shape) if wanted[0] else None,
        total(b, g * b.reshape(normal, x.shape), others) if wanted[1] else None,
        total(b, g, others) if wanted[2] else None,
    )


RULES: dict[Any, Rule] = {
    aten.native_layer_norm.default: _layer_norm,
    aten.native_layer_norm_backward.default: _layer_norm_backward,
    aten._native_batch_norm_legit.no_stats: _batch_norm,
    aten._native_batch_norm_legit_no_training.default: _batch_norm_of_running,
    aten.native_batch_norm_backward.default: _batch_norm_backward,
    aten.native_group_norm.default: _group_norm,
    aten.native_group_norm_backward.default: _group_norm_backward,
}
