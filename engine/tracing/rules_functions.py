"""ATen's less common functions, each from the law's operators: mixtures, hyperbolic ones, running products."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.tracing.builder import Builder, Operand, Scalar, Value
from engine.tracing.rules_elementwise import Rule, is_negative, isnan, scaled, shaped
from kernels.types import TensorType

aten = torch.ops.aten


def _nan_to_num(
    b: Builder,
    out: TensorType,
    x: Value,
    nan: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Value:
    largest = float(np.finfo(np.float32).max)
    x = b.select(isnan(b, out, x), nan or 0.0, x)
    x = b.select(b.binary("eq", x, float("inf")), largest if above is None else above, x)
    return b.select(b.binary("eq", x, float("-inf")), -largest if below is None else below, x)


def _lerp(b: Builder, out: TensorType, x: Value, y: Value, weight: Operand) -> Value:
    return x + shaped(b, weight, out) * (y - x)


def _addcmul(b: Builder, out: TensorType, x: Value, y: Value, z: Value, *, value: Scalar = 1) -> Value:
    return shaped(b, x, out) + scaled(b, out, shaped(b, y, out) * shaped(b, z, out), value)


def _addcdiv(b: Builder, out: TensorType, x: Value, y: Value, z: Value, *, value: Scalar = 1) -> Value:
    return shaped(b, x, out) + scaled(b, out, shaped(b, y, out) / shaped(b, z, out), value)


def _xlogy(b: Builder, out: TensorType, x: Operand, y: Operand) -> Value:
    x, y = shaped(b, x, out), shaped(b, y, out)
    return b.select(b.binary("eq", x, 0), x * 0.0, x * b.unary("log", y))


def _signed(b: Builder, x: Value, magnitude: Value) -> Value:
    """The magnitude with x's sign."""
    return b.select(b.binary("lt", x, 0.0), -magnitude, magnitude)


def _sinh(b: Builder, out: TensorType, x: Value) -> Value:
    x = shaped(b, x, out)
    grown = b.unary("expm1", b.unary("abs", x))
    return _signed(b, x, (grown + grown / (grown + 1.0)) * 0.5)


def _cosh(b: Builder, out: TensorType, x: Value) -> Value:
    x = shaped(b, x, out)
    return (b.unary("exp", x) + b.unary("exp", -x)) * 0.5


def _asinh(b: Builder, out: TensorType, x: Value) -> Value:
    x = shaped(b, x, out)
    size = b.unary("abs", x)
    inner = size * size / (b.unary("sqrt", size * size + 1.0) + 1.0)
    return _signed(b, x, b.unary("log1p", size + inner))


def _acosh(b: Builder, out: TensorType, x: Value) -> Value:
    x = shaped(b, x, out)
    above = x - 1.0
    return b.unary("log1p", above + b.unary("sqrt", above * (x + 1.0)))


def _atanh(b: Builder, out: TensorType, x: Value) -> Value:
    x = shaped(b, x, out)
    size = b.unary("abs", x)
    return _signed(b, x, b.unary("log1p", size * 2.0 / (1.0 - size)) * 0.5)


def _hypot(b: Builder, out: TensorType, x: Value, y: Value) -> Value:
    x, y = (b.unary("abs", shaped(b, value, out)) for value in (x, y))
    top = b.binary("maximum", x, y)
    ratio = b.binary("minimum", x, y) / b.select(b.binary("eq", top, 0.0), 1.0, top)
    return top * b.unary("sqrt", ratio * ratio + 1.0)


def _fmod(b: Builder, out: TensorType, x: Operand, y: Operand) -> Value:
    x, y = shaped(b, x, out), shaped(b, y, out)
    if out.dtype == "float32":
        return x - b.unary("trunc", x / y) * y
    size = b.emit("remainder", [b.unary("abs", x), b.unary("abs", y)])
    return b.select(b.binary("lt", x, 0), -size, size)


def _of_numbers(op: str) -> Rule:
    """maximum or minimum of two operands, or the one that is a number where the other is a NaN."""

    def rule(b: Builder, out: TensorType, x: Operand, y: Operand) -> Value:
        x, y = shaped(b, x, out), shaped(b, y, out)
        if out.dtype != "float32":
            return b.emit(op, [x, y])
        either = b.select(b.emit("eq", [x, x]), x, y)
        return b.select(b.emit("eq", [y, y]), b.emit(op, [either, y]), x)

    return rule


def _copysign(b: Builder, out: TensorType, x: Value, sign: Operand) -> Value:
    x, sign = shaped(b, x, out), shaped(b, sign, out)
    size = b.unary("abs", x)
    return b.select(is_negative(b, sign), -size, size)


def _cumprod(b: Builder, out: TensorType, x: Value, axis: int, *, dtype: Any = None) -> Value:
    """By doubling: after round r an element is the product of the 2^r elements that end in it."""
    x = b.cast(x, out.dtype)
    if not x.rank:
        return x
    axis, reach = axis % x.rank, 1
    while reach < x.shape[axis]:
        size = x.shape[axis]
        later = b.slice(x, axis, reach, size) * b.slice(x, axis, 0, size - reach)
        x = b.concat([b.slice(x, axis, 0, reach), later], axis)
        reach *= 2
    return x


def _triangle_indices(lower: bool) -> Rule:
    def rule(b: Builder, out: TensorType, rows: int, columns: int, offset: int = 0, **_: Any) -> Value:
        chosen = (np.tril_indices if lower else np.triu_indices)(rows, offset, columns)
        return b.cast(b.constant(np.stack(chosen).astype(np.int64)), out.dtype)

    return rule


def _logspace(
    b: Builder, out: TensorType, start: Scalar, stop: Scalar, steps: int, base: float = 10.0, **_: Any
) -> Value:
    return b.constant(np.logspace(start, stop, steps, base=base).astype(np.float32))


RULES: dict[Any, Rule] = {
    **{getattr(aten.xlogy, kind): _xlogy for kind in ("Tensor", "Scalar_Self", "Scalar_Other")},
    aten.lerp.Scalar: _lerp,
    aten.lerp.Tensor: _lerp,
    aten.addcmul.default: _addcmul,
    aten.addcdiv.default: _addcdiv,
    aten.nan_to_num.default: _nan_to_num,
    aten.sinh.default: _sinh,
    aten.cosh.default: _cosh,
    aten.asinh.default: _asinh,
    aten.acosh.default: _acosh,
    aten.atanh.default: _atanh,
    aten.hypot.default: _hypot,
    aten.fmod.Scalar: _fmod,
    aten.fmod.Tensor: _fmod,
    aten.fmax.default: _of_numbers("maximum"),
    aten.fmin.default: _of_numbers("minimum"),
    aten.copysign.Tensor: _copysign,
    aten.copysign.Scalar: _copysign,
    aten.cumprod.default: _cumprod,
    aten.tril_indices.default: _triangle_indices(lower=True),
    aten.triu_indices.default: _triangle_indices(lower=False),
    aten.logspace.default: _logspace,
}
