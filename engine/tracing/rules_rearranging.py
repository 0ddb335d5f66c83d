"""ATen's diagonals, sliding windows and pixels in channels: index maps of more than one view."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from engine.tracing.builder import Builder, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule
from engine.tracing.rules_layout import spread
from kernels.types import TensorType

aten = torch.ops.aten


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


def _pixel_shuffle(b: Builder, out: TensorType, x: Value, factor: int) -> Value:
    *lead, C, H, W = x.shape
    parted = b.reshape(x, (prod(lead), C // factor**2, factor, factor, H, W))
    return b.reshape(b.permute(parted, (0, 1, 4, 2, 5, 3)), out.shape)


def _pixel_unshuffle(b: Builder, out: TensorType, x: Value, factor: int) -> Value:
    *lead, C, H, W = x.shape
    parted = b.reshape(x, (prod(lead), C, H // factor, factor, W // factor, factor))
    return b.reshape(b.permute(parted, (0, 1, 3, 5, 2, 4)), out.shape)


def _as_strided(
    b: Builder, out: TensorType, x: Value, size: Sequence[int], stride: Sequence[int], offset: int | None = None
) -> Value:
    dense = [prod(size[i + 1 :]) for i in range(len(size))]
    if (
        offset
        or prod(size) != prod(x.shape)
        or any(s != d for s, d, n in zip(stride, dense, size, strict=True) if n > 1)
    ):
        raise TraceError("trace: as_strided: got overlapping or scattered elements, want a plain reshape")
    return b.reshape(x, size)


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
    aten.pixel_shuffle.default: _pixel_shuffle,
    aten.pixel_unshuffle.default: _pixel_unshuffle,
    aten.as_strided.default: _as_strided,
}
