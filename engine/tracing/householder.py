"""Orthogonal factors of matrices by reflections, as LAPACK's geqrf and orgqr define them: column by column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from engine.tracing.errors import TraceError

aten = torch.ops.aten
LARGEST = 64  # columns; each adds operators to the program


def _require_few(name: str, columns: int) -> None:
    if columns > LARGEST:
        raise TraceError(f"trace: {name}: got {columns} columns to reflect, want at most {LARGEST}")


def _reflected(x: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """x [..., M, N] minus tau [..., 1] v v^T x, for v [..., M]."""
    along = (v.unsqueeze(-1) * x).sum(-2, keepdim=True)
    return x - (tau * v).unsqueeze(-1) * along


def _reflections(x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The triangle [..., M, N], and the vectors [..., M] and factors [..., 1] that give it."""
    M, N = x.shape[-2:]
    count = min(M, N)
    _require_few("qr", count)
    row, vectors, factors = torch.arange(M), list[Tensor](), list[Tensor]()
    for k in range(count):
        column = torch.where(row > k, x[..., :, k], 0.0)
        first = x[..., k, k].unsqueeze(-1)
        rest = torch.linalg.vector_norm(column, dim=-1, keepdim=True)
        is_done = rest == 0
        end = torch.hypot(first, rest)
        end = torch.where(first < 0, end, -end)
        tau = torch.where(is_done, 0.0, (end - first) / torch.where(is_done, 1.0, end))
        v = column / torch.where(is_done, 1.0, first - end) + (row == k)
        x = _reflected(x, v, tau)
        vectors.append(v)
        factors.append(tau)
    return x, vectors, factors


def _unfolded(vectors: list[Tensor], factors: list[Tensor], like: Tensor, columns: int) -> Tensor:
    """The first columns of the product of all reflections."""
    M = like.shape[-2]
    q = torch.eye(M, columns).expand(*like.shape[:-2], M, columns)
    for v, tau in zip(reversed(vectors), reversed(factors), strict=True):
        q = _reflected(q, v, tau)
    return q


def _qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    M, N = x.shape[-2:]
    r, vectors, factors = _reflections(x)
    if mode == "r":
        return x.new_zeros(0), r[..., : min(M, N), :].triu()
    columns = min(M, N) if mode == "reduced" else M
    return _unfolded(vectors, factors, x, columns), r[..., :columns, :].triu()


def _geqrf(x: Tensor) -> tuple[Tensor, Tensor]:
    """The triangle with the vectors below it, and the factors."""
    r, vectors, factors = _reflections(x)
    below = torch.stack(vectors, -1)
    padded = torch.cat([below, below.new_zeros(*below.shape[:-1], x.shape[-1] - below.shape[-1])], -1)
    return r.triu() + padded.tril(-1), torch.cat(factors, -1)


def _householder_product(x: Tensor, tau: Tensor) -> Tensor:
    """x [..., M, N] with vectors below its diagonal, tau [..., K] -> the first N columns of their product."""
    K = tau.shape[-1]
    _require_few("householder_product", K)
    row = torch.arange(x.shape[-2])
    vectors = [torch.where(row > k, x[..., :, k], 0.0) + (row == k) for k in range(K)]
    return _unfolded(vectors, [tau[..., k : k + 1] for k in range(K)], x, x.shape[-1])


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.linalg_qr.default: _qr,
    aten.geqrf.default: _geqrf,
    aten.linalg_householder_product.default: _householder_product,
}
