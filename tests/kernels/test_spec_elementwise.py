"""What the definition gives for the values that the law names."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from kernels.conformance.inputs import bits, specials
from kernels.spec import run

INF, NAN = float("inf"), float("nan")
LEAST = {"int64": -(2**63), "int32": -(2**31)}


def float_bits(op: str, *values: float) -> int:
    result = run(op, [np.array(value, np.float32) for value in values], {})
    return int(result.view(np.uint32))


def pattern(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


@pytest.mark.parametrize(
    ("op", "operands", "result"),
    [
        ("add", (INF, -INF), NAN),
        ("add", (-0.0, 0.0), 0.0),
        ("add", (-0.0, -0.0), -0.0),
        ("add", (2.0**24, 1.0), 2.0**24),
        ("add", (3.4028235e38, 3.4028235e38), INF),
        ("sub", (INF, INF), NAN),
        ("mul", (0.0, INF), NAN),
        ("mul", (2.0**-100, 2.0**-49), 2.0**-149),
        ("mul", (2.0**-100, -(2.0**-50)), -0.0),
        ("div", (0.0, 0.0), NAN),
        ("div", (1.0, -0.0), -INF),
        ("div", (1.0, 3.0), 0.3333333432674408),
        ("maximum", (-0.0, 0.0), 0.0),
        ("maximum", (0.0, -0.0), 0.0),
        ("maximum", (-0.0, -0.0), -0.0),
        ("maximum", (NAN, INF), NAN),
        ("maximum", (-INF, NAN), NAN),
        ("minimum", (-0.0, 0.0), -0.0),
        ("minimum", (0.0, -0.0), -0.0),
        ("minimum", (NAN, -INF), NAN),
        ("neg", (0.0,), -0.0),
        ("neg", (NAN,), NAN),
        ("abs", (-0.0,), 0.0),
        ("abs", (-INF,), INF),
        ("sqrt", (-0.0,), -0.0),
        ("sqrt", (-1.0,), NAN),
        ("rsqrt", (0.0,), INF),
        ("rsqrt", (-0.0,), -INF),
        ("rsqrt", (-1.0,), NAN),
        ("rsqrt", (4.0,), 0.5),
        ("exp", (-INF,), 0.0),
        ("exp", (-0.0,), 1.0),
        ("exp2", (-149.0,), 2.0**-149),
        ("expm1", (-0.0,), -0.0),
        ("expm1", (-INF,), -1.0),
        ("log", (-0.0,), -INF),
        ("log", (-1.0,), NAN),
        ("log2", (2.0**-149,), -149.0),
        ("log10", (1000.0,), 3.0),
        ("log1p", (-1.0,), -INF),
        ("log1p", (-1.5,), NAN),
        ("log1p", (-0.0,), -0.0),
        ("sin", (-0.0,), -0.0),
        ("sin", (INF,), NAN),
        ("cos", (-INF,), NAN),
        ("cos", (0.0,), 1.0),
        ("tanh", (-INF,), -1.0),
        ("tanh", (-0.0,), -0.0),
        ("erf", (-0.0,), -0.0),
        ("erf", (INF,), 1.0),
        ("sigmoid", (-INF,), 0.0),
        ("sigmoid", (0.0,), 0.5),
        ("floor", (-0.0,), -0.0),
        ("floor", (-0.5,), -1.0),
        ("ceil", (-0.5,), -0.0),
        ("trunc", (-0.5,), -0.0),
        ("round", (2.5,), 2.0),
        ("round", (-0.5,), -0.0),
        ("round", (8388609.0,), 8388609.0),
    ],
)
def test_a_float_operator_gives(op: str, operands: tuple[float, ...], result: float) -> None:
    assert float_bits(op, *operands) == (0x7FC00000 if result != result else pattern(result))


@pytest.mark.parametrize("op", ["eq", "lt", "le"])
def test_every_comparison_with_nan_is_false(op: str) -> None:
    values = specials("float32")
    nans = np.full(values.shape, np.float32(NAN))
    assert not run(op, [values, nans], {}).any() and not run(op, [nans, values], {}).any()


def test_zeros_of_either_sign_are_equal() -> None:
    zeros = [np.array([-0.0, 0.0], np.float32), np.array([0.0, -0.0], np.float32)]
    assert [run(op, zeros, {}).tolist() for op in ("eq", "lt", "le")] == [[True, True], [False, False], [True, True]]


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_the_least_integer_divided_by_minus_one_wraps(dtype: str) -> None:
    x, y = np.array([LEAST[dtype]], dtype), np.array([-1], dtype)
    assert run("floor_divide", [x, y], {}).tolist() == [LEAST[dtype]]
    assert run("remainder", [x, y], {}).tolist() == [0]
    assert run("neg", [x], {}).tolist() == run("abs", [x], {}).tolist() == [LEAST[dtype]]


def test_division_rounds_toward_minus_infinity_and_the_remainder_has_the_divisors_sign() -> None:
    x, y = np.array([7, -7, 7, -7, 6], np.int32), np.array([2, 2, -2, -2, -3], np.int32)
    assert run("floor_divide", [x, y], {}).tolist() == [3, -4, -4, 3, -2]
    assert run("remainder", [x, y], {}).tolist() == [1, 1, -1, -1, 0]


@pytest.mark.parametrize("amount", [-1, 32, 33, 2**31 - 1, -(2**31)])
def test_a_shift_out_of_range_leaves_nothing_or_the_sign(amount: int) -> None:
    x, amounts = np.array([-5, 5], np.int32), np.full(2, amount, np.int32)
    assert run("shift_left", [x, amounts], {}).tolist() == [0, 0]
    assert run("shift_right", [x, amounts], {}).tolist() == [-1, 0]


def test_a_shift_is_arithmetic_for_signed_and_logical_for_unsigned_integers() -> None:
    assert run("shift_right", [np.array([-16], np.int64), np.array([2], np.int64)], {}).tolist() == [-4]
    assert run("shift_right", [np.array([2**32 - 16], np.uint32), np.array([2], np.uint32)], {}).tolist() == [2**30 - 4]
    assert run("shift_left", [np.array([3], np.int32), np.array([31], np.int32)], {}).tolist() == [-(2**31)]


CASTS: list[tuple[Any, str, str, Any]] = [
    ([1.9, -1.9, -0.5, NAN, INF, -INF, 3e9], "float32", "int32", [1, -1, 0, 0, 2**31 - 1, -(2**31), 2**31 - 1]),
    ([1.9, -1.0, NAN, INF, -INF, 4294967040.0], "float32", "uint32", [1, 0, 0, 2**32 - 1, 0, 4294967040]),
    ([9.3e18, -9.3e18, 2.0**62, NAN], "float32", "int64", [2**63 - 1, -(2**63), 2**62, 0]),
    ([0.0, -0.0, 2.0**-149, NAN], "float32", "bool", [False, False, True, True]),
    ([2**24 + 1, 2**24 + 3, -(2**24) - 1], "int32", "float32", [2.0**24, 2.0**24 + 4, -(2.0**24)]),
    ([2**63 - 1, 2**53 + 2**29 + 1, 2**53 + 2**29], "int64", "float32", [2.0**63, 2.0**53 + 2.0**30, 2.0**53]),
    ([2**32 - 1, 2**31], "uint32", "float32", [2.0**32, 2.0**31]),
    ([2**31, -(2**31) - 1, 2**32 + 5], "int64", "int32", [-(2**31), 2**31 - 1, 5]),
    ([-1, 2**32], "int64", "uint32", [2**32 - 1, 0]),
    ([0, 256, -1], "int32", "bool", [False, True, True]),
    ([False, True], "bool", "float32", [0.0, 1.0]),
]


@pytest.mark.parametrize(("values", "source", "target", "result"), CASTS)
def test_a_cast_gives(values: Any, source: str, target: str, result: Any) -> None:
    assert run("cast", [np.array(values, source)], {"dtype": target}).tolist() == result


def test_division_is_the_nearest_of_the_exact_quotient() -> None:
    x = (bits("x", (300,)) & 0x007FFFFF | 0x3F800000).view(np.float32)
    y = (bits("y", (300,)) & 0x007FFFFF | 0x40000000).view(np.float32)
    for a, b, q in zip(x, y, run("div", [x, y], {}), strict=True):
        exact, place = Fraction(float(a)) / Fraction(float(b)), Fraction(float(np.spacing(q)))
        assert abs(Fraction(float(q)) - exact) <= place / 2
