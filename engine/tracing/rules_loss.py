"""ATen's losses and their gradients."""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from engine.tracing.builder import Builder, Value
from engine.tracing.rules_elementwise import Rule
from engine.tracing.rules_reduction import square, total
from kernels.types import TensorType

aten = torch.ops.aten
NONE, MEAN, SUM = 0, 1, 2


def _class_axis(x: Value) -> int:
    return 1 if x.rank > 1 else 0


def _counted(b: Builder, target: Value, ignore: int) -> Value:
    """Whether each target counts."""
    return b.unary("bit_not", b.binary("eq", target, ignore))


def _weights(b: Builder, target: Value, w: Value | None, ignore: int) -> Value:
    """The weight of each target: its class's, 0 where it is ignored."""
    counted = _counted(b, target, ignore)
    if w is None:
        return b.cast(counted, "float32")
    return b.select(counted, b.emit("take_rows", [w, b.select(counted, target, 0)]), 0.0)


def _nll(
    b: Builder, out: Any, x: Value, target: Value, w: Value | None, reduction: int, ignore: int
) -> tuple[Value, Value]:
    axis = _class_axis(x)
    safe = b.select(_counted(b, target, ignore), target, 0)
    index = b.reshape(safe, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    # gather, not a comparison with every class: a target that is no class is a fault, as in torch
    picked = b.reshape(b.emit("gather", [x, index], axis=axis), target.shape)
    weights = _weights(b, target, w, ignore)
    losses = -(b.select(_counted(b, target, ignore), picked, 0.0) * weights)
    norm = total(b, weights)
    if reduction == NONE:
        return losses, norm
    return (total(b, losses) / norm if reduction == MEAN else total(b, losses)), norm


def _nll_backward(
    b: Builder,
    out: TensorType,
    g: Value,
    x: Value,
    target: Value,
    w: Value | None,
    reduction: int,
    ignore: int,
    norm: Value,
) -> Value:
    axis = _class_axis(x)
    weights = _weights(b, target, w, ignore)
    scale = weights * (g / norm if reduction == MEAN else g)
    apart = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    chosen = b.binary("eq", b.iota(_along(x, axis), axis), b.reshape(target, apart))
    return b.select(chosen, -b.reshape(scale, apart), 0.0)


def _along(x: Value, axis: int) -> tuple[int, ...]:
    return tuple(size if i == axis else 1 for i, size in enumerate(x.shape))


def _reduced(b: Builder, losses: Value, reduction: int) -> Value:
    if reduction == NONE:
        return losses
    value = total(b, losses)
    return value / float(prod(losses.shape)) if reduction == MEAN else value


def _spread(g: Value, x: Value, reduction: int) -> Value:
    """The gradient of each element's loss."""
    return g / float(prod(x.shape)) if reduction == MEAN else g


def _mse(b: Builder, out: TensorType, x: Value, y: Value, reduction: int = MEAN) -> Value:
    return _reduced(b, square(x - y), reduction)


def _mse_backward(b: Builder, out: TensorType, g: Value, x: Value, y: Value, reduction: int) -> Value:
    return (x - y) * 2.0 * _spread(g, x, reduction)


def _huber_parts(b: Builder, x: Value, y: Value, delta: float) -> tuple[Value, Value, Value]:
    difference = x - y
    distance = b.unary("abs", difference)
    return difference, distance, b.binary("lt", distance, delta)


def _huber(b: Builder, out: TensorType, x: Value, y: Value, reduction: int = MEAN, delta: float = 1.0) -> Value:
    _, distance, near = _huber_parts(b, x, y, delta)
    return _reduced(b, b.select(near, distance * distance * 0.5, (distance - 0.5 * delta) * delta), reduction)


def _huber_backward(b: Builder, out: TensorType, g: Value, x: Value, y: Value, reduction: int, delta: float) -> Value:
    difference, _, near = _huber_parts(b, x, y, delta)
    far = b.select(b.binary("lt", difference, 0), b.full(-delta, "float32", x.shape), delta)
    return b.select(near, difference, far) * _spread(g, x, reduction)


def _smooth_l1(b: Builder, out: TensorType, x: Value, y: Value, reduction: int = MEAN, beta: float = 1.0) -> Value:
    _, distance, near = _huber_parts(b, x, y, beta)
    return _reduced(b, b.select(near, distance * distance * 0.5 / beta, distance - 0.5 * beta), reduction)


def _smooth_l1_backward(
    b: Builder, out: TensorType, g: Value, x: Value, y: Value, reduction: int, beta: float
) -> Value:
    difference, _, near = _huber_parts(b, x, y, beta)
    far = b.select(b.binary("lt", difference, 0), b.full(-1.0, "float32", x.shape), 1.0)
    return b.select(near, difference / beta, far) * _spread(g, x, reduction)


def _bce(b: Builder, out: TensorType, x: Value, y: Value, w: Value | None = None, reduction: int = MEAN) -> Value:
    logs = b.binary("maximum", b.unary("log", x), -100.0)
    others = b.binary("maximum", b.unary("log1p", -x), -100.0)
    losses = (y - 1.0) * others - y * logs
    return _reduced(b, losses if w is None else losses * w, reduction)


def _bce_backward(
    b: Builder, out: TensorType, g: Value, x: Value, y: Value, w: Value | None = None, reduction: int = MEAN
) -> Value:
    slope = (x - y) / b.binary("maximum", (1.0 - x) * x, 1e-12)
    return (slope if w is None else slope * w) * _spread(g, x, reduction)


RULES: dict[Any, Rule] = {
    aten.nll_loss_forward.default: _nll,
    aten.nll_loss_backward.default: _nll_backward,
    aten.nll_loss2d_forward.default: _nll,
    aten.nll_loss2d_backward.default: _nll_backward,
    aten.mse_loss.default: _mse,
    aten.mse_loss_backward.default: _mse_backward,
    aten.huber_loss.default: _huber,
    aten.huber_loss_backward.default: _huber_backward,
    aten.smooth_l1_loss.default: _smooth_l1,
    aten.smooth_l1_loss_backward.default: _smooth_l1_backward,
    aten.binary_cross_entropy.default: _bce,
    aten.binary_cross_entropy_backward.default: _bce_backward,
}
