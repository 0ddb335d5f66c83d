"""Decompositions and solutions of small matrices, row by row: sums are exact and rounded once, products are wide."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any

import torch
from torch import Tensor

from engine.tracing.errors import TraceError
from engine.tracing.wide import wide_matmul

aten = torch.ops.aten
LARGEST = 64  # rows; each adds operators to the program
TAYLOR, HALVINGS = 9, 10


def _require_small(name: str, x: Tensor) -> None:
    if x.shape[-1] > LARGEST:
        raise TraceError(f"trace: {name}: got matrices of {x.shape[-1]} rows, want at most {LARGEST}")


def _no_errors(x: Tensor) -> Tensor:
    return torch.zeros(x.shape[:-2], dtype=torch.int32)


def _cholesky(x: Tensor, *, upper: bool = False, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    """The lower triangle whose square is x; a matrix that has none gives numbers that are none."""
    _require_small("cholesky", x)
    x = x.mT if upper else x
    n = x.shape[-1]
    columns: list[Tensor] = []
    for j in range(n):
        rest = x[..., j:, j]
        if columns:
            done = torch.stack(columns, -1)[..., j:, :]
            rest = rest - (done * done[..., :1, :]).sum(-1)
        column = rest / rest[..., :1].sqrt()
        columns.append(torch.cat([torch.zeros_like(x[..., :j, j]), column], -1))
    lower = torch.stack(columns, -1)
    return lower.mT if upper else lower, _no_errors(x)


def _solve_triangular(a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """The x of a x = b, or of x a = b."""
    if not left:
        return _solve_triangular(a.mT, b.mT, upper=not upper, unitriangular=unitriangular).mT
    _require_small("solve_triangular", a)
    n = a.shape[-1]
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = a.expand(*batch, n, n), b.expand(*batch, *b.shape[-2:])
    rows: list[Tensor] = []
    for i in reversed(range(n)) if upper else range(n):
        row = b[..., i, :]
        if rows:
            known = torch.stack(rows[::-1] if upper else rows, -2)
            weights = a[..., i, i + 1 :] if upper else a[..., i, :i]
            row = row - (weights.unsqueeze(-1) * known).sum(-2)
        rows.append(row if unitriangular else row / a[..., i, i : i + 1])
    return torch.stack(rows[::-1] if upper else rows, -2)


def _cholesky_solve(b: Tensor, factor: Tensor, upper: bool = False) -> Tensor:
    lower = factor.mT if upper else factor
    return _solve_triangular(lower.mT, _solve_triangular(lower, b, upper=False), upper=True)


def _cholesky_inverse(factor: Tensor, upper: bool = False) -> Tensor:
    return _cholesky_solve(torch.eye(factor.shape[-1]).expand(factor.shape), factor, upper)


def _matrix_exp(x: Tensor) -> Tensor:
    """Taylor's series of a matrix halved until it is small, squared as often."""
    size = x.abs().sum(-1, keepdim=True).amax(-2, keepdim=True)
    halvings = size.log2().ceil().add(2).clamp(0, HALVINGS)
    x = x * torch.exp2(-halvings)
    one = torch.eye(x.shape[-1]).expand(x.shape)
    value = one / factorial(TAYLOR)
    for k in reversed(range(TAYLOR)):
        value = wide_matmul(x, value) + one / factorial(k)
    for k in range(HALVINGS):
        value = torch.where(halvings > k, wide_matmul(value, value), value)
    return value


# Rows exchanged so that every pivot is the largest of its column


def _swapped(k: int, place: Tensor, n: int) -> Tensor:
    """[..., n]: the order of rows that exchanges row k with the one at `place` [..., 1]."""
    row = torch.arange(n).expand(*place.shape[:-1], n)
    return torch.where(row == k, place, torch.where(row == place, k, row))


def _rows(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(-2, order.unsqueeze(-1).expand(*order.shape, x.shape[-1]))


def _lu(x: Tensor) -> tuple[Tensor, Tensor]:
    """Both triangles in one matrix, and the row, from 1, that each row was exchanged with."""
    _require_small("lu", x)
    n, pivots = x.shape[-1], list[Tensor]()
    for k in range(n):
        place = x[..., k:, k].abs().argmax(-1, keepdim=True) + k
        pivots.append(place + 1)
        x = _rows(x, _swapped(k, place, n))
        pivot, below = x[..., k : k + 1, :], x[..., k + 1 :, :]
        factor = torch.where(pivot[..., k : k + 1] == 0, 0.0, below[..., k : k + 1] / pivot[..., k : k + 1])
        rest = below[..., k + 1 :] - factor * pivot[..., k + 1 :]
        x = torch.cat([x[..., : k + 1, :], torch.cat([below[..., :k], factor, rest], -1)], -2)
    return x, torch.cat(pivots, -1).int()


def _lu_solve(lu: Tensor, pivots: Tensor, b: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """The x of a x = b, or of x a = b, or with a's transpose."""
    if not left:
        return _lu_solve(lu, pivots, b.mT, adjoint=not adjoint).mT
    n = lu.shape[-1]
    order = torch.arange(n).expand(pivots.shape)
    for k in range(n):
        order = order.gather(-1, _swapped(k, pivots[..., k : k + 1].long() - 1, n))
    batch = torch.broadcast_shapes(lu.shape[:-2], b.shape[:-2])
    order, b = order.expand(*batch, n), b.expand(*batch, *b.shape[-2:])
    if adjoint:
        x = _solve_triangular(lu.mT, b, upper=False)
        return _rows(_solve_triangular(lu.mT, x, upper=True, unitriangular=True), order.argsort(-1))
    x = _solve_triangular(lu, _rows(b, order), upper=False, unitriangular=True)
    return _solve_triangular(lu, x, upper=True)


def _lu_factor(x: Tensor, *, pivot: bool = True, check_errors: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    return *_lu(x), _no_errors(x)


def _solve(
    a: Tensor, b: Tensor, *, left: bool = True, check_errors: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    lu, pivots = _lu(a)
    is_vector = b.dim() == 1 or (a.dim() - 1 == b.dim() and b.shape == a.shape[:-1])
    x = _lu_solve(lu, pivots, b.unsqueeze(-1) if is_vector else b, left=left or is_vector)
    return x.squeeze(-1) if is_vector else x, lu, pivots, _no_errors(a)


def _inverse(x: Tensor, *, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    return _lu_solve(*_lu(x), torch.eye(x.shape[-1]).expand(x.shape)), _no_errors(x)


def _sign(pivots: Tensor) -> Tensor:
    """Of the exchanges."""
    is_moved = pivots != torch.arange(1, pivots.shape[-1] + 1)
    return 1.0 - 2.0 * (is_moved.sum(-1) % 2).float()


# Determinants are written before their gradients: torch factors the transpose of a contiguous matrix, as they know


def _lu_of_determinant(x: Tensor) -> tuple[Tensor, Tensor]:
    return _lu(x.mT if x.is_contiguous() else x)


def _det(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    lu, pivots = _lu_of_determinant(x)
    return lu.diagonal(0, -2, -1).prod(-1) * _sign(pivots), lu, pivots


def _slogdet(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    lu, pivots = _lu_of_determinant(x)
    diagonal = lu.diagonal(0, -2, -1)
    return diagonal.sign().prod(-1) * _sign(pivots), diagonal.abs().log().sum(-1), lu, pivots


DETERMINANTS: dict[Any, Callable[..., Any]] = {
    aten._linalg_det.default: _det,
    aten._linalg_slogdet.default: _slogdet,
}
DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.linalg_cholesky_ex.default: _cholesky,
    aten.linalg_solve_triangular.default: _solve_triangular,
    aten.cholesky_solve.default: _cholesky_solve,
    aten.cholesky_inverse.default: _cholesky_inverse,
    aten.linalg_matrix_exp.default: _matrix_exp,
    aten.linalg_lu_factor_ex.default: _lu_factor,
    aten.linalg_lu_solve.default: _lu_solve,
    aten._linalg_solve_ex.default: _solve,
    aten.linalg_inv_ex.default: _inverse,
}
