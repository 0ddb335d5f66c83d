"""One element at a time: arithmetic, comparison, bits, casts and the correctly rounded functions."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import numpy as np

from kernels.spec.operator import Array, Attributes, Operator, check_dtypes, want
from kernels.spec.rounding import NAN, canonical, store
from kernels.types import DTYPES, NUMPY_DTYPE, Fault, TensorType

Types = Sequence[TensorType]
Value = Callable[..., Array]
FLOAT = ("float32",)
INTEGERS = ("int64", "int32", "uint32")
SIGNED = ("float32", "int64", "int32")
NUMBERS = ("float32", *INTEGERS)
FUNCTIONS = tuple("sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tanh erf sigmoid".split())


def add(x: Array, y: Array) -> Array:
    """x + y: one IEEE rounding; integers wrap.

    Gradient: x <- g, y <- g
    """
    return canonical(x + y)


def sub(x: Array, y: Array) -> Array:
    """x - y: one IEEE rounding; integers wrap.

    Gradient: x <- g, y <- neg(g)
    """
    return canonical(x - y)


def mul(x: Array, y: Array) -> Array:
    """x * y: one IEEE rounding; integers wrap.

    Gradient: x <- g * y, y <- g * x
    """
    return canonical(x * y)


def div(x: Array, y: Array) -> Array:
    """x / y: one IEEE rounding.

    Gradient: x <- g / y, y <- neg(g * (x / y) / y)
    """
    return canonical(x / y)


def floor_divide(x: Array, y: Array) -> Array:
    """The quotient rounded toward minus infinity; a divisor 0 is a fault, the least integer by -1 wraps to itself."""
    _refuse_zero("floor_divide", y)
    quotients = [int(a) // int(b) for a, b in zip(x.flat, y.flat, strict=True)]
    return _wrapped(quotients, x)


def remainder(x: Array, y: Array) -> Array:
    """x - floor_divide(x, y) * y, which has the sign of y; a divisor 0 is a fault."""
    _refuse_zero("remainder", y)
    remainders = [int(a) % int(b) for a, b in zip(x.flat, y.flat, strict=True)]
    return _wrapped(remainders, x)


def _refuse_zero(operator: str, divisor: Array) -> None:
    zeros = np.flatnonzero(np.ravel(divisor) == 0)
    if zeros.size:
        raise Fault(operator, int(zeros[0]), "division by zero")


def _wrapped(values: list[int], like: Array) -> Array:
    """Python integers modulo 2^bits, in the dtype and shape of `like`."""
    bits = 8 * like.dtype.itemsize
    unsigned = np.array([value % 2**bits for value in values], dtype=np.uint64).astype(f"<u{like.dtype.itemsize}")
    return unsigned.view(like.dtype).reshape(like.shape)


def maximum(x: Array, y: Array) -> Array:
    """The larger.

    Special:  a NaN gives NaN; maximum(-0, +0) = +0
    Gradient: g where the operand is the larger, g / 2 to both where they are equal
    """
    if x.dtype != np.float32:
        return np.maximum(x, y)
    equal = (x.view(np.uint32) & y.view(np.uint32)).view(np.float32)  # only zeros are equal in other bits
    larger = np.where(x > y, x, np.where(y > x, y, equal))
    return np.where(np.isnan(x) | np.isnan(y), NAN, larger)


def minimum(x: Array, y: Array) -> Array:
    """The smaller.

    Special:  a NaN gives NaN; minimum(-0, +0) = -0
    Gradient: g where the operand is the smaller, g / 2 to both where they are equal
    """
    if x.dtype != np.float32:
        return np.minimum(x, y)
    equal = (x.view(np.uint32) | y.view(np.uint32)).view(np.float32)  # only zeros are equal in other bits
    smaller = np.where(x < y, x, np.where(y < x, y, equal))
    return np.where(np.isnan(x) | np.isnan(y), NAN, smaller)


def neg(x: Array) -> Array:
    """-x: the sign bit flipped; integers wrap.

    Gradient: neg(g)
    """
    if x.dtype != np.float32:
        return np.negative(x)
    return canonical((x.view(np.uint32) ^ np.uint32(0x80000000)).view(np.float32))


def abs_(x: Array) -> Array:
    """|x|: the sign bit cleared; integers wrap.

    Gradient: g with the sign of x, 0 where x is 0
    """
    if x.dtype != np.float32:
        return np.abs(x)
    return (x.view(np.uint32) & np.uint32(0x7FFFFFFF)).view(np.float32)


def floor(x: Array) -> Array:
    """The largest integer not above x; zero keeps its sign."""
    return canonical(np.floor(x))


def ceil(x: Array) -> Array:
    """The smallest integer not below x; a zero has the sign of x."""
    return canonical(np.ceil(x))


def trunc(x: Array) -> Array:
    """x without its fraction; a zero has the sign of x."""
    return canonical(np.trunc(x))


def round_(x: Array) -> Array:
    """The nearest integer, ties to even; a zero has the sign of x."""
    return canonical(np.rint(x))


def shift_left(x: Array, amount: Array) -> Array:
    """x * 2^amount modulo 2^bits; 0 where the amount is outside [0, bits)."""
    bits = 8 * x.dtype.itemsize
    return _wrapped([int(a) << int(n) if 0 <= n < bits else 0 for a, n in zip(x.flat, amount.flat, strict=True)], x)


def shift_right(x: Array, amount: Array) -> Array:
    """The floor of x / 2^amount; outside [0, bits) it is 0, or -1 where x is negative."""
    bits = 8 * x.dtype.itemsize
    amounts = [int(n) if 0 <= n < bits else bits for n in amount.flat]
    return _wrapped([int(a) >> n for a, n in zip(x.flat, amounts, strict=True)], x)


def select(c: Array, a: Array, b: Array) -> Array:
    """a where c, else b, by bits.

    Gradient: a <- select(c, g, 0), b <- select(c, 0, g)
    """
    return np.where(c, a, b)


def cast(x: Array, dtype: str) -> Array:
    """x in another dtype.

    Value:    float to integer: truncated, saturated; integer to integer: modulo 2^bits; to bool: x != 0
    Rounding: integer to float: to the nearest, ties to even
    Special:  NaN becomes 0 as an integer, True as a bool
    """
    target = NUMPY_DTYPE[dtype]
    if dtype == "bool":
        return x != 0
    if x.dtype == np.float32:
        return x.copy() if dtype == "float32" else _truncated(x, target)
    if dtype == "float32":
        return store(x.astype(np.int64), 0)
    return _wrapped([int(value) for value in x.flat], x.astype(target))


def _truncated(x: Array, target: np.dtype) -> Array:
    least, most = int(np.iinfo(target).min), int(np.iinfo(target).max)
    limits = {float("inf"): most, float("-inf"): least}
    values = [0 if v != v else limits[v] if v in limits else min(max(int(v), least), most) for v in map(float, x.flat)]
    return np.array(values, dtype=target).reshape(x.shape)


def _function(name: str) -> Callable[[Array], Array]:
    """The correctly rounded function of kernels/spec/functions.py."""
    return lambda x: getattr(importlib.import_module("kernels.spec.functions"), name)(x)


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
    *(_operator(name, _function(name), FLOAT, "x") for name in FUNCTIONS),
    *(_operator(n, f, FLOAT, "x") for n, f in (("floor", floor), ("ceil", ceil), ("trunc", trunc), ("round", round_))),
    _operator("eq", np.equal, DTYPES, "x y", "bool"),
    _operator("lt", np.less, NUMBERS, "x y", "bool"),
    _operator("le", np.less_equal, NUMBERS, "x y", "bool"),
    _operator("bit_and", np.bitwise_and, ("bool", *INTEGERS), "x y"),
    _operator("bit_or", np.bitwise_or, ("bool", *INTEGERS), "x y"),
    _operator("bit_xor", np.bitwise_xor, ("bool", *INTEGERS), "x y"),
    _operator("bit_not", np.invert, ("bool", *INTEGERS), "x"),
    *(_operator(f.__name__, f, INTEGERS, "x amount") for f in (shift_left, shift_right)),
    Operator("select", "elementwise", ("c", "a", "b"), _select_rule, _quiet(select)),
    Operator("cast", "elementwise", ("x",), _cast_rule, _quiet(cast), {"dtype": "dtype"}),
)
