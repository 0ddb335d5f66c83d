"""Attention as a backend computes it without storing a matrix of scores (found in a program by engine/attention.py)."""

from __future__ import annotations

from dataclasses import dataclass

from kernels.group import Group
from kernels.types import TensorType


@dataclass(frozen=True, slots=True)
class Score:
    """A value of the domain that is a product: matrices `left` [..., M, K] and `right` [..., K, N]."""

    left: int
    right: int
    K: int
    width: str


@dataclass(frozen=True, slots=True)
class Product:
    """A product of a value x [M, N] of the domain with a matrix w.

    register: of x
    matrix:   the number of w
    over:     "columns": x w, or w x^T where w is on the left; "rows": x^T w, or w x
    on_left:  whether w is the left operand, [..., D, K] and the result [..., D, M]; else [..., K, D] and [..., M, D]
    type:     of the result
    """

    register: int
    matrix: int
    over: str
    on_left: bool
    width: str
    type: TensorType


@dataclass(frozen=True, slots=True)
class Attention:
    """Values of a domain [B, M, N] that no memory holds: they are computed tile by tile, as often as it takes.

    operands: `matrices` matrices, then the group's inputs but for the scores
    results:  the group's outputs, all per row; then the products
    group:    its first registers are the scores
    """

    B: int
    M: int
    N: int
    matrices: int
    scores: tuple[Score, ...]
    group: Group
    products: tuple[Product, ...]
