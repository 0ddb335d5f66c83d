"""Reductions along axes: sum and cumsum through exact integers, amax, amin, argmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod

import numpy as np

from kernels.spec.arithmetic import maximum, minimum
from kernels.spec.operator import Array, Attributes, Operator, check_dtypes, want
from kernels.spec.rounding import NAN, exponents, is_finite, maxima, quantise, store
from kernels.types import DTYPES, TensorType

Types = Sequence[TensorType]
Groups = list[tuple[Array, tuple[int, ...]]]
SIGNED = ("float32", "int64", "int32")
SUM_BITS = 46
MAX_GROUP = 2**16


def _reduced(name: str, x: TensorType, axes: Sequence[int]) -> tuple[TensorType, int]:
    """The result type, and the size of a group."""
    rank = len(x.shape)
    ascending = len(axes) > 0 and all(a < b for a, b in zip((-1, *axes), (*axes, rank), strict=True))
    want(ascending, name, f"x {x} and axes {tuple(axes)}", "one or more axes of x, ascending")
    result = TensorType(x.dtype, tuple(size for axis, size in enumerate(x.shape) if axis not in axes))
    return result, prod(x.shape[axis] for axis in axes)


def _sum_rule(types: Types, attributes: Attributes) -> TensorType:
    check_dtypes("sum", types, SIGNED)
    result, group = _reduced("sum", types[0], attributes["axes"])
    _check_group("sum", types[0].dtype, group)
    return result


def _check_group(name: str, dtype: str, group: int) -> None:
    want(dtype != "float32" or group <= MAX_GROUP, name, f"groups of {group}", f"at most {MAX_GROUP} float32 elements")


def sum_(x: Array, axes: Sequence[int]) -> Array:
    """The sum over the axes, exact in integers and rounded once.

    x:       [...] float32, or int64 or int32, which wrap
    returns: x's shape without the axes

    Value:    the sum of each group of elements that differ in the axes only
    Scale:    2^(46 - e) per group, e the exponent of its largest |x|; so 2^16 integers stay below 2^62
    Rounding: each element once to an integer, the exact sum once to float32
    Special:  an empty or all-zero group gives +0; a NaN or an infinity gives NaN
    Gradient: x <- g repeated over the axes
    """
    axes = tuple(axes)
    if x.dtype != np.float32:
        return np.asarray(x.sum(axis=axes, dtype=x.dtype))
    largest = maxima(x, axes)
    scale = SUM_BITS - exponents(largest)
    total = quantise(x, np.expand_dims(scale, axes)).sum(axis=axes)
    return np.where(is_finite(largest), store(total, scale), NAN)


def _sum_groups(inputs: Sequence[Array], attributes: Attributes) -> Groups:
    return [(inputs[0], tuple(attributes["axes"]))] if inputs[0].dtype == np.float32 else []


def _cumsum_rule(types: Types, attributes: Attributes) -> TensorType:
    check_dtypes("cumsum", types, SIGNED)
    _, group = _reduced("cumsum", types[0], [attributes["axis"]])
    _check_group("cumsum", types[0].dtype, group)
    return types[0]


def cumsum(x: Array, axis: int) -> Array:
    """The running sum along axis, each exact in integers and rounded once.

    x:       [...] float32, or int64 or int32, which wrap
    returns: x's shape

    Value:    element j is the sum of the elements 0 to j of its row
    Scale:    2^(46 - e) per row, e the exponent of its largest |x|
    Rounding: each element once to an integer, each exact sum once to float32
    Special:  a NaN or an infinity makes its whole row NaN
    Gradient: x <- the running sum of g from the end
    """
    if x.dtype != np.float32:
        return np.cumsum(x, axis=axis, dtype=x.dtype)
    largest = np.expand_dims(maxima(x, (axis,)), axis)
    scale = SUM_BITS - exponents(largest)
    total = quantise(x, scale).cumsum(axis=axis)
    return np.where(is_finite(largest), store(total, scale), NAN)


def _cumsum_groups(inputs: Sequence[Array], attributes: Attributes) -> Groups:
    return [(inputs[0], (attributes["axis"],))] if inputs[0].dtype == np.float32 else []


def _extremum_rule(name: str, dtypes: Sequence[str]) -> Callable[[Types, Attributes], TensorType]:
    def rule(types: Types, attributes: Attributes) -> TensorType:
        check_dtypes(name, types, dtypes)
        axes = [attributes["axis"]] if name == "argmax" else attributes["axes"]
        result, group = _reduced(name, types[0], axes)
        want(group > 0, name, f"x {types[0]} and axes {tuple(axes)}", "groups of one element or more")
        return TensorType("int64", result.shape) if name == "argmax" else result

    return rule


def amax(x: Array, axes: Sequence[int]) -> Array:
    """The largest element of each group.

    Value:    maximum over the elements of a group, in any order
    Special:  a NaN gives NaN; +0 is above -0
    Gradient: x <- g shared equally among the elements that equal the largest
    """
    return reduce(maximum, _rows(x, axes))


def amin(x: Array, axes: Sequence[int]) -> Array:
    """The smallest element of each group.

    Value:    minimum over the elements of a group, in any order
    Special:  a NaN gives NaN; -0 is below +0
    Gradient: x <- g shared equally among the elements that equal the smallest
    """
    return reduce(minimum, _rows(x, axes))


def _rows(x: Array, axes: Sequence[int]) -> Array:
    """x with the axes merged into one, which comes first."""
    first = np.moveaxis(x, tuple(axes), range(len(axes)))
    return np.ascontiguousarray(first).reshape(prod(first.shape[: len(axes)]), *first.shape[len(axes) :])


def argmax(x: Array, axis: int) -> Array:
    """Where the largest element along axis is.

    Value:    the lowest index of the largest element
    Special:  the index of the first NaN where there is one; both zeros are equal
    """
    return np.asarray(np.argmax(x, axis=axis), dtype=np.int64)


OPERATORS = (
    Operator("sum", "reduction", ("x",), _sum_rule, sum_, {"axes": "ints"}, _sum_groups),
    Operator("amax", "reduction", ("x",), _extremum_rule("amax", DTYPES), amax, {"axes": "ints"}),
    Operator("amin", "reduction", ("x",), _extremum_rule("amin", DTYPES), amin, {"axes": "ints"}),
    Operator("argmax", "reduction", ("x",), _extremum_rule("argmax", SIGNED), argmax, {"axis": "int"}),
    Operator("cumsum", "reduction", ("x",), _cumsum_rule, cumsum, {"axis": "int"}, _cumsum_groups),
)
