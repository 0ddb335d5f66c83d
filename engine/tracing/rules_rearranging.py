"""ATen's diagonals, sliding windows and pixels in channels: index maps of more than one view."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from engine.tracing.builder import Builder, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule
from engine.tracing.rules_layout import spread
from kernels.types import TensorType

aten = torch.ops.aten
Array = np.ndarray


def _diagonal(b: Builder, out: TensorType, x: Value, offset: int = 0, first: int = 0, second: int = 1) -> Value:
    first, second = first % x.rank, second % x.rank
    rest = [axis for axis in range(x.rank) if axis not in (first, second)]
    x = b.permute(x, [*rest, first, second])
    M, N = x.shape[-2:]
    flat = b.reshape(x, (*x.shape[:-2], M * N))
    start = offset if offset >= 0 else -offset * N
    return (
        b.slice(flat, -1, start, min(start + (out.shape[-1] - 1) * (N + 1) + 1, M * N), N + 1)
        if prod(out.shape)
        else (b.full(0, out.dtype, out.shape))
    )


def _diagonal_backward(
    b: Builder, out: TensorType, g: Value, sizes: Sequence[int], offset: int, first: int, second: int
) -> Value:
    first, second = first % len(sizes), second % len(sizes)
    rest = [axis for axis in range(len(sizes)) if axis not in (first, second)]
    M, N = sizes[first], sizes[second]
    # a diagonal is a slice with step N + 1 of the joined axes
    start = offset if offset >= 0 else -offset * N
    flat = (
        spread(b, g, M * N, g.rank - 1, start, N + 1) if g.shape[-1] else b.full(0, "float32", (*g.shape[:-1], M * N))
    )
    square = b.reshape(flat, (*g.shape[:-1], M, N))
    order = [*rest, first, second]
    return b.permute(square, [order.index(axis) for axis in range(len(sizes))])


def _diagonal_scatter(
    b: Builder, out: TensorType, x: Value, source: Value, offset: int = 0, first: int = 0, second: int = 1
) -> Value:
    place = (x.shape, offset, first, second)
    written = _diagonal_backward(b, out, b.full(1, "float32", source.shape), *place)
    return b.select(b.binary("lt", 0.0, written), _diagonal_backward(b, out, source, *place), x)


def _pixel_shuffle(b: Builder, out: TensorType, x: Value, factor: int) -> Value:
    *lead, C, H, W = x.shape
    parted = b.reshape(x, (prod(lead), C // factor**2, factor, factor, H, W))
    return b.reshape(b.permute(parted, (0, 1, 4, 2, 5, 3)), out.shape)


def _pixel_unshuffle(b: Builder, out: TensorType, x: Value, factor: int) -> Value:
    *lead, C, H, W = x.shape
    parted = b.reshape(x, (prod(lead), C, H // factor, factor, W // factor, factor))
    return b.reshape(b.permute(parted, (0, 1, 3, 5, 2, 4)), out.shape)


Layout = tuple[Sequence[int], Sequence[int], int]  # size, stride, offset of a tensor in its storage


def layout_of(node: Node) -> Layout:
    """How the first operand of a node lies in its storage."""
    base = node.args[0].meta["val"]  # type: ignore[union-attr]
    return tuple(base.shape), tuple(base.stride()), int(base.storage_offset())


def _places(size: Sequence[int], stride: Sequence[int], offset: int) -> Array:
    """The element of the storage that each element of a strided view is."""
    places = np.full(tuple(size), offset, np.int64)
    for axis, (count, step) in enumerate(zip(size, stride, strict=True)):
        places += (np.arange(count) * step).reshape([-1 if a == axis else 1 for a in range(len(size))])
    return places


def _elements(layout: Layout, size: Sequence[int], stride: Sequence[int], offset: int | None) -> Array:
    """The element of a tensor of a layout, in row-major order, that each element of a strided view over it is."""
    own, places = _places(*layout), _places(size, stride, layout[2] if offset is None else offset)
    element = np.full(max(own.max(initial=-1), places.max(initial=-1)) + 1, -1)
    element[own.ravel()] = np.arange(own.size)
    found = element[places]
    if (found < 0).any():
        raise TraceError("trace: as_strided: got places outside the tensor itself, want strides within it")
    return found


def _as_strided(
    b: Builder,
    out: TensorType,
    x: Value,
    size: Sequence[int],
    stride: Sequence[int],
    offset: int | None = None,
    *,
    layout: Layout,
) -> Value:
    elements = _elements(layout, size, stride, offset)
    if np.array_equal(elements.ravel(), np.arange(prod(x.shape))):
        return b.reshape(x, size)
    return b.emit("take_rows", [b.reshape(x, (prod(x.shape),)), b.constant(elements)])


def _as_strided_scatter(
    b: Builder,
    out: TensorType,
    x: Value,
    source: Value,
    size: Sequence[int],
    stride: Sequence[int],
    offset: int | None = None,
    *,
    layout: Layout,
) -> Value:
    elements = _elements(layout, size, stride, offset).ravel()
    if np.array_equal(elements, np.arange(prod(x.shape))):
        return b.reshape(source, x.shape)
    writer = np.full(prod(x.shape), -1)
    writer[elements] = np.arange(elements.size)
    found = b.emit("take_rows", [b.reshape(source, (elements.size,)), b.constant(np.maximum(writer, 0))])
    is_written = b.constant((writer >= 0).reshape(x.shape))
    return b.select(is_written, b.reshape(found, x.shape), x)


def _unfold(b: Builder, out: TensorType, x: Value, axis: int, size: int, step: int) -> Value:
    axis %= x.rank
    reach = (out.shape[axis] - 1) * step + 1
    parts = [b.slice(x, axis, i, i + reach, step) for i in range(size)]
    return b.concat([b.reshape(part, (*part.shape, 1)) for part in parts], x.rank)


def _unfold_backward(
    b: Builder, out: TensorType, g: Value, sizes: Sequence[int], axis: int, size: int, step: int
) -> Value:
    axis %= len(sizes)
    shares = [b.reshape(b.slice(g, -1, i, i + 1), g.shape[:-1]) for i in range(size)]
    placed = [spread(b, share, sizes[axis], axis, i, step) for i, share in enumerate(shares)]
    value = placed[0]
    for share in placed[1:]:
        value = value + share
    return value


RULES: dict[Any, Rule] = {
    aten.diagonal.default: _diagonal,
    aten.unfold.default: _unfold,
    aten.unfold_backward.default: _unfold_backward,
    aten.diagonal_backward.default: _diagonal_backward,
    aten.diagonal_scatter.default: _diagonal_scatter,
    aten.pixel_shuffle.default: _pixel_shuffle,
    aten.pixel_unshuffle.default: _pixel_unshuffle,
    aten.as_strided.default: _as_strided,
    aten.as_strided_scatter.default: _as_strided_scatter,
}
