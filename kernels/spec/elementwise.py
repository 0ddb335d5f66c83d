"""One element at a time: comparison, select and cast, and the shape rule of all that work so.

The definitions of the others stand in arithmetic.py, integers.py and functions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kernels.spec import functions
from kernels.spec.arithmetic import abs_, add, ceil, div, floor, maximum, minimum, mul, neg, round_, sub, trunc
from kernels.spec.function_labels import LABELS, docstring
from kernels.spec.integers import (
    bit_and,
    bit_not,
    bit_or,
    bit_xor,
    floor_divide,
    remainder,
    shift_left,
    shift_right,
    wrapped,
)
from kernels.spec.operator import Array, Attributes, Operator, check_dtypes, want
from kernels.spec.rounding import store
from kernels.types import DTYPES, NUMPY_DTYPE, TensorType

Types = Sequence[TensorType]
Value = Callable[..., Array]
FLOAT = ("float32",)
INTEGERS = ("int64", "int32", "uint32")
SIGNED = ("float32", "int64", "int32")
NUMBERS = ("float32", *INTEGERS)


def eq(x: Array, y: Array) -> Array:
    """Whether two elements are equal.

    Value:    x = y
    Special:  a NaN equals nothing; both zeros are equal
    """
    return np.equal(x, y)


def lt(x: Array, y: Array) -> Array:
    """Whether the first element is the smaller.

    Value:    x < y
    Special:  false with a NaN; neither zero is below the other
    """
    return np.less(x, y)


def le(x: Array, y: Array) -> Array:
    """Whether the first element is not the larger.

    Value:    x <= y
    Special:  false with a NaN; both zeros are equal
    """
    return np.less_equal(x, y)


def select(c: Array, a: Array, b: Array) -> Array:
    """One of two elements, by bits.

    Value:    a where c, else b
    Gradient: a <- select(c, g, 0), b <- select(c, 0, g)
    """
    return np.where(c, a, b)


def cast(x: Array, dtype: str) -> Array:
    """x in another dtype.

    Value:    float to integer: truncated, saturated; integer to integer: modulo 2^bits; to bool: x != 0
    Rounding: integer to float32: once, to nearest even
    Special:  NaN becomes 0 as an integer, True as a bool; an infinity the largest or the least integer; -0 stays -0
    Gradient: x <- g between float32 and float32, else none
    """
    target = NUMPY_DTYPE[dtype]
    if dtype == "bool":
        return x != 0
    if x.dtype == np.float32:
        return x.copy() if dtype == "float32" else _truncated(x, target)
    if dtype == "float32":
        return store(x.astype(np.int64), 0)
    return wrapped([int(value) for value in x.flat], x.astype(target))


def _truncated(x: Array, target: np.dtype) -> Array:
    least, most = int(np.iinfo(target).min), int(np.iinfo(target).max)
    limits = {float("inf"): most, float("-inf"): least}
    values = [0 if v != v else limits[v] if v in limits else min(max(int(v), least), most) for v in map(float, x.flat)]
    return np.array(values, dtype=target).reshape(x.shape)


def _function(name: str) -> Value:
    """The correctly rounded function of kernels/exact/functions.py."""

    def function(x: Array) -> Array:
        return functions.FUNCTIONS[name](x)

    function.__doc__ = docstring(name)
    return function


def _quiet(value: Value) -> Value:
    """The same function without NumPy's warnings: overflow and invalid operations have their values in the law."""

    def quiet(*operands: Array, **attributes: object) -> Array:
        with np.errstate(all="ignore"):
            flat = value(*(np.ascontiguousarray(x) for x in operands), **attributes)
        return flat.reshape(operands[0].shape)

    quiet.__doc__ = value.__doc__
    return quiet


def _operator(name: str, value: Value, dtypes: Sequence[str], operands: str, result: str = "") -> Operator:
    """An operator on operands of one type; its result is of their dtype unless another is named."""

    def rule(types: Types, attributes: Attributes) -> TensorType:
        check_dtypes(name, types, dtypes)
        got = " and ".join(f"{operand} {t}" for operand, t in zip(operands.split(), types, strict=True))
        want(len({t.shape for t in types}) == 1, name, got, "equal shapes")
        return TensorType(result or types[0].dtype, types[0].shape)

    faults = name in ("floor_divide", "remainder")
    return Operator(name, "elementwise", tuple(operands.split()), rule, _quiet(value), can_fault=faults)


def _select_rule(types: Types, attributes: Attributes) -> TensorType:
    c, a, b = types
    fits = c.dtype == "bool" and a == b and c.shape == a.shape
    want(fits, "select", f"c {c}, a {a} and b {b}", "c bool, a and b of one type, all of equal shape")
    return a


def _cast_rule(types: Types, attributes: Attributes) -> TensorType:
    return TensorType(attributes["dtype"], types[0].shape)


OPERATORS = (
    *(_operator(f.__name__, f, NUMBERS, "x y") for f in (add, sub, mul)),
    _operator("div", div, FLOAT, "x y"),
    *(_operator(f.__name__, f, INTEGERS, "x y") for f in (floor_divide, remainder)),
    *(_operator(f.__name__, f, DTYPES, "x y") for f in (maximum, minimum)),
    _operator("neg", neg, SIGNED, "x"),
    _operator("abs", abs_, SIGNED, "x"),
    *(_operator(name, _function(name), FLOAT, "x") for name in LABELS),
    *(_operator(n, f, FLOAT, "x") for n, f in (("floor", floor), ("ceil", ceil), ("trunc", trunc), ("round", round_))),
    _operator("eq", eq, DTYPES, "x y", "bool"),
    *(_operator(f.__name__, f, NUMBERS, "x y", "bool") for f in (lt, le)),
    *(_operator(f.__name__, f, ("bool", *INTEGERS), "x y") for f in (bit_and, bit_or, bit_xor)),
    _operator("bit_not", bit_not, ("bool", *INTEGERS), "x"),
    *(_operator(f.__name__, f, INTEGERS, "x amount") for f in (shift_left, shift_right)),
    Operator("select", "elementwise", ("c", "a", "b"), _select_rule, _quiet(select)),
    Operator("cast", "elementwise", ("x",), _cast_rule, _quiet(cast), {"dtype": "dtype"}),
)
