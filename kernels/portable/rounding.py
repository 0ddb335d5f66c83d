"""Maxima, scales, quantising and rounding over [A, n, B] arrays; kernels/spec/rounding.py defines them.

A group is the n elements of one (a, b): B = 1 for rows, B > 1 for columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numba import njit

from kernels.portable.threads import parallel
from kernels.spec.operator import Array
from kernels.spec.rounding import NAN

INFINITY_BITS = np.uint32(0x7F800000)
MAGNITUDE = np.uint32(0x7FFFFFFF)
GRAIN = 1 << 15


@njit(nogil=True, cache=True)
def group_maxima(bits: Array, start: int, stop: int, out: Array) -> None:
    """The largest |x| of each group of the slabs [start, stop), as bit patterns.

    bits: [A, n, B] uint32, the bits of float32
    out:  [A, B] uint32
    """
    for a in range(start, stop):
        if bits.shape[2] == 1:
            largest = np.uint32(0)
            for j in range(bits.shape[1]):
                largest = max(largest, bits[a, j, 0] & MAGNITUDE)
            out[a, 0] = largest
        else:
            out[a, :] = np.uint32(0)
            for j in range(bits.shape[1]):
                for b in range(bits.shape[2]):
                    out[a, b] = max(out[a, b], bits[a, j, b] & MAGNITUDE)


@njit(nogil=True, cache=True)
def quantise_groups(x: Array, factor: Array, start: int, stop: int, out: Array) -> None:
    """rne(x * factor) of the slabs [start, stop), as float64, which holds these integers exactly.

    x:      [A, n, B] float32
    factor: [A, B] float64, the power of two of each group; 0 for a group that is not finite, whose integers are 0
    out:    [A, n, B] float64
    """
    for a in range(start, stop):
        if x.shape[2] == 1:
            scale = factor[a, 0]
            for j in range(x.shape[1]):
                out[a, j, 0] = np.rint(np.float64(x[a, j, 0]) * scale) if scale != 0.0 else 0.0
        else:
            for j in range(x.shape[1]):
                for b in range(x.shape[2]):
                    scale = factor[a, b]
                    out[a, j, b] = np.rint(np.float64(x[a, j, b]) * scale) if scale != 0.0 else 0.0


@njit(nogil=True, cache=True)
def store_products(total: Array, row: Array, column: Array, start: int, stop: int, out: Array) -> None:
    """The float32 of total * row * column, for the rows [start, stop) of all E * R.

    total:  [E, R, C] int64, or float64 that holds integers below 2^53; to float32 it is the rounding to 24 bits
    row:    [E, R] float64, a power of two (2^-s), or NaN where the scale group is not finite
    column: [E, C] float64, likewise
    out:    [E, R, C] float32
    """
    for place in range(start, stop):
        e, r = place // total.shape[1], place % total.shape[1]
        for c in range(total.shape[2]):
            scale = row[e, r] * column[e, c]
            value = np.float32(np.float64(np.float32(total[e, r, c])) * scale)
            out[e, r, c] = value if scale == scale else NAN


def merged(x: Array, axes: Sequence[int]) -> tuple[Array, tuple[int, ...]]:
    """x as a row-major [A, n, B] with the axes merged into n, and its shape without them; axes apart are moved last."""
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    shape = tuple(x.shape[axis] for axis in rest)
    size = prod(x.shape[axis] for axis in axes)
    if list(axes) == list(range(axes[0], axes[0] + len(axes))):
        outer = prod(x.shape[: axes[0]])
        inner = prod(x.shape[axes[-1] + 1 :])
        return np.ascontiguousarray(x).reshape(outer, size, inner), shape
    moved = np.ascontiguousarray(np.transpose(x, (*rest, *axes)))
    return moved.reshape(prod(shape), size, 1), shape


def maxima_of(groups: Array, threads: int) -> Array:
    """The largest |x| per group of an [A, n, B] float32, as [A, B] uint32 bit patterns."""
    bits, out = groups.view(np.uint32), np.empty((groups.shape[0], groups.shape[2]), np.uint32)
    parallel(threads, len(out), grain_of(groups), lambda start, stop: group_maxima(bits, start, stop, out))
    return out


def grain_of(groups: Array) -> int:
    """How many slabs of an [A, n, B] are worth a thread."""
    return max(1, GRAIN // max(1, groups.shape[1] * groups.shape[2]))


def quantised(groups: Array, qmax: int, threads: int) -> tuple[Array, Array]:
    """(the integers of an [A, n, B] float32 as float64, 2^-s per group as [A, B], NaN where it is not finite)."""
    factor, inverse = product_scales(maxima_of(groups, threads), qmax)
    out = np.empty(groups.shape, np.float64)
    parallel(threads, len(out), grain_of(groups), lambda i, j: quantise_groups(groups, factor, i, j, out))
    return out, inverse


def exponents(maximum: Array) -> Array:
    """e of maximum = f * 2^e, 1/2 <= f < 1, for finite bit patterns, else 0."""
    finite = np.where(maximum < INFINITY_BITS, maximum, np.uint32(0))
    return np.frexp(finite.view(np.float32).astype(np.float64))[1].astype(np.int64)


def product_scales(maximum: Array, qmax: int) -> tuple[Array, Array]:
    """(2^s, 2^-s) of each group: s the largest with rne(max * 2^s) <= qmax; (0, NaN) where a group is not finite."""
    finite = maximum < INFINITY_BITS
    value = np.where(finite, maximum, np.uint32(0)).view(np.float32).astype(np.float64)
    s = qmax.bit_length() - exponents(maximum)
    s -= np.rint(np.ldexp(value, s)) > qmax
    s[value == 0] = 0
    return np.where(finite, np.ldexp(1.0, s), 0.0), np.where(finite, np.ldexp(1.0, -s), np.nan)


def maxima(x: Array, axes: tuple[int, ...], threads: int = 1) -> Array:
    """The largest |x| over the axes, as uint32 bit patterns; an empty group is 0."""
    if not axes:
        return x.view(np.uint32) & MAGNITUDE
    groups, shape = merged(x, axes)
    return maxima_of(groups, threads).reshape(shape)
