"""Moving elements without arithmetic: concat, pad, iota."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels.spec.operator import Array, Attributes, Operator, check_dtypes, want
from kernels.types import DTYPES, NUMPY_DTYPE, TensorType

Types = Sequence[TensorType]


def _concat_rule(types: Types, attributes: Attributes) -> TensorType:
    x, axis = types[0], attributes["axis"]
    want(0 <= axis < len(x.shape), "concat", f"x {x} and axis {axis}", "an axis of x")
    check_dtypes("concat", types, DTYPES)
    for other in types:
        same = len(other.shape) == len(x.shape) and _without(other.shape, axis) == _without(x.shape, axis)
        want(same, "concat", f"{x} and {other}", f"equal shapes but along axis {axis}")
    total = sum(operand.shape[axis] for operand in types)
    return TensorType(x.dtype, (*x.shape[:axis], total, *x.shape[axis + 1 :]))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def concat(*operands: Array, axis: int) -> Array:
    """The operands one after the other along axis.

    Value:    out[..., i, ...] is element i - (the sizes before it) of the operand in which i lies
    Gradient: each operand <- its slice of g
    """
    return np.concatenate(operands, axis=axis)


def _pad_rule(types: Types, attributes: Attributes) -> TensorType:
    x, fill = types
    low, high = attributes["low"], attributes["high"]
    want(fill == TensorType(x.dtype, ()), "pad", f"x {x} and fill {fill}", f"fill {x.dtype}[]")
    same = len(low) == len(high) == len(x.shape)
    want(same, "pad", f"x {x}, {len(low)} low and {len(high)} high", "one low and one high per axis")
    want(min((*low, *high), default=0) >= 0, "pad", f"low {tuple(low)} and high {tuple(high)}", "0 or more")
    return TensorType(x.dtype, tuple(a + size + b for a, size, b in zip(low, x.shape, high, strict=True)))


def pad(x: Array, fill: Array, low: Sequence[int], high: Sequence[int]) -> Array:
    """x with low elements of fill before it and high after it, along each axis.

    Value:    out[..., i, ...] = x[..., i - low, ...] where that lies in x along every axis, else fill
    Gradient: x <- the slice of g; fill <- the sum of the rest of g
    """
    result = np.full([a + size + b for a, size, b in zip(low, x.shape, high, strict=True)], fill, dtype=x.dtype)
    result[tuple(slice(a, a + size) for a, size in zip(low, x.shape, strict=True))] = x
    return result


def _iota_rule(types: Types, attributes: Attributes) -> TensorType:
    shape, axis, dtype = tuple(attributes["shape"]), attributes["axis"], attributes["dtype"]
    want(dtype in ("int64", "int32"), "iota", f"dtype {dtype}", "int64 or int32")
    result = TensorType(dtype, shape)
    want(0 <= axis < len(shape), "iota", f"shape {shape} and axis {axis}", "an axis of the shape")
    want(dtype == "int64" or shape[axis] <= 2**31, "iota", f"{shape[axis]} indices", "at most 2^31 for int32")
    return result


def iota(shape: Sequence[int], axis: int, dtype: str) -> Array:
    """Each element's index along axis.

    Value:    out[..., i, ...] = i
    """
    index = np.arange(shape[axis], dtype=NUMPY_DTYPE[dtype])
    return np.ascontiguousarray(np.broadcast_to(index.reshape([-1] + [1] * (len(shape) - 1 - axis)), tuple(shape)))


OPERATORS = (
    Operator("concat", "movement", ("x", "..."), _concat_rule, concat, {"axis": "int"}),
    Operator("pad", "movement", ("x", "fill"), _pad_rule, pad, {"low": "ints", "high": "ints"}),
    Operator("iota", "movement", (), _iota_rule, iota, {"shape": "ints", "axis": "int", "dtype": "dtype"}),
)
