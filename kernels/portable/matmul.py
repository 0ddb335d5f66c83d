"""The matrix product in float64 lanes; kernels/spec/matmul.py defines it.

The integers are held in float64 and multiplied by NumPy's BLAS, whose order of additions does not matter: every partial
sum of `run` terms is an integer below 2^53, so it is exact in any order, fused or not. Runs add up in int64.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numba import njit

from kernels.portable.rounding import quantised, store_products
from kernels.portable.threads import parallel
from kernels.spec.matmul import qmax
from kernels.spec.operator import Array

EXACT = 2**53
GRAIN = 1 << 15


def run_length(limit: int) -> int:
    """How many products of integers up to `limit` add up exactly in float64."""
    return (EXACT - 1) // (limit * limit)


def exact_product(a: Array, b: Array, limit: int) -> Array:
    """a @ b of integers up to limit: float64 where one run holds all terms, else int64.

    a: [..., M, K] float64
    b: [..., K, N] float64
    """
    run, terms = run_length(limit), a.shape[-1]
    if terms <= run:
        return np.matmul(a, b)
    total = np.zeros((*a.shape[:-1], b.shape[-1]), np.int64)
    for first in range(0, terms, run):
        part = np.matmul(a[..., first : first + run], b[..., first : first + run, :])
        _accumulate(total.reshape(-1), part.reshape(-1))
    return total


@njit(nogil=True, cache=True)
def _accumulate(total: Array, part: Array) -> None:
    for i in range(total.size):
        total[i] += np.int64(part[i])


def accumulator(shape: tuple[int, ...], limit: int, terms: int) -> Array:
    """An empty array for products of that many terms: float64 where one run holds them all, else int64."""
    return np.empty(shape, np.float64 if terms <= run_length(limit) else np.int64)


def stored(total: Array, row: Array, column: Array, threads: int) -> Array:
    """The float32 of total[e, r, c] * row[e, r] * column[e, c]."""
    out = np.empty(total.shape, np.float32)
    rows, grain = total.shape[0] * total.shape[1], max(1, GRAIN // max(1, total.shape[2]))
    parallel(threads, rows, grain, lambda start, stop: store_products(total, row, column, start, stop, out))
    return out


def matmul(a: Array, b: Array, width: str, threads: int) -> Array:
    """[..., M, K] @ [..., K, N], one batch entry after the other."""
    batch, (m, k), n = a.shape[:-2], a.shape[-2:], b.shape[-1]
    limit = qmax(width, k)
    qa, s = _quantised_along(a, -1, limit, threads)
    qb, t = _quantised_along(b, -2, limit, threads)
    total = exact_product(qa, qb, limit).reshape(prod(batch), m, n)
    rows, columns = s.reshape(len(total), m), t.reshape(len(total), n)
    return stored(total, rows, columns, threads).reshape(*batch, m, n)


def _quantised_along(x: Array, axis: int, limit: int, threads: int) -> tuple[Array, Array]:
    """x's integers with one scale per group along an axis of its last two, in whichever order they lie in memory."""
    if not x.flags.c_contiguous and np.swapaxes(x, -1, -2).flags.c_contiguous:
        q, inverse = _quantised_along(np.swapaxes(x, -1, -2), -3 - axis, limit, threads)
        return np.swapaxes(q, -1, -2), inverse
    rows, columns = x.shape[-2:]
    count = prod(x.shape[:-2])
    shape = (count * rows, columns, 1) if axis == -1 else (count, rows, columns)
    q, inverse = quantised(np.ascontiguousarray(x).reshape(shape), limit, threads)
    return q.reshape(x.shape), inverse


OPERATORS = {"matmul": matmul}
