"""What is known before the run: constants, computed once by the law's definition instead of in every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kernels import spec
from kernels.types import Fault

Array = np.ndarray
LIMIT = 2**14  # elements: a larger result would weigh more in the program than it saves in a step


def fold(op: str, operands: Sequence[Array], attributes: Mapping[str, Any]) -> Array | None:
    """The value of an operator on constants, or None where it is large, random or a fault.

    A constant may be a broadcast view: axes that are repeated in every operand of an elementwise operator are
    computed once, so a mask that does not depend on the sample stays small.
    """
    family = spec.OPERATORS[op].family
    if family == "random" or op == "broadcast":
        return None
    if family == "layout":
        value = _layout(op, operands[0], attributes)
    elif family == "elementwise":
        value = _elementwise(op, operands, attributes)
    else:
        value = _run(op, operands, attributes)
    return value if value is not None and distinct(value).size <= LIMIT else None


def _layout(op: str, x: Array, attributes: Mapping[str, Any]) -> Array | None:
    if op == "reshape" and distinct(x).size == 1:
        return np.broadcast_to(distinct(x).reshape(()), attributes["shape"])
    return spec.run(op, [x], attributes) if op != "reshape" or x.size <= LIMIT else None


def _elementwise(op: str, operands: Sequence[Array], attributes: Mapping[str, Any]) -> Array | None:
    repeated = [all(array.strides[axis] == 0 for array in operands) for axis in range(operands[0].ndim)]
    index = tuple(slice(0, 1) if once else slice(None) for once in repeated)
    value = _run(op, [array[index] for array in operands], attributes)
    return None if value is None else np.broadcast_to(value, operands[0].shape)


def distinct(array: Array) -> Array:
    """The array with every repeated axis cut to size 1."""
    return array[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in array.strides)]


def compact(array: Array) -> Array:
    """The array with every axis along which nothing changes cut to size 1."""
    array = distinct(array)
    for axis in range(array.ndim):
        first = array[(slice(None),) * axis + (slice(0, 1),)]
        if array.shape[axis] > 1 and array.tobytes() == np.broadcast_to(first, array.shape).tobytes():
            array = first
    return array


def _run(op: str, operands: Sequence[Array], attributes: Mapping[str, Any]) -> Array | None:
    if any(array.size > LIMIT for array in operands) or _large(op, attributes):
        return None
    try:
        value = spec.run(op, [np.asarray(array, order="C") for array in operands], attributes)
    except Fault:
        return None
    return value


def _large(op: str, attributes: Mapping[str, Any]) -> bool:
    return op == "iota" and bool(np.prod(attributes["shape"], dtype=object) > LIMIT)
