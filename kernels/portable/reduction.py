"""Reductions over [A, n, B] arrays; kernels/spec/reduction.py defines them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import njit

from kernels.portable.rounding import INFINITY_BITS, exponents, grain_of, maxima_of, merged
from kernels.portable.threads import parallel
from kernels.spec.operator import Array
from kernels.spec.reduction import SUM_BITS
from kernels.spec.rounding import NAN

Value = Callable[..., Array]
KEY_OF_MINUS_NAN = np.int32(-(2**31))


@njit(nogil=True, cache=True)
def _sum_groups(x: Array, factor: Array, start: int, stop: int, out: Array) -> None:
    """The sums of the slabs [start, stop). Totals stay below 2^62.

    x:      [A, n, B] float32
    factor: [A, B] float64, the power of two of each group; 0 where it is not finite
    out:    [A, B] float32
    """
    total = np.zeros(x.shape[2], np.int64)
    for a in range(start, stop):
        total[:] = 0
        if x.shape[2] == 1:
            total[0] = _sum_row(x[a, :, 0], factor[a, 0])
        else:
            for j in range(x.shape[1]):
                for b in range(x.shape[2]):
                    total[b] += _quantised(x[a, j, b], factor[a, b])
        for b in range(x.shape[2]):
            out[a, b] = _stored(total[b], factor[a, b])


@njit(nogil=True, cache=True)
def _sum_row(x: Array, factor: float) -> Any:
    total = np.int64(0)
    for j in range(x.size):
        total += _quantised(x[j], factor)
    return total


@njit(nogil=True, cache=True)
def _quantised(x: float, factor: float) -> Any:
    return np.int64(np.rint(np.float64(x) * factor)) if factor != 0.0 else np.int64(0)


@njit(nogil=True, cache=True)
def _stored(total: Any, factor: float) -> Any:
    """To float32 is the rounding to 24 bits; dividing by a power of two in float64 is exact."""
    return np.float32(np.float64(np.float32(total)) / factor) if factor != 0.0 else NAN


@njit(nogil=True, cache=True)
def _cumsum_groups(x: Array, factor: Array, start: int, stop: int, out: Array) -> None:
    """The running sums of the slabs [start, stop); shapes as in _sum_groups, out as x."""
    for a in range(start, stop):
        for b in range(x.shape[2]):
            total = np.int64(0)
            for j in range(x.shape[1]):
                total += _quantised(x[a, j, b], factor[a, b])
                out[a, j, b] = _stored(total, factor[a, b])


def sum_(x: Array, axes: Sequence[int], threads: int) -> Array:
    """The sum over the axes, which are removed."""
    if x.dtype != np.float32:
        return np.asarray(x.sum(axis=tuple(axes), dtype=x.dtype))
    groups, shape = merged(x, axes)
    factor = _factors(groups, threads)
    out = np.empty(factor.shape, np.float32)
    parallel(threads, len(out), grain_of(groups), lambda i, j: _sum_groups(groups, factor, i, j, out))
    return out.reshape(shape)


def cumsum(x: Array, axis: int, threads: int) -> Array:
    """The running sum along axis."""
    if x.dtype != np.float32:
        return np.cumsum(x, axis=axis, dtype=x.dtype)
    groups, _ = merged(x, [axis])
    factor = _factors(groups, threads)
    out = np.empty(groups.shape, np.float32)
    parallel(threads, len(out), grain_of(groups), lambda i, j: _cumsum_groups(groups, factor, i, j, out))
    return out.reshape(x.shape)


def _factors(groups: Array, threads: int) -> Array:
    """2^(46 - e) per group; 0 where it is not finite."""
    maximum = maxima_of(groups, threads)
    return np.where(maximum < INFINITY_BITS, np.ldexp(1.0, SUM_BITS - exponents(maximum)), 0.0)


def amax(x: Array, axes: Sequence[int], threads: int) -> Array:
    """The largest of each group: a NaN has the highest key."""
    if x.dtype != np.float32:
        return np.asarray(x.max(axis=tuple(axes)))
    return _bits_of(np.asarray(_keys(x).max(axis=tuple(axes))))


def amin(x: Array, axes: Sequence[int], threads: int) -> Array:
    """The smallest of each group: a NaN gets the lowest key."""
    if x.dtype != np.float32:
        return np.asarray(x.min(axis=tuple(axes)))
    least = np.asarray(np.where(np.isnan(x), KEY_OF_MINUS_NAN, _keys(x)).min(axis=tuple(axes)))
    return np.where(least == KEY_OF_MINUS_NAN, NAN, _bits_of(least))


def _keys(x: Array) -> Array:
    """int32 in the order of float32, -0 below +0; its own inverse on bits."""
    bits = x.view(np.int32)
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


def _bits_of(keys: Array) -> Array:
    return (keys ^ ((keys >> 31) & np.int32(0x7FFFFFFF))).astype(np.int32).view(np.float32)


def argmax(x: Array, axis: int, threads: int) -> Array:
    """The index of the first NaN, else of the first largest."""
    return np.asarray(np.argmax(x, axis=axis), dtype=np.int64)


OPERATORS: dict[str, Value] = {"sum": sum_, "amax": amax, "amin": amin, "argmax": argmax, "cumsum": cumsum}
