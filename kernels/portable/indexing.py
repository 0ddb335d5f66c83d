"""Reading and adding at indices, sorting, pooling; kernels/spec/indexing.py defines them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numba import njit

from kernels.portable.rounding import INFINITY_BITS, exponents, maxima_of
from kernels.portable.threads import parallel
from kernels.spec.indexing import check_index
from kernels.spec.operator import Array
from kernels.spec.rounding import NAN
from kernels.spec.window import places_of

Pair = Sequence[int]
Value = Callable[..., Array]
GRAIN = 1 << 14


def take_rows(table: Array, ids: Array, threads: int) -> Array:
    """The rows of a table at the given indices."""
    check_index("take_rows", ids, table.shape[0])
    return np.take(table, ids, axis=0)


def gather(x: Array, index: Array, axis: int, threads: int) -> Array:
    """The elements of x at the given indices along axis."""
    check_index("gather", index, x.shape[axis])
    return np.take_along_axis(x, index, axis)


def _source_factor(source: Array, count: int, threads: int) -> float:
    """2^s of a whole source, s = min(46, 62 - bitlength(count)) - e; 0 where it is not finite."""
    maximum = maxima_of(np.ascontiguousarray(source).reshape(1, -1, 1), threads)
    scale = min(46, 62 - count.bit_length()) - exponents(maximum)
    return float(np.ldexp(1.0, scale[0, 0])) if maximum[0, 0] < INFINITY_BITS else 0.0


def add_rows(base: Array, ids: Array, rows: Array, threads: int) -> Array:
    """base [V, D] plus the rows [I, D] at their ids [I]: the rows of one id add up in a scratch of one row."""
    check_index("add_rows", ids, base.shape[0])
    factor = _source_factor(rows, ids.size, threads)
    if factor == 0.0:
        return np.full(base.shape, NAN)
    flat = ids.reshape(-1)
    order = np.argsort(flat, kind="stable")
    first = np.searchsorted(flat[order], np.arange(base.shape[0] + 1))
    width = prod(base.shape[1:])
    table = np.ascontiguousarray(base).reshape(base.shape[0], width)
    source = np.ascontiguousarray(rows).reshape(ids.size, width)
    out = np.empty(table.shape, np.float32)
    grain = max(1, GRAIN // max(1, width))
    parallel(threads, len(out), grain, lambda i, j: _add_rows(table, source, order, first, factor, i, j, out))
    return out.reshape(base.shape)


@njit(nogil=True, cache=True)
def _add_rows(
    base: Array, rows: Array, order: Array, first: Array, factor: float, start: int, stop: int, out: Array
) -> None:
    """Row v of the result adds the rows order[first[v]] to order[first[v + 1] - 1]; totals stay below 2^62."""
    total = np.zeros(base.shape[1], np.int64)
    for v in range(start, stop):
        total[:] = 0
        for place in range(first[v], first[v + 1]):
            for d in range(base.shape[1]):
                total[d] += np.int64(np.rint(np.float64(rows[order[place], d]) * factor))
        for d in range(base.shape[1]):
            out[v, d] = _added(base[v, d], total[d], factor)


@njit(nogil=True, cache=True)
def _added(base: float, total: Any, factor: float) -> Any:
    """One IEEE addition of the stored total; a NaN base stays the one pattern."""
    value = base + np.float32(np.float64(np.float32(total)) / factor)
    return value if value == value else NAN


def scatter_add(base: Array, index: Array, source: Array, axis: int, threads: int) -> Array:
    """base plus the source at its indices along axis."""
    check_index("scatter_add", index, base.shape[axis])
    factor = _source_factor(source, source.shape[axis], threads)
    if factor == 0.0:
        return np.full(base.shape, NAN)
    bases, places, sources = (_columns(x, axis) for x in (base, index, source))
    out = np.empty(bases.shape, np.float32)
    grain = max(1, GRAIN // max(1, base.shape[axis] + source.shape[axis]))
    parallel(threads, len(out), grain, lambda i, j: _scatter_add(bases, places, sources, factor, i, j, out))
    moved = np.moveaxis(base, axis, -1)
    return np.ascontiguousarray(np.moveaxis(out.reshape(moved.shape), -1, axis)).reshape(base.shape)


def _columns(x: Array, axis: int) -> Array:
    """x with axis last and the others merged into one."""
    moved = np.moveaxis(x, axis, -1)
    return np.ascontiguousarray(moved).reshape(prod(moved.shape[:-1]), moved.shape[-1])


@njit(nogil=True, cache=True)
def _scatter_add(base: Array, index: Array, source: Array, factor: float, start: int, stop: int, out: Array) -> None:
    """Rows [start, stop) of [L, V] bases, [L, I] indices and sources."""
    total = np.zeros(base.shape[1], np.int64)
    for row in range(start, stop):
        total[:] = 0
        for j in range(index.shape[1]):
            total[index[row, j]] += np.int64(np.rint(np.float64(source[row, j]) * factor))
        for k in range(base.shape[1]):
            out[row, k] = _added(base[row, k], total[k], factor)


def argsort(x: Array, axis: int, descending: bool, threads: int) -> Array:
    """The stable sorting permutation, by integer keys in which both zeros are equal and NaN is highest."""
    key = x
    if x.dtype == np.float32:
        bits = x.view(np.int32)
        key = np.where(bits < 0, -(bits & np.int32(0x7FFFFFFF)), bits)
    return np.argsort(~key if descending else key, axis=axis, kind="stable").astype(np.int64)  # ~k = -k - 1


def max_pool_index(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, threads: int) -> Array:
    """The flat index of each window's first NaN, else of its first largest element."""
    sizes = places_of(x.shape[2:], kernel, stride, padding, dilation)
    images = np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], *x.shape[2:])
    out = np.empty((len(images), *sizes), np.int64)
    window = np.array([*kernel, *stride, *padding, *dilation], np.int64)
    grain = max(1, GRAIN // max(1, sizes[0] * sizes[1] * kernel[0] * kernel[1]))
    parallel(threads, len(out), grain, lambda start, stop: _max_pool_index(images, window, start, stop, out))
    return out.reshape(*x.shape[:2], *sizes)


@njit(nogil=True, cache=True)
def _max_pool_index(x: Array, window: Array, start: int, stop: int, out: Array) -> None:
    """x: [L, H, W]; window: kernel, stride, padding, dilation, two each; out: [L, P, Q]."""
    for image in range(start, stop):
        for p in range(out.shape[1]):
            for q in range(out.shape[2]):
                out[image, p, q] = _largest(x[image], window, p * window[2] - window[4], q * window[3] - window[5])


@njit(nogil=True, cache=True)
def _largest(x: Array, window: Array, top: int, left: int) -> Any:
    best = np.int64(-1)
    value = x[0, 0]
    for r in range(window[0]):
        h = top + r * window[6]
        for s in range(window[1]):
            w = left + s * window[7]
            if 0 <= h < x.shape[0] and 0 <= w < x.shape[1]:
                found = x[h, w]
                if best < 0 or found > value or (found != found and value == value):
                    best, value = h * x.shape[1] + w, found
    return best


OPERATORS: dict[str, Value] = {
    f.__name__: f for f in (take_rows, add_rows, gather, scatter_add, argsort, max_pool_index)
}
