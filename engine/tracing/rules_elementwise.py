"""ATen's elementwise operators, from the law's operators. Each rounding stands as written here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from engine.tracing.builder import Builder, Operand, Scalar, Value
from engine.tracing.errors import TraceError
from engine.tracing.powers import float_power, integer_power, whole_power
from kernels.types import TensorType

aten = torch.ops.aten
Rule = Callable[..., Any]
RANK = ("bool", "int32", "int64", "float32")


def common_dtype(x: Operand, y: Operand) -> str:
    """The dtype in which torch compares two operands."""
    return max((_dtype(value) for value in (x, y)), key=RANK.index)


def _dtype(x: Operand) -> str:
    if isinstance(x, Value):
        return x.dtype
    return "bool" if isinstance(x, bool) else "int32" if isinstance(x, int) else "float32"


def to(b: Builder, x: Operand, dtype: str) -> Operand:
    """A value as another dtype; a scalar stays."""
    return b.cast(x, dtype) if isinstance(x, Value) else x


def shaped(b: Builder, x: Operand, out: TensorType) -> Value:
    """An operand at the result's dtype and shape."""
    value = to(b, x, out.dtype)
    return b.expand(value, out.shape) if isinstance(value, Value) else b.full(value, out.dtype, out.shape)


def _unary(op: str) -> Rule:
    return lambda b, out, x: b.unary(op, shaped(b, x, out))


def _binary(op: str) -> Rule:
    return lambda b, out, x, y: b.emit(op, [shaped(b, x, out), shaped(b, y, out)])


def _add(b: Builder, out: TensorType, x: Operand, y: Operand, *, alpha: Scalar = 1) -> Value:
    if out.dtype == "bool":
        return _binary("bit_or")(b, out, x, y)
    return shaped(b, x, out) + scaled(b, out, y, alpha)


def _sub(b: Builder, out: TensorType, x: Operand, y: Operand, *, alpha: Scalar = 1) -> Value:
    return shaped(b, x, out) - scaled(b, out, y, alpha)


def _rsub(b: Builder, out: TensorType, x: Operand, y: Operand, alpha: Scalar = 1) -> Value:
    return shaped(b, y, out) - scaled(b, out, x, alpha)


def scaled(b: Builder, out: TensorType, x: Operand, alpha: Scalar) -> Value:
    """An operand times a scalar."""
    value = shaped(b, x, out)
    return value if alpha == 1 else value * alpha


def _mul(b: Builder, out: TensorType, x: Operand, y: Operand) -> Value:
    return b.emit("bit_and" if out.dtype == "bool" else "mul", [shaped(b, x, out), shaped(b, y, out)])


def _div(b: Builder, out: TensorType, x: Operand, y: Operand, *, rounding_mode: str | None = None) -> Value:
    x, y = shaped(b, x, out), shaped(b, y, out)
    if out.dtype == "float32":
        rounding = {None: None, "floor": "floor", "trunc": "trunc"}[rounding_mode]
        return b.unary(rounding, x / y) if rounding else x / y
    quotient = b.emit("floor_divide", [x, y])
    if rounding_mode == "floor":
        return quotient
    inexact = _not(b, b.binary("eq", b.emit("remainder", [x, y]), 0))
    negative = b.emit("bit_xor", [b.binary("lt", x, 0), b.binary("lt", y, 0)])
    return quotient + b.cast(b.emit("bit_and", [inexact, negative]), out.dtype)


def _floor_divide(b: Builder, out: TensorType, x: Operand, y: Operand) -> Value:
    return _div(b, out, x, y, rounding_mode="floor")


def _remainder(b: Builder, out: TensorType, x: Operand, y: Operand) -> Value:
    x, y = shaped(b, x, out), shaped(b, y, out)
    if out.dtype != "float32":
        return b.emit("remainder", [x, y])
    return x - b.unary("floor", x / y) * y


def _not(b: Builder, x: Value) -> Value:
    return b.unary("bit_not", x)


def _compare(op: str, swap: bool = False, negate: bool = False) -> Rule:
    def rule(b: Builder, out: TensorType, x: Operand, y: Operand) -> Value:
        dtype = common_dtype(x, y)
        if (dtype == "bool" and op != "eq") or not isinstance(x, Value):
            dtype = "int32" if dtype == "bool" else dtype
        wide = TensorType(dtype, out.shape)
        pair = [shaped(b, x, wide), shaped(b, y, wide)]
        result = b.emit(op, pair[::-1] if swap else pair)
        return _not(b, result) if negate else result

    return rule


def isnan(b: Builder, out: TensorType, x: Value) -> Value:
    """Where x is no number."""
    return _not(b, b.binary("eq", x, x)) if x.dtype == "float32" else b.full(False, "bool", out.shape)


def _isinf(b: Builder, out: TensorType, x: Value) -> Value:
    infinite = x.dtype == "float32"
    return b.binary("eq", b.unary("abs", x), float("inf")) if infinite else b.full(False, "bool", out.shape)


def is_negative(b: Builder, x: Value) -> Value:
    """Where x has a sign: -0 too, of which 1 / x is negative."""
    below = b.binary("lt", x, 0)
    return below if x.dtype != "float32" else b.emit("bit_or", [below, b.binary("lt", 1.0 / x, 0.0)])


def _where(b: Builder, out: TensorType, condition: Value, x: Operand, y: Operand) -> Value:
    return b.select(b.expand(condition, out.shape), shaped(b, x, out), shaped(b, y, out))


def _masked_fill(b: Builder, out: TensorType, x: Value, mask: Value, value: Operand) -> Value:
    return _where(b, out, mask, value, x)


def clamp(b: Builder, out: TensorType, x: Value, low: Operand | None = None, high: Operand | None = None) -> Value:
    value = shaped(b, x, out)
    if low is not None:
        value = b.emit("maximum", [value, shaped(b, low, out)])
    return value if high is None else b.emit("minimum", [value, shaped(b, high, out)])


def _clamp_max(b: Builder, out: TensorType, x: Value, high: Operand) -> Value:
    return clamp(b, out, x, None, high)


def _sign(b: Builder, x: Value) -> Value:
    return b.select(b.binary("lt", 0, x), 1, b.select(b.binary("lt", x, 0), -1, x))


def _power(b: Builder, out: TensorType, x: Operand, exponent: Operand) -> Value:
    if not isinstance(exponent, Value):
        return power_of(b, shaped(b, x, out), exponent)
    if out.dtype != "float32":
        return integer_power(b, shaped(b, x, out), shaped(b, exponent, out))
    return float_power(b, shaped(b, x, out) if isinstance(x, Value) else x, shaped(b, exponent, out))


def power_of(b: Builder, x: Value, exponent: Scalar) -> Value:
    """x to the power of a number."""
    if exponent == 0:
        return b.full(1, x.dtype, x.shape)
    if float(exponent).is_integer() and (exponent > 0 or x.dtype == "float32"):
        power = whole_power(x, int(abs(exponent)))
        return power if exponent > 0 else 1.0 / power
    if x.dtype != "float32":
        raise TraceError(f"trace: pow: got {x.type} to the power {exponent}, want a positive integer power")
    if exponent == 0.5:
        return b.unary("sqrt", x)
    if exponent == -0.5:
        return b.unary("rsqrt", x)
    if float(exponent * 2).is_integer() and abs(exponent) < 8:
        power = whole_power(x, int(abs(exponent))) * b.unary("sqrt", x)
        return power if exponent > 0 else 1.0 / power
    return float_power(b, x, exponent)


def _copy_to(b: Builder, out: TensorType, x: Value, **_: Any) -> Value:
    return b.cast(x, out.dtype)


def _same(b: Builder, out: TensorType, x: Value, **_: Any) -> Value:
    return x


def _copy(b: Builder, out: TensorType, x: Value, source: Operand, non_blocking: bool = False) -> Value:
    return shaped(b, source, out)


def _logical(op: str) -> Rule:
    return lambda b, out, *values: b.emit(op, [shaped(b, value, out) for value in values])


def _shift(op: str) -> Rule:
    return lambda b, out, x, amount: b.emit(op, [shaped(b, x, out), shaped(b, amount, out)])


NAMED = (
    "neg",
    "abs",
    "sqrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tanh",
    "erf",
)
RULES: dict[Any, Rule] = {
    **{getattr(aten, name).default: _unary(name) for name in (*NAMED, "sigmoid", "floor", "ceil", "trunc", "round")},
    aten.add.Tensor: _add,
    aten.add.Scalar: lambda b, out, x, y, alpha=1: _add(b, out, x, y, alpha=alpha),
    aten.sub.Tensor: _sub,
    aten.sub.Scalar: lambda b, out, x, y, alpha=1: _sub(b, out, x, y, alpha=alpha),
    aten.rsub.Scalar: _rsub,
    aten.rsub.Tensor: lambda b, out, x, y, *, alpha=1: _rsub(b, out, x, y, alpha),
    aten.mul.Tensor: _mul,
    aten.mul.Scalar: _mul,
    aten.div.Tensor: _div,
    aten.div.Scalar: _div,
    aten.div.Tensor_mode: _div,
    aten.floor_divide.default: _floor_divide,
    aten.remainder.Scalar: _remainder,
    aten.remainder.Tensor: _remainder,
    aten.reciprocal.default: lambda b, out, x: 1.0 / shaped(b, x, out),
    aten.sign.default: lambda b, out, x: _sign(b, x),
    aten.sgn.default: lambda b, out, x: _sign(b, x),
    aten.signbit.default: lambda b, out, x: is_negative(b, x),
    aten.tan.default: lambda b, out, x: b.unary("sin", shaped(b, x, out)) / b.unary("cos", shaped(b, x, out)),
    aten.pow.Tensor_Scalar: _power,
    aten.pow.Tensor_Tensor: _power,
    aten.pow.Scalar: _power,
    aten.maximum.default: _binary("maximum"),
    aten.minimum.default: _binary("minimum"),
    aten.clamp.default: clamp,
    aten.clamp.Tensor: clamp,
    aten.clamp_min.default: clamp,
    aten.clamp_min.Tensor: clamp,
    aten.clamp_max.default: _clamp_max,
    aten.clamp_max.Tensor: _clamp_max,
    **{getattr(aten.eq, kind): _compare("eq") for kind in ("Tensor", "Scalar")},
    **{getattr(aten.ne, kind): _compare("eq", negate=True) for kind in ("Tensor", "Scalar")},
    **{getattr(aten.lt, kind): _compare("lt") for kind in ("Tensor", "Scalar")},
    **{getattr(aten.le, kind): _compare("le") for kind in ("Tensor", "Scalar")},
    **{getattr(aten.gt, kind): _compare("lt", swap=True) for kind in ("Tensor", "Scalar")},
    **{getattr(aten.ge, kind): _compare("le", swap=True) for kind in ("Tensor", "Scalar")},
    aten.isnan.default: isnan,
    aten.isinf.default: _isinf,
    aten.logical_not.default: lambda b, out, x: _not(b, b.cast(x, "bool")),
    aten.logical_and.default: _logical("bit_and"),
    aten.logical_or.default: _logical("bit_or"),
    aten.logical_xor.default: _logical("bit_xor"),
    aten.bitwise_not.default: _logical("bit_not"),
    **{getattr(aten.bitwise_and, kind): _logical("bit_and") for kind in ("Tensor", "Scalar")},
    **{getattr(aten.bitwise_or, kind): _logical("bit_or") for kind in ("Tensor", "Scalar")},
    **{getattr(aten.bitwise_xor, kind): _logical("bit_xor") for kind in ("Tensor", "Scalar")},
    **{getattr(aten.__rshift__, kind): _shift("shift_right") for kind in ("Tensor", "Scalar")},
    **{getattr(aten.__lshift__, kind): _shift("shift_left") for kind in ("Tensor", "Scalar")},
    **{getattr(aten.bitwise_right_shift, kind): _shift("shift_right") for kind in ("Tensor", "Tensor_Scalar")},
    **{getattr(aten.bitwise_left_shift, kind): _shift("shift_left") for kind in ("Tensor", "Tensor_Scalar")},
    aten.where.self: _where,
    aten.masked_fill.Scalar: _masked_fill,
    aten.masked_fill.Tensor: _masked_fill,
    aten._to_copy.default: _copy_to,
    aten.clone.default: _same,
    aten.detach.default: _same,
    aten.alias.default: _same,
    aten.lift_fresh_copy.default: _same,
    aten.copy.default: _copy,
    aten.fill.Tensor: _copy,
}
