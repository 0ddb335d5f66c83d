"""The matrix product: exact in integers, rounded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels.spec.operator import Array, Attributes, Operator, check_dtypes, want
from kernels.spec.rounding import NAN, is_finite, maxima, product_scale, quantise, store
from kernels.types import TensorType

Types = Sequence[TensorType]
Groups = list[tuple[Array, tuple[int, ...]]]
NARROW_QMAX, NARROW_TERMS = 16383, 2**24
WIDE_QMAX, WIDE_TERMS = 127 * (65536 + 256 + 1), 131071
LONG_QMAX, LONG_TERMS = 2**21 - 1, 2**21


def qmax(width: str, terms: int) -> int:
    """The largest |q| of a product of `terms` terms, so that the exact sum stays below 2^63."""
    if width == "narrow":
        return NARROW_QMAX
    return WIDE_QMAX if terms <= WIDE_TERMS else LONG_QMAX


def check_terms(name: str, width: str, terms: int) -> None:
    """Refuses a product with more terms than its width allows."""
    bound = NARROW_TERMS if width == "narrow" else LONG_TERMS
    want(terms <= bound, name, f"{terms} terms per output", f"at most {bound} for {width}")


def _matmul_rule(types: Types, attributes: Attributes) -> TensorType:
    check_dtypes("matmul", types, ("float32",))
    a, b = types
    got = f"a {a} and b {b}"
    want(len(a.shape) == len(b.shape) >= 2, "matmul", got, "equal ranks of 2 or more")
    want(a.shape[-1] == b.shape[-2], "matmul", got, "a.shape[-1] == b.shape[-2]")
    want(a.shape[:-2] == b.shape[:-2], "matmul", got, "equal leading axes")
    check_terms("matmul", attributes["width"], a.shape[-1])
    return TensorType("float32", (*a.shape[:-1], b.shape[-1]))


def matmul(a: Array, b: Array, width: str) -> Array:
    """The product of two matrices, exact in integers and rounded once.

    a:       [..., M, K] float32
    b:       [..., K, N] float32
    returns: [..., M, N] float32

    Value:    c[m, n] = sum over k of a[m, k] * b[k, n]
    Scale:    a power of two per row of a and per column of b, the largest that keeps |q| <= qmax(width, K)
    Rounding: each operand once to an integer, the exact sum once to float32
    Special:  a NaN or an infinity in a row of a or a column of b makes its outputs NaN; K = 0 gives +0
    Gradient: a <- matmul(g, transpose(b)), b <- matmul(transpose(a), g)
    """
    limit = qmax(width, a.shape[-1])
    rows, columns = np.expand_dims(maxima(a, (a.ndim - 1,)), -1), np.expand_dims(maxima(b, (b.ndim - 2,)), -2)
    s, t = product_scale(rows, limit), product_scale(columns, limit)
    total = np.matmul(quantise(a, s), quantise(b, t))
    return np.where(is_finite(rows) & is_finite(columns), store(total, s + t), NAN)


def _matmul_groups(inputs: Sequence[Array], attributes: Attributes) -> Groups:
    a, b = inputs
    return [(a, (a.ndim - 1,)), (b, (b.ndim - 2,))]


OPERATORS = (Operator("matmul", "product", ("a", "b"), _matmul_rule, matmul, {"width": "width"}, _matmul_groups),)
