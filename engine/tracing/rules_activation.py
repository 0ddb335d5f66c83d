"""ATen's activations and their gradients."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import torch

from engine.tracing.builder import Builder, Scalar, Value
from engine.tracing.rules_elementwise import Rule, clamp
from kernels.types import TensorType

aten = torch.ops.aten


def _relu(b: Builder, out: TensorType, x: Value) -> Value:
    return b.binary("maximum", x, 0)


def _leaky_relu(b: Builder, out: TensorType, x: Value, slope: Scalar = 0.01) -> Value:
    return b.select(b.binary("lt", 0, x), x, x * slope)


def _leaky_relu_backward(b: Builder, out: TensorType, g: Value, x: Value, slope: Scalar, is_result: bool) -> Value:
    return b.select(b.binary("lt", 0, x), g, g * slope)


def _elu(b: Builder, out: TensorType, x: Value, alpha: float = 1, scale: float = 1, inner: float = 1) -> Value:
    return b.select(b.binary("lt", 0, x), x * scale, b.unary("expm1", x * inner) * (alpha * scale))


def _elu_backward(
    b: Builder, out: TensorType, g: Value, alpha: float, scale: float, inner: float, is_result: bool, x: Value
) -> Value:
    below = (x + alpha * scale) * inner if is_result else b.unary("exp", x * inner) * (alpha * scale * inner)
    return g * b.select(b.binary("lt", 0, x), b.full(scale, "float32", x.shape), below)


def _celu(b: Builder, out: TensorType, x: Value, alpha: float = 1.0) -> Value:
    return _elu(b, out, x, alpha, 1.0, 1.0 / alpha)


def _glu(b: Builder, out: TensorType, x: Value, axis: int = -1) -> Value:
    half = x.shape[axis] // 2
    return b.slice(x, axis, 0, half) * b.unary("sigmoid", b.slice(x, axis, half, 2 * half))


def _glu_backward(b: Builder, out: TensorType, g: Value, x: Value, axis: int) -> Value:
    half = x.shape[axis] // 2
    first, s = b.slice(x, axis, 0, half), b.unary("sigmoid", b.slice(x, axis, half, 2 * half))
    return b.concat([g * s, g * first * ((1.0 - s) * s)], axis % x.rank)


def _mish(b: Builder, out: TensorType, x: Value) -> Value:
    return x * b.unary("tanh", _softplus(b, out, x))


def _mish_backward(b: Builder, out: TensorType, g: Value, x: Value) -> Value:
    t = b.unary("tanh", _softplus(b, out, x))
    return g * (t + x * b.unary("sigmoid", x) * (1.0 - t * t))


def _threshold(b: Builder, out: TensorType, x: Value, threshold: Scalar, value: Scalar) -> Value:
    return b.select(b.binary("lt", threshold, x), x, value)


def _silu(b: Builder, out: TensorType, x: Value) -> Value:
    return x * b.unary("sigmoid", x)


def _silu_backward(b: Builder, out: TensorType, g: Value, x: Value) -> Value:
    s = b.unary("sigmoid", x)
    return g * (s * (1.0 + x * (1.0 - s)))


def _gelu(b: Builder, out: TensorType, x: Value, *, approximate: str = "none") -> Value:
    return x * 0.5 * (1.0 + _gelu_inner(b, x, approximate))


def _gelu_inner(b: Builder, x: Value, approximate: str) -> Value:
    if approximate == "none":
        return b.unary("erf", x * sqrt(0.5))
    return b.unary("tanh", (x + x * x * x * 0.044715) * sqrt(2 / pi))


def _gelu_backward(b: Builder, out: TensorType, g: Value, x: Value, *, approximate: str = "none") -> Value:
    inner = _gelu_inner(b, x, approximate)
    if approximate == "none":
        density = b.unary("exp", x * x * -0.5) * (1 / sqrt(2 * pi))
        return g * ((1.0 + inner) * 0.5 + x * density)
    slope = (1.0 + x * x * (3 * 0.044715)) * sqrt(2 / pi)
    return g * ((1.0 + inner) * 0.5 + x * 0.5 * ((1.0 - inner * inner) * slope))


def _softplus(b: Builder, out: TensorType, x: Value, beta: Scalar = 1, threshold: Scalar = 20) -> Value:
    scaled = x * beta
    return b.select(b.binary("lt", threshold, scaled), x, b.unary("log1p", b.unary("exp", scaled)) / float(beta))


def _softplus_backward(b: Builder, out: TensorType, g: Value, x: Value, beta: Scalar, threshold: Scalar) -> Value:
    scaled = x * beta
    return b.select(b.binary("lt", threshold, scaled), g, g * b.unary("sigmoid", scaled))


def _log_sigmoid(b: Builder, x: Value) -> Value:
    return b.binary("minimum", x, 0) - b.unary("log1p", b.unary("exp", -b.unary("abs", x)))


def _log_sigmoid_forward(b: Builder, out: Any, x: Value) -> tuple[Value, Value]:
    return _log_sigmoid(b, x), b.unary("exp", -b.unary("abs", x))


def _log_sigmoid_backward(b: Builder, out: TensorType, g: Value, x: Value, buffer: Value) -> Value:
    return g * b.unary("sigmoid", -x)


def _threshold_backward(b: Builder, out: TensorType, g: Value, x: Value, threshold: Scalar) -> Value:
    return b.select(b.binary("lt", threshold, x), g, 0.0)


def _tanh_backward(b: Builder, out: TensorType, g: Value, y: Value) -> Value:
    return g * (1.0 - y * y)


def _sigmoid_backward(b: Builder, out: TensorType, g: Value, y: Value) -> Value:
    return g * ((1.0 - y) * y)


def _hardtanh(b: Builder, out: TensorType, x: Value, low: Scalar = -1, high: Scalar = 1) -> Value:
    return clamp(b, out, x, low, high)


def _hardtanh_backward(b: Builder, out: TensorType, g: Value, x: Value, low: Scalar, high: Scalar) -> Value:
    inside = b.emit("bit_and", [b.binary("lt", low, x), b.binary("lt", x, high)])
    return b.select(inside, g, 0.0)


def _hardsigmoid(b: Builder, out: TensorType, x: Value) -> Value:
    return clamp(b, out, x + 3.0, 0.0, 6.0) / 6.0


def _hardsigmoid_backward(b: Builder, out: TensorType, g: Value, x: Value) -> Value:
    return _hardtanh_backward(b, out, g / 6.0, x, -3.0, 3.0)


def _hardswish(b: Builder, out: TensorType, x: Value) -> Value:
    return x * _hardsigmoid(b, out, x)


def _hardswish_backward(b: Builder, out: TensorType, g: Value, x: Value) -> Value:
    middle = b.select(b.binary("lt", x, 3.0), g * (x / 3.0 + 0.5), g)
    return b.select(b.binary("lt", x, -3.0), 0.0, middle)


def _prelu(b: Builder, out: TensorType, x: Value, slope: Value) -> Value:
    return b.select(b.binary("lt", 0, x), x, x * slope)


def _prelu_backward(b: Builder, out: Any, g: Value, x: Value, slope: Value) -> tuple[Value, Value]:
    is_above = b.binary("lt", 0, x)
    return b.select(is_above, g, g * slope), b.select(is_above, 0.0, x * g)


def _within(b: Builder, x: Value, width: Scalar) -> Value:
    return b.emit("bit_and", [b.binary("le", -width, x), b.binary("le", x, width)])


def _hardshrink(b: Builder, out: TensorType, x: Value, width: Scalar = 0.5) -> Value:
    return b.select(_within(b, x, width), 0.0, x)


def _softshrink(b: Builder, out: TensorType, x: Value, width: Scalar = 0.5) -> Value:
    return b.select(b.binary("lt", width, x), x - width, b.select(b.binary("lt", x, -width), x + width, 0.0))


def _shrink_backward(b: Builder, out: TensorType, g: Value, x: Value, width: Scalar) -> Value:
    return b.select(_within(b, x, width), 0.0, g)


def _logit(b: Builder, out: TensorType, x: Value, edge: float | None = None) -> Value:
    x = x if edge is None else clamp(b, out, x, edge, 1.0 - edge)
    return b.unary("log", x / (1.0 - x))


def _logit_backward(b: Builder, out: TensorType, g: Value, x: Value, edge: float | None = None) -> Value:
    slope = g / (x * (1.0 - x))
    if edge is None:
        return slope
    inside = b.emit("bit_and", [b.binary("le", edge, x), b.binary("le", x, 1.0 - edge)])
    return b.select(inside, slope, 0.0)


RULES: dict[Any, Rule] = {
    aten._prelu_kernel.default: _prelu,
    aten._prelu_kernel_backward.default: _prelu_backward,
    aten.hardshrink.default: _hardshrink,
    aten.hardshrink_backward.default: _shrink_backward,
    aten.softshrink.default: _softshrink,
    aten.softshrink_backward.default: _shrink_backward,
    aten.logit.default: _logit,
    aten.logit_backward.default: _logit_backward,
    aten.relu.default: _relu,
    aten.threshold_backward.default: _threshold_backward,
    aten.leaky_relu.default: _leaky_relu,
    aten.leaky_relu_backward.default: _leaky_relu_backward,
    aten.elu.default: _elu,
    aten.elu_backward.default: _elu_backward,
    aten.celu.default: _celu,
    aten.glu.default: _glu,
    aten.glu_backward.default: _glu_backward,
    aten.mish.default: _mish,
    aten.mish_backward.default: _mish_backward,
    aten.threshold.default: _threshold,
    aten.silu.default: _silu,
    aten.silu_backward.default: _silu_backward,
    aten.gelu.default: _gelu,
    aten.gelu_backward.default: _gelu_backward,
    aten.softplus.default: _softplus,
    aten.softplus_backward.default: _softplus_backward,
    aten.log_sigmoid_forward.default: _log_sigmoid_forward,
    aten.log_sigmoid_backward.default: _log_sigmoid_backward,
    aten.tanh_backward.default: _tanh_backward,
    aten.sigmoid_backward.default: _sigmoid_backward,
    aten.hardtanh.default: _hardtanh,
    aten.hardtanh_backward.default: _hardtanh_backward,
    aten.hardsigmoid.default: _hardsigmoid,
    aten.hardsigmoid_backward.default: _hardsigmoid_backward,
    aten.hardswish.default: _hardswish,
    aten.hardswish_backward.default: _hardswish_backward,
}
