"""ATen's reductions, softmax and statistics. A sum of more than 2^16 elements becomes sums of sums, axis by axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from engine.tracing.builder import Builder, Scalar, Value
from engine.tracing.rules_elementwise import Rule, power_of
from kernels.types import TensorType

aten = torch.ops.aten
GROUP = 2**16
Axes = Sequence[int] | int | None


def normal_axes(x: Value, axes: Axes) -> tuple[int, ...]:
    """Ascending, from 0; none given means all."""
    if axes is None or (not isinstance(axes, int) and not len(axes)):
        return tuple(range(x.rank))
    chosen = [axes] if isinstance(axes, int) else axes
    return tuple(sorted(axis % max(x.rank, 1) for axis in chosen)) if x.rank else ()


def total(b: Builder, x: Value, axes: Axes = None, keep: bool = False) -> Value:
    """The sum over axes in groups of at most 2^16: the last axes first, a longer axis in runs."""
    reduced = normal_axes(x, axes)
    shape = tuple(1 if axis in reduced else size for axis, size in enumerate(x.shape))
    left = list(reduced)
    while left and x.dtype == "float32" and prod(x.shape[axis] for axis in left) > GROUP:
        if x.shape[left[-1]] > GROUP:
            x = _runs(b, x, left[-1])
            continue
        group = [left.pop()]
        while left and prod(x.shape[axis] for axis in (left[-1], *group)) <= GROUP:
            group.insert(0, left.pop())
        kept = tuple(1 if axis in group else size for axis, size in enumerate(x.shape))
        x = b.reshape(b.emit("sum", [x], axes=tuple(group)), kept)
    x = b.emit("sum", [x], axes=tuple(left)) if left else x
    return b.reshape(x, shape if keep else [size for axis, size in enumerate(shape) if axis not in reduced])


def _runs(b: Builder, x: Value, axis: int) -> Value:
    """The axis summed in runs of 2^16, the last one filled with zeros."""
    high = [0] * x.rank
    high[axis] = -x.shape[axis] % GROUP
    x = b.pad(x, [0] * x.rank, high)
    parted = b.reshape(x, (*x.shape[:axis], x.shape[axis] // GROUP, GROUP, *x.shape[axis + 1 :]))
    return b.emit("sum", [parted], axes=(axis + 1,))


def mean(b: Builder, x: Value, axes: Axes = None, keep: bool = False) -> Value:
    """The sum, then one division."""
    return total(b, x, axes, keep) / float(prod(x.shape[axis] for axis in normal_axes(x, axes)))


def extreme(b: Builder, op: str, x: Value, axes: Axes, keep: bool) -> Value:
    """amax or amin over axes."""
    reduced = normal_axes(x, axes)
    value = b.emit(op, [x], axes=reduced) if reduced else x
    return b.reshape(value, [1 if a in reduced else n for a, n in enumerate(x.shape)]) if keep else value


def _sum(b: Builder, out: TensorType, x: Value, axes: Axes = None, keep: bool = False, *, dtype: Any = None) -> Value:
    return total(b, b.cast(x, out.dtype), axes, keep)


def _mean(b: Builder, out: TensorType, x: Value, axes: Axes = None, keep: bool = False, *, dtype: Any = None) -> Value:
    return mean(b, b.cast(x, out.dtype), axes, keep)


def _extreme(op: str) -> Rule:
    return lambda b, out, x, axes=None, keep=False: extreme(b, op, x, axes, keep)


def _arg(op: str) -> Rule:
    def rule(b: Builder, out: TensorType, x: Value, axis: int | None = None, keep: bool = False) -> Value:
        if axis is None:
            x, axis = b.reshape(x, (prod(x.shape),)), 0
        if not x.rank:
            return b.full(0, "int64", ())
        return b.reshape(position(b, op, x, axis), out.shape)

    return rule


def position(b: Builder, op: str, x: Value, axis: int) -> Value:
    """The lowest index of the extreme along an axis, int64, the axis removed."""
    x = b.cast(x, "int32") if x.dtype == "bool" else x
    return b.emit("argmax", [x if op == "amax" else b.unary("neg", x)], axis=axis % x.rank)


def _extreme_and_position(op: str) -> Rule:
    def rule(b: Builder, out: Any, x: Value, axis: int, keep: bool = False) -> tuple[Value, Value]:
        index = b.reshape(position(b, op, x, axis), out[1].shape)
        return extreme(b, op, x, axis, keep), index

    return rule


def _any(b: Builder, out: TensorType, x: Value, axes: Axes = None, keep: bool = False) -> Value:
    return extreme(b, "amax", b.cast(x, "bool"), axes, keep)


def _all(b: Builder, out: TensorType, x: Value, axes: Axes = None, keep: bool = False) -> Value:
    return extreme(b, "amin", b.cast(x, "bool"), axes, keep)


def variance(b: Builder, x: Value, axes: Axes, correction: Scalar, keep: bool) -> tuple[Value, Value]:
    """The mean of squared distances from the mean, and the mean."""
    centre = mean(b, x, axes, keep=True)
    squares = square(x - centre)
    count = prod(x.shape[axis] for axis in normal_axes(x, axes))
    spread = total(b, squares, axes, keep) / float(max(count - correction, 0))
    return spread, centre if keep else b.reshape(centre, spread.shape)


def square(x: Value) -> Value:
    """x times x."""
    return x * x


def _var(
    b: Builder, out: TensorType, x: Value, axes: Axes = None, *, correction: Scalar | None = 1, keepdim: bool = False
) -> Value:
    return variance(b, x, axes, 1 if correction is None else correction, keepdim)[0]


def _var_mean(
    b: Builder, out: Any, x: Value, axes: Axes = None, *, correction: Scalar | None = 1, keepdim: bool = False
) -> Any:
    return variance(b, x, axes, 1 if correction is None else correction, keepdim)


def _std(b: Builder, out: TensorType, x: Value, axes: Axes = None, **options: Any) -> Value:
    return b.unary("sqrt", _var(b, out, x, axes, **options))


def _norm(
    b: Builder, out: TensorType, x: Value, order: Scalar = 2, axes: Axes = None, keep: bool = False, **_: Any
) -> Value:
    if order == 2:
        return b.unary("sqrt", total(b, square(x), axes, keep))
    if order == 1:
        return total(b, b.unary("abs", x), axes, keep)
    if order in (float("inf"), float("-inf")):
        return extreme(b, "amax" if order > 0 else "amin", b.unary("abs", x), axes, keep)
    if order == 0:
        return total(b, b.cast(b.cast(x, "bool"), "float32"), axes, keep)
    powers = power_of(b, b.unary("abs", x), order)
    return power_of(b, total(b, powers, axes, keep), 1.0 / order)


def _trace(b: Builder, out: TensorType, x: Value) -> Value:
    diagonal = b.binary("eq", b.iota((x.shape[0], 1), 0), b.iota((1, x.shape[1]), 1))
    return total(b, b.select(diagonal, b.cast(x, out.dtype), 0))


def _cumsum(b: Builder, out: TensorType, x: Value, axis: int, **_: Any) -> Value:
    x = b.cast(x, out.dtype)
    return b.emit("cumsum", [x], axis=axis % x.rank) if x.rank else x


def _prod(b: Builder, out: TensorType, x: Value, axis: int | None = None, keep: bool = False, **_: Any) -> Value:
    x = b.cast(x, out.dtype)
    if axis is None:
        x, axis = b.reshape(x, (prod(x.shape),)), 0
    if not x.shape[axis]:
        return b.full(1, out.dtype, out.shape)
    while x.shape[axis] > 1:
        half = x.shape[axis] // 2
        product = b.slice(x, axis, 0, half) * b.slice(x, axis, half, 2 * half)
        x = (
            b.concat([product, b.slice(x, axis, 2 * half, x.shape[axis])], axis % x.rank)
            if x.shape[axis] % 2
            else product
        )
    return b.reshape(x, out.shape)


def _exponentials(b: Builder, x: Value, axis: int) -> tuple[Value, Value]:
    """exp(x - max) and its sum along an axis."""
    power = b.unary("exp", x - extreme(b, "amax", x, axis, keep=True))
    return power, total(b, power, axis, keep=True)


def softmax(b: Builder, x: Value, axis: int) -> Value:
    """exp(x - max) / sum."""
    if not x.rank:
        return b.full(1.0, "float32", ())
    power, norm = _exponentials(b, x, axis)
    return power / norm


def _softmax(b: Builder, out: TensorType, x: Value, axis: int, *_: Any) -> Value:
    return softmax(b, b.cast(x, "float32"), axis)


def _safe_softmax(b: Builder, out: TensorType, x: Value, axis: int, dtype: Any = None) -> Value:
    masked = b.binary("eq", extreme(b, "amax", x, axis, keep=True), float("-inf"))
    if _is_false(b, masked):
        return softmax(b, x, axis)
    return b.select(masked, 0.0, softmax(b, x, axis))


def _is_false(b: Builder, x: Value) -> bool:
    known = b.known(x)
    return known is not None and not known.any()


def _softmax_backward(b: Builder, out: TensorType, g: Value, y: Value, axis: int, dtype: Any) -> Value:
    weighted = g * y
    return weighted - y * total(b, weighted, axis, keep=True)


def _log_softmax(b: Builder, out: TensorType, x: Value, axis: int, *_: Any) -> Value:
    x = b.cast(x, "float32")
    _power, norm = _exponentials(b, x, axis)
    return x - extreme(b, "amax", x, axis, keep=True) - b.unary("log", norm)


def _log_softmax_backward(b: Builder, out: TensorType, g: Value, y: Value, axis: int, dtype: Any) -> Value:
    return g - b.unary("exp", y) * total(b, g, axis, keep=True)


def _logsumexp(b: Builder, out: TensorType, x: Value, axes: Axes, keep: bool = False) -> Value:
    top = extreme(b, "amax", x, axes, keep=True)
    finite = b.select(b.binary("eq", b.unary("abs", top), float("inf")), 0.0, top)
    return b.reshape(b.unary("log", total(b, b.unary("exp", x - finite), axes, keep=True)) + finite, out.shape)


RULES: dict[Any, Rule] = {
    aten.sum.default: _sum,
    aten.sum.dim_IntList: _sum,
    aten.mean.default: _mean,
    aten.mean.dim: _mean,
    aten.amax.default: _extreme("amax"),
    aten.amin.default: _extreme("amin"),
    aten.max.default: _extreme("amax"),
    aten.min.default: _extreme("amin"),
    aten.max.dim: _extreme_and_position("amax"),
    aten.min.dim: _extreme_and_position("amin"),
    aten.argmax.default: _arg("amax"),
    aten.argmin.default: _arg("amin"),
    aten.any.default: _any,
    aten.any.dim: _any,
    aten.any.dims: _any,
    aten.all.default: _all,
    aten.all.dim: _all,
    aten.all.dims: _all,
    aten.var.correction: _var,
    aten.var_mean.correction: _var_mean,
    aten.std.correction: _std,
    aten.linalg_vector_norm.default: _norm,
    aten.norm.ScalarOpt_dim: _norm,
    aten.norm.Scalar: _norm,
    aten.trace.default: _trace,
    aten.cumsum.default: _cumsum,
    aten.prod.default: _prod,
    aten.prod.dim_int: _prod,
    aten._softmax.default: _softmax,
    aten._safe_softmax.default: _safe_softmax,
    aten._softmax_backward_data.default: _softmax_backward,
    aten._log_softmax.default: _log_softmax,
    aten._log_softmax_backward_data.default: _log_softmax_backward,
    aten.logsumexp.default: _logsumexp,
}
