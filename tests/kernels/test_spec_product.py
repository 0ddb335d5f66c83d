"""What the definition gives for products, on the page, in plain loops and against float64."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from kernels.conformance.inputs import floats, indices
from kernels.spec import run, scales
from kernels.spec.operator import Array
from kernels.spec.rounding import rn24
from tests.kernels.test_spec_rounding import nearest_even, nearest_float32

NAN, INF = float("nan"), float("inf")
WINDOW: dict[str, Any] = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}


def scale_of(values: list[Fraction], qmax: int) -> int:
    """The largest s with rne(max * 2^s) <= qmax, by trying."""
    largest, s = max(map(abs, values)), -200
    while largest and nearest_even(largest * Fraction(2) ** (s + 1)) <= qmax:
        s += 1
    return s if largest else 0


@pytest.mark.parametrize(("width", "qmax"), [("narrow", 16383), ("wide", 8355711)])
def test_a_product_is_the_law_followed_in_fractions(width: str, qmax: int) -> None:
    a, b = floats("a", (4, 9), 3, 30), floats("b", (9, 5), -7, 30)
    c = run("matmul", [a, b], {"width": width})
    for i, j in product(range(4), range(5)):
        row, column = [Fraction(float(x)) for x in a[i]], [Fraction(float(x)) for x in b[:, j]]
        s, t = scale_of(row, qmax), scale_of(column, qmax)
        terms = zip(row, column, strict=True)
        total = sum(nearest_even(x * Fraction(2) ** s) * nearest_even(y * Fraction(2) ** t) for x, y in terms)
        assert c[i, j] == nearest_float32(Fraction(rn24(total)) / Fraction(2) ** (s + t))


@pytest.mark.parametrize(("width", "error"), [("narrow", 2e-4), ("wide", 4e-7)])
def test_a_product_of_ordinary_data_is_close_to_float64(width: str, error: float) -> None:
    a, b = floats("a", (30, 400), 1, 4), floats("b", (400, 20), 1, 4)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    got = run("matmul", [a, b], {"width": width})
    assert np.linalg.norm(got - exact) <= error * np.linalg.norm(exact)


@pytest.mark.parametrize("width", ["narrow", "wide"])
def test_small_integers_multiply_exactly(width: str) -> None:
    a, b = (indices(name, (6, 6), 2000).astype(np.float32) - 1000 for name in "ab")
    assert run("matmul", [a, b], {"width": width}).tolist() == (a.astype(np.int64) @ b.astype(np.int64)).tolist()


def test_a_product_does_not_depend_on_the_order_of_its_terms() -> None:
    a, b = floats("a", (3, 500), 20, 40), floats("b", (500, 3), 20, 40)
    assert (
        run("matmul", [a[:, ::-1], b[::-1]], {"width": "wide"}).tobytes()
        == run("matmul", [a, b], {"width": "wide"}).tobytes()
    )


def test_a_row_or_column_that_is_not_finite_makes_its_outputs_nan() -> None:
    a = np.array([[1, NAN], [1, 0], [INF, 0]], np.float32)
    b = np.array([[0, 1, 2], [0, -INF, 3]], np.float32)
    got = run("matmul", [a, b], {"width": "narrow"})
    assert np.isnan(got).tolist() == [[True] * 3, [False, True, False], [True] * 3]
    assert got[1].tolist()[::2] == [0.0, 2.0]


def test_no_term_gives_plus_zero() -> None:
    got = run("matmul", [np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)], {"width": "wide"})
    assert got.tobytes() == bytes(4 * 6)


def convolved(x: Array, w: Array) -> Array:
    """conv of integers in WINDOW's groups, by the sum that defines it."""
    n, o, (_, c, r, s) = x.shape[0], w.shape[0], w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)))
    p, q = (x.shape[2] + 2 - r) // 2 + 1, x.shape[3] + 4 - 2 * (s - 1)
    out = np.zeros((n, o, p, q))
    for i, j, k, m in product(range(n), range(o), range(p), range(q)):
        group = j // (o // 2)
        patch = padded[i, group * c : (group + 1) * c, 2 * k : 2 * k + r, m : m + 2 * s - 1 : 2]
        out[i, j, k, m] = (patch * w[j]).sum()
    return out


def small(name: str, shape: tuple[int, ...]) -> Array:
    return indices(name, shape, 15).astype(np.float32) - 7


X, W = small("x", (2, 4, 5, 4)), small("w", (6, 2, 3, 2))
G = small("g", convolved(X, W).shape)


def test_conv_of_small_integers_is_its_defining_sum() -> None:
    assert run("conv", [X, W], {**WINDOW, "width": "narrow"}).tolist() == convolved(X, W).tolist()


def test_the_gradients_of_conv_are_its_adjoints() -> None:
    """<g, conv(x, w)> = <grad_input(g, w), x> = <grad_weight(g, x), w>, exactly, for small integers."""
    by_input = run("conv_grad_input", [G, W], {"size": (5, 4), **WINDOW, "width": "narrow"})
    by_weight = run("conv_grad_weight", [G, X], {"size": (3, 2), **WINDOW, "width": "narrow"})
    for index in np.ndindex(X.shape):
        unit = np.zeros(X.shape, np.float32)
        unit[index] = 1
        assert by_input[index] == (G * convolved(unit, W)).sum()
    for index in np.ndindex(W.shape):
        unit = np.zeros(W.shape, np.float32)
        unit[index] = 1
        assert by_weight[index] == (G * convolved(X, unit)).sum()


def test_scales_have_the_shapes_of_the_law() -> None:
    wide = {**WINDOW, "width": "wide"}
    assert shapes("matmul", [np.ones((2, 3, 4), np.float32), np.ones((2, 4, 5), np.float32)], {"width": "wide"}) == [
        (2, 3),
        (2, 5),
    ]
    assert shapes("conv", [X, W], wide) == [(2, 2), (6,)]
    assert shapes("conv_grad_input", [G, W], {"size": (5, 4), **wide}) == [(2, 2), (2, 2)]
    assert shapes("conv_grad_weight", [G, X], {"size": (3, 2), **wide}) == [(6,), (4,)]


def shapes(op: str, inputs: list[Array], attributes: dict[str, Any]) -> list[tuple[int, ...]]:
    return [scale.shape for scale in scales(op, inputs, attributes)]


def test_one_infinity_reaches_the_outputs_of_its_scale_group_only() -> None:
    x = X.copy()
    x[1, 3, 0, 0] = INF  # sample 1, group 1
    bad = np.isnan(run("conv", [x, W], {**WINDOW, "width": "wide"}))
    assert bad[1, 3:].all() and not bad[0].any() and not bad[1, :3].any()
