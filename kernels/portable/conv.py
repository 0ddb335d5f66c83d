"""Convolution and its gradients as products of quantised patches; kernels/spec/conv.py defines them.

An element is quantised once, before it is copied into patches. Axes as in the spec: N samples, G groups, C channels and
O outputs of one group, H W image, R S filter, P Q places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from kernels.portable.matmul import accumulator, exact_product, stored
from kernels.portable.rounding import merged, quantised
from kernels.spec.conv import places_of, windows
from kernels.spec.matmul import qmax
from kernels.spec.operator import Array

Pair = Sequence[int]
Value = Callable[..., Array]


def conv(
    x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int, width: str, threads: int
) -> Array:
    """[N, G * O, P, Q]: per sample and group, filters [O, C * R * S] times patches [C * R * S, P * Q]."""
    n, outputs, terms = x.shape[0], w.shape[0] // groups, prod(w.shape[1:])
    limit = qmax(width, terms)
    images, s = _quantised_by(_split(x, 1, groups), (2, 3, 4), limit, threads)  # [N, G, C, H, W], [N, G]
    filters, t = _quantised_by(_split(w, 0, groups), (2, 3, 4), limit, threads)  # [G, O, C, R, S], [G, O]
    images, sizes = _padded(images, padding), places_of(x.shape[2:], w.shape[2:], stride, padding, dilation)
    total = accumulator((n, groups, outputs, prod(sizes)), limit, terms)
    for sample, group in np.ndindex(n, groups):
        patches = _patches(images[sample, group], w.shape[2:], sizes, stride, dilation)
        total[sample, group] = exact_product(filters[group].reshape(outputs, terms), patches, limit)
    return _stored_images(total, s, t, threads).reshape(n, w.shape[0], *sizes)


def conv_grad_input(
    g: Array,
    w: Array,
    size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    width: str,
    threads: int,
) -> Array:
    """[N, G * C, H, W]: per sample and group, filters [C * R * S, O] times gradients [O, P * Q], added in place."""
    n, channels, outputs, places = g.shape[0], w.shape[1], w.shape[0] // groups, prod(g.shape[2:])
    limit = qmax(width, outputs * prod(w.shape[2:]))
    grads, s = _quantised_by(_split(g, 1, groups), (2, 3, 4), limit, threads)  # [N, G, O, P, Q], [N, G]
    filters, t = _quantised_by(_split(w, 0, groups), (1, 3, 4), limit, threads)  # [G, O, C, R, S], [G, C]
    padded = [extent + 2 * edge for extent, edge in zip(size, padding, strict=True)]
    total = np.zeros((n, groups, channels, *padded), np.int64)
    for sample, group in np.ndindex(n, groups):
        rows = filters[group].reshape(outputs, prod(w.shape[1:])).T
        parts = exact_product(rows, grads[sample, group].reshape(outputs, places), limit)
        _add_patches(total[sample, group], parts, w.shape[2:], g.shape[2:], stride, dilation)
    inside = [slice(edge, edge + extent) for edge, extent in zip(padding, size, strict=True)]
    flat = np.ascontiguousarray(total[..., inside[0], inside[1]]).reshape(n, groups, channels, prod(size))
    return _stored_images(flat, s, t, threads).reshape(n, groups * channels, *size)


def conv_grad_weight(
    g: Array,
    x: Array,
    size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    width: str,
    threads: int,
) -> Array:
    """[G * O, C, R, S]: per group, the sum over samples of gradients [O, P * Q] times patches [P * Q, C * R * S]."""
    n, outputs, channels, places = g.shape[0], g.shape[1] // groups, x.shape[1] // groups, prod(g.shape[2:])
    limit = qmax(width, n * places)
    grads, s = _quantised_by(_split(g, 1, groups), (0, 3, 4), limit, threads)  # [N, G, O, P, Q], [G, O]
    images, t = _quantised_by(_split(x, 1, groups), (0, 3, 4), limit, threads)  # [N, G, C, H, W], [G, C]
    images = _padded(images, padding)
    total = np.zeros((groups, outputs, channels * prod(size)), np.int64)
    for sample, group in np.ndindex(n, groups):
        patches = _patches(images[sample, group], size, g.shape[2:], stride, dilation)
        rows = grads[sample, group].reshape(outputs, places)
        total[group] += exact_product(rows, patches.T, limit).astype(np.int64)
    columns = np.repeat(t, prod(size), axis=1)
    return stored(total, s, columns, threads).reshape(groups * outputs, channels, *size)


def _stored_images(total: Array, image: Array, channel: Array, threads: int) -> Array:
    """The float32 of total [N, G, C, places], by 2^-s per (sample, group) and 2^-t per (group, channel)."""
    n, groups, channels, places = total.shape
    rows = np.ascontiguousarray(np.broadcast_to(channel, (n, groups, channels))).reshape(n * groups, channels)
    columns = np.ascontiguousarray(np.broadcast_to(image[..., None], (n, groups, places))).reshape(n * groups, places)
    return stored(total.reshape(n * groups, channels, places), rows, columns, threads)


def _split(x: Array, axis: int, groups: int) -> Array:
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def _quantised_by(x: Array, axes: tuple[int, ...], limit: int, threads: int) -> tuple[Array, Array]:
    """(the integers of x as float64 in its shape, 2^-s per scale group)."""
    groups, shape = merged(x, axes)
    q, inverse = quantised(groups, limit, threads)
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    if groups.shape[2] == 1:  # the scale group's axes lie last in q
        order = [*rest, *axes]
        q = np.transpose(q.reshape([x.shape[axis] for axis in order]), np.argsort(order))
    return np.ascontiguousarray(q).reshape(x.shape), inverse.reshape(shape)


def _padded(x: Array, padding: Pair) -> Array:
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(edge, edge) for edge in padding])


def _patches(image: Array, filters: Pair, sizes: Pair, stride: Pair, dilation: Pair) -> Array:
    """What each filter element meets: a padded [C, H, W] becomes [C * R * S, P * Q]."""
    out = np.empty((len(image), *filters, *sizes), image.dtype)
    for r, s, window in windows(filters, sizes, stride, dilation):
        out[:, r, s] = image[window]
    return out.reshape(len(image) * filters[0] * filters[1], sizes[0] * sizes[1])


def _add_patches(total: Array, parts: Array, filters: Pair, sizes: Pair, stride: Pair, dilation: Pair) -> None:
    """Adds [C * R * S, P * Q] to the elements of a padded [C, H, W] that each filter element meets."""
    split = parts.reshape(len(total), *filters, *sizes).astype(np.int64, copy=False)
    for r, s, window in windows(filters, sizes, stride, dilation):
        total[window] += split[:, r, s]


OPERATORS: dict[str, Value] = {f.__name__: f for f in (conv, conv_grad_input, conv_grad_weight)}
