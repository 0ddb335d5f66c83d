"""Linear maps along single axes: the matrix or the indices of one, read off torch's own operator, and their transposes.

An interpolation or a pool is one matrix an axis. torch computes it in float64 from the identity, so every option means
what it means there; the entries are rounded once, and the product with them is wide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from engine.tracing.builder import Builder, Value

Array = np.ndarray
Along = Callable[[Tensor], Tensor]  # [N, H] -> [N, P], float64


def matrix(size: int, along: Along) -> Array:
    """[H, P] float32: what a linear map does to the H unit vectors."""
    return along(torch.eye(size, dtype=torch.float64)).numpy().astype(np.float32)


def indices(size: int, along: Along) -> Array:
    """[P] int64: the element that each result of a map is."""
    return along(torch.arange(size, dtype=torch.float64)[None])[0].numpy().astype(np.int64)


def apply(b: Builder, x: Value, matrices: Sequence[Array]) -> Value:
    """x[..., H] times a matrix [H, P], for each of the last axes."""
    for axis, weights in enumerate(matrices, start=x.rank - len(matrices)):
        H, P = weights.shape
        if H == P and (weights == np.eye(H, dtype=np.float32)).all():
            continue
        moved = b.swap(x, axis, x.rank - 1)
        rows = b.reshape(moved, (prod(moved.shape[:-1]), H))
        product = b.emit("matmul", [rows, b.constant(weights)], width="wide")
        x = b.swap(b.reshape(product, (*moved.shape[:-1], P)), axis, x.rank - 1)
    return x


def transposed(matrices: Sequence[Array]) -> list[Array]:
    """The matrices of the gradient."""
    return [np.ascontiguousarray(weights.T) for weights in matrices]


def take(b: Builder, x: Value, chosen: Sequence[Array]) -> Value:
    """The chosen elements along each of the last axes."""
    for axis, ids in enumerate(chosen, start=x.rank - len(chosen)):
        if not np.array_equal(ids, np.arange(x.shape[axis])):
            rows = b.emit("take_rows", [b.swap(x, 0, axis), b.constant(ids)])
            x = b.swap(rows, 0, axis)
    return x


def put(b: Builder, g: Value, chosen: Sequence[Array], sizes: Sequence[int]) -> Value:
    """The gradient of `take`: g added to the elements that it was taken from, of axes of these sizes."""
    for axis, (ids, size) in enumerate(zip(chosen, sizes, strict=True), start=g.rank - len(chosen)):
        if not np.array_equal(ids, np.arange(size)):
            rows = b.swap(g, 0, axis)
            base = b.full(0, "float32", (size, *rows.shape[1:]))
            g = b.swap(b.emit("add_rows", [base, b.constant(ids), rows]), 0, axis)
    return g
