"""What the definition gives for reductions, on the page and against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kernels.conformance.inputs import floats
from kernels.spec import run, scales
from tests.kernels.test_spec_rounding import nearest_float32

INF, NAN = float("inf"), float("nan")
SUMS = [
    ([1.0, 2.0**-24, 2.0**-24], 1.0 + 2.0**-23),  # one rounding: float32 from left to right loses both
    ([2.0**30, 1.0, -(2.0**30)], 1.0),
    ([2.0**60, 1.0, -(2.0**60)], 0.0),  # below the scale of the largest
    ([1.0, -1.0, 2.0**-45], 2.0**-45),  # the scale of 1 = 1/2 * 2^1 is 2^45
    ([1.0, -1.0, 2.0**-46], 0.0),
    ([1.0, -1.0, 1.5 * 2.0**-46], 2.0**-45),
    ([3.0e38, 3.0e38, -3.0e38], 3.0e38),
    ([3.0e38, 3.0e38], INF),
    ([1.0, NAN], NAN),
    ([INF, -1.0], NAN),
    ([-0.0, -0.0], 0.0),
    ([], 0.0),
]


@pytest.mark.parametrize(("values", "result"), SUMS)
def test_a_sum_gives(values: list[float], result: float) -> None:
    got = run("sum", [np.array(values, np.float32)], {"axes": (0,)})
    assert got.tobytes() == np.float32(result).tobytes()


def test_a_sum_of_a_narrow_range_is_the_exact_one_rounded_once() -> None:
    x = floats("sum", (50, 300), 5, 20)
    for row, total in zip(x, run("sum", [x], {"axes": (1,)}), strict=True):
        assert total == nearest_float32(sum((Fraction(float(value)) for value in row), Fraction(0)))


def test_a_sum_does_not_depend_on_the_order() -> None:
    x = floats("order", (1000,), 30, 60)
    permuted = [run("sum", [x[order]], {"axes": (0,)}) for order in (slice(None), slice(None, None, -1), np.argsort(x))]
    assert len({total.tobytes() for total in permuted}) == 1


def test_a_running_sum_ends_in_the_sum() -> None:
    x = floats("cumsum", (7, 100), 10, 30)
    assert run("cumsum", [x], {"axis": 1})[:, -1].tobytes() == run("sum", [x], {"axes": (1,)}).tobytes()


def test_a_row_that_is_not_finite_is_nan_from_its_first_element() -> None:
    got = run("cumsum", [np.array([[1, 2, INF], [1, 2, 3]], np.float32)], {"axis": 1})
    assert np.isnan(got[0]).all() and got[1].tolist() == [1, 3, 6]


def test_integer_sums_wrap() -> None:
    x = np.array([2**31 - 1, 1, 1], np.int32)
    assert int(run("sum", [x], {"axes": (0,)})) == -(2**31) + 1
    assert run("cumsum", [x], {"axis": 0}).tolist() == [2**31 - 1, -(2**31), -(2**31) + 1]


def test_the_largest_of_zeros_is_plus_zero_and_the_smallest_minus_zero() -> None:
    zeros = np.array([0.0, -0.0, 0.0], np.float32)
    assert not np.signbit(run("amax", [zeros], {"axes": (0,)}))
    assert np.signbit(run("amin", [zeros], {"axes": (0,)}))


def test_argmax_takes_the_first_nan_else_the_first_of_equals() -> None:
    rows = np.array([[1, NAN, NAN], [2, 3, 3], [-0.0, 0.0, 0.0], [-INF, -INF, -INF]], np.float32)
    assert run("argmax", [rows], {"axis": 1}).tolist() == [1, 1, 0, 0]


def test_scales_are_the_maxima_of_each_group() -> None:
    x = np.array([[1, -4], [0, 0.5], [NAN, INF]], np.float32)
    assert [s.tolist() for s in scales("sum", [x], {"axes": (1,)})] == [[0x40800000, 0x3F000000, 0x7FC00000]]
    assert [s.tolist() for s in scales("cumsum", [x], {"axis": 0})] == [[0x7FC00000, 0x7F800000]]
    assert scales("sum", [np.ones((2, 2), np.int32)], {"axes": (0,)}) == []
