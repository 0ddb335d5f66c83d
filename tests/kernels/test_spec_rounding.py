"""The roundings of the law against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.conformance.inputs import SPECIAL_BITS, bits
from kernels.spec.matmul import LONG_QMAX, LONG_TERMS, NARROW_QMAX, NARROW_TERMS, WIDE_QMAX, WIDE_TERMS, qmax
from kernels.spec.rounding import exponents, maxima, product_scale, quantise, rn24, store

SEEDED = settings(derandomize=True, deadline=None, max_examples=300)
QMAXES = (NARROW_QMAX, WIDE_QMAX, LONG_QMAX)


def nearest_even(value: Fraction) -> int:
    floor = value.numerator // value.denominator
    rest = value - floor
    return floor + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1))


def nearest_float32(value: Fraction) -> np.float32:
    """By definition: the nearest multiple of the last place, which is 2^-149 or more; then overflow."""
    magnitude, place = abs(value), -149
    while magnitude >= Fraction(2) ** (place + 24):
        place += 1
    rounded = nearest_even(magnitude / Fraction(2) ** place) * Fraction(2) ** place
    result = float("inf") if rounded >= Fraction(2) ** 128 else float(rounded)
    return np.float32(-result if value < 0 else result)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@SEEDED
@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_rn24_is_the_nearest_integer_of_24_significant_bits(total: int) -> None:
    drop = max(0, abs(total).bit_length() - 24)
    assert rn24(total) == nearest_even(Fraction(total, 2**drop)) * 2**drop


@pytest.mark.parametrize(
    ("total", "rounded"), [(2**24 + 1, 2**24), (2**24 + 3, 2**24 + 4), (-(2**25) - 2, -(2**25)), (0, 0)]
)
def test_rn24_breaks_ties_to_even(total: int, rounded: int) -> None:
    assert rn24(total) == rounded


@SEEDED
@given(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-230, 342))
def test_store_rounds_to_24_bits_and_then_where_it_is_subnormal_or_overflows(total: int, scale: int) -> None:
    expected = nearest_float32(Fraction(rn24(total)) / Fraction(2) ** scale)
    if total < 0 and expected == 0:
        expected = np.float32("-0.0")
    assert same_bits(store(np.array(total), scale), np.array(expected))


def test_store_rounds_twice_below_the_normal_range() -> None:
    total = 2**24 + 0x17  # to 24 bits a tie, up to 0x18; in 16ths, the subnormal grid, a tie again, and up again
    once = nearest_float32(Fraction(total) / Fraction(2) ** 153)
    twice = nearest_float32(Fraction(rn24(total)) / Fraction(2) ** 153)
    assert store(np.array(total), 153) == twice != once


@SEEDED
@given(st.integers(0, 2**32 - 1), st.integers(-115, 194))
def test_quantise_is_the_nearest_integer(pattern: int, scale: int) -> None:
    x = np.array(pattern, np.uint32).view(np.float32)
    exact = Fraction(float(x)) * Fraction(2) ** scale if np.isfinite(x) else Fraction(0)
    if abs(exact) < 2**62:
        assert int(quantise(x, scale)) == nearest_even(exact)


@pytest.mark.parametrize("limit", QMAXES)
def test_a_product_scale_is_the_largest_that_keeps_the_maximum_within_qmax(limit: int) -> None:
    patterns = [
        *SPECIAL_BITS,
        *map(int, bits("scales", (200,)) & 0x7FFFFFFF),
        0x3F7EFEFE,
        0x3F7EFEFF,
        0x3F7FFE00,
        0x3F7FFDFF,
    ]
    for pattern in patterns:
        maximum = np.array(pattern, np.uint32)
        if 0 < pattern < 0x7F800000:
            s, exact = int(product_scale(maximum, limit)), Fraction(float(maximum.view(np.float32)))
            assert nearest_even(exact * Fraction(2) ** s) <= limit < nearest_even(exact * Fraction(2) ** (s + 1))
            assert -115 <= s <= 172


def test_a_zero_maximum_has_the_scale_zero() -> None:
    assert product_scale(np.zeros(3, np.uint32), WIDE_QMAX).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("limit", "terms"), [(NARROW_QMAX, NARROW_TERMS), (WIDE_QMAX, WIDE_TERMS), (LONG_QMAX, LONG_TERMS)]
)
def test_the_largest_product_fits_63_bits(limit: int, terms: int) -> None:
    assert terms * limit**2 < 2**63


def test_qmax_follows_width_and_terms() -> None:
    assert [qmax("narrow", k) for k in (0, 2**24)] == [16383, 16383]
    assert [qmax("wide", k) for k in (0, 131071, 131072, 2**21)] == [8355711, 8355711, 2097151, 2097151]


def test_exponents_are_those_of_frexp() -> None:
    patterns = np.array([0x3F800000, 0x3F000000, 0x00000001, 0x7F7FFFFF, 0, 0x7F800000, 0x7FC00000], np.uint32)
    assert exponents(patterns).tolist() == [1, 0, -148, 128, 0, 128, 128]


def test_maxima_put_infinity_above_numbers_and_nan_above_infinity() -> None:
    rows = np.array([[1, -2, 0], [-np.inf, 2, 0], [np.inf, np.nan, 1], [-0.0, 0, 0]], np.float32)
    assert maxima(rows, (1,)).tolist() == [0x40000000, 0x7F800000, 0x7FC00000, 0]
    assert maxima(rows[:, :0], (1,)).tolist() == [0, 0, 0, 0]
