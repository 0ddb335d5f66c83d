"""ATen's views, joins and padding: index maps."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch

from engine.tracing.builder import Builder, Scalar, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule, shaped
from kernels.types import TensorType

aten = torch.ops.aten


def _view(b: Builder, out: TensorType, x: Value, *_: Any, **__: Any) -> Value:
    return b.reshape(x, out.shape)


def _expand(b: Builder, out: TensorType, x: Value, *_: Any, **__: Any) -> Value:
    return b.expand(x, out.shape)


def _transpose(b: Builder, out: TensorType, x: Value, first: int, second: int) -> Value:
    return b.swap(x, first, second) if x.rank else x


def _t(b: Builder, out: TensorType, x: Value) -> Value:
    return b.swap(x) if x.rank == 2 else x


def _permute(b: Builder, out: TensorType, x: Value, axes: Sequence[int]) -> Value:
    return b.permute(x, axes)


def _bounds(size: int, start: int | None, stop: int | None) -> tuple[int, int]:
    first, last, _ = slice(start, stop).indices(size)
    return first, max(first, last)


def _slice(
    b: Builder,
    out: TensorType,
    x: Value,
    axis: int = 0,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
) -> Value:
    return b.slice(x, axis, *_bounds(x.shape[axis], start, stop), step)


def _select(b: Builder, out: TensorType, x: Value, axis: int, index: int) -> Value:
    index %= x.shape[axis]
    return b.reshape(b.slice(x, axis, index, index + 1), out.shape)


def _split(b: Builder, out: Any, x: Value, size: int | Sequence[int], axis: int = 0) -> list[Value]:
    total = x.shape[axis]
    sizes = [min(size, total - i) for i in range(0, total, size)] if isinstance(size, int) else list(size)
    stops = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [b.slice(x, axis, stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]


def _unbind(b: Builder, out: Any, x: Value, axis: int = 0) -> list[Value]:
    axis %= x.rank
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    return [b.reshape(b.slice(x, axis, i, i + 1), rest) for i in range(x.shape[axis])]


def _cat(b: Builder, out: TensorType, values: Sequence[Value], axis: int = 0) -> Value:
    kept = [b.cast(value, out.dtype) for value in values if value.shape != (0,)] or [values[0]]
    return b.concat(kept, axis % max(len(out.shape), 1))


def _stack(b: Builder, out: TensorType, values: Sequence[Value], axis: int = 0) -> Value:
    axis %= len(out.shape)
    shape = (*out.shape[:axis], 1, *out.shape[axis + 1 :])
    return b.concat([b.reshape(b.cast(value, out.dtype), shape) for value in values], axis)


def _flip(b: Builder, out: TensorType, x: Value, axes: Sequence[int]) -> Value:
    for axis in axes:
        order = b.constant(np.arange(x.shape[axis])[::-1].copy())
        x = b.swap(b.emit("take_rows", [b.swap(x, 0, axis), order]), 0, axis)
    return x


def _roll(b: Builder, out: TensorType, x: Value, shifts: Sequence[int], axes: Sequence[int] = ()) -> Value:
    if not axes:
        return b.reshape(_roll(b, out, b.reshape(x, (prod(x.shape),)), shifts, [0]), x.shape)
    for shift, axis in zip(shifts, axes, strict=True):
        size = x.shape[axis]
        cut = (size - shift) % size if size else 0
        x = b.concat([b.slice(x, axis, cut, size), b.slice(x, axis, 0, cut)], axis % x.rank) if cut else x
    return x


def _repeat(b: Builder, out: TensorType, x: Value, repeats: Sequence[int]) -> Value:
    shape = (1,) * (len(repeats) - x.rank) + x.shape
    apart = [size for pair in zip(repeats, shape, strict=True) for size in pair]
    ones = [size for n in shape for size in (1, n)]
    if len(apart) > 8:
        raise TraceError(f"trace: repeat: got rank {len(repeats)}, want at most 4; use expand where a repeat is 1")
    return b.reshape(b.broadcast(b.reshape(x, ones), apart), out.shape)


def _pad(b: Builder, out: TensorType, x: Value, padding: Sequence[int], value: Scalar = 0) -> Value:
    pairs = [tuple(padding[i : i + 2]) for i in range(0, len(padding), 2)][::-1]
    pairs = [(0, 0)] * (x.rank - len(pairs)) + pairs
    for axis, (low, high) in enumerate(pairs):
        x = b.slice(x, axis, max(-low, 0), x.shape[axis] - max(-high, 0)) if low < 0 or high < 0 else x
    return b.pad(x, [max(low, 0) for low, _ in pairs], [max(high, 0) for _, high in pairs], value)


def spread(b: Builder, source: Value, size: int, axis: int, start: int, step: int = 1) -> Value:
    """source at start, start + step, ... of an axis of a size, zeros elsewhere: the gradient of a slice."""
    count = source.shape[axis]
    if step > 1 and count:
        front, back = source.shape[: axis + 1], source.shape[axis + 1 :]
        apart = b.reshape(source, (*front, 1, *back))
        high = [0] * apart.rank
        high[axis + 1] = step - 1
        source = b.reshape(b.pad(apart, [0] * apart.rank, high), (*front[:-1], count * step, *back))
        source = b.slice(source, axis, 0, min(count * step, size - start))
    low, high = [0] * source.rank, [0] * source.rank
    low[axis], high[axis] = start, size - start - source.shape[axis]
    return b.pad(source, low, high)


def _slice_backward(
    b: Builder, out: TensorType, g: Value, sizes: Sequence[int], axis: int, start: int, stop: int, step: int
) -> Value:
    first, _ = _bounds(sizes[axis], start, stop)
    return spread(b, g, sizes[axis], axis % len(sizes), first, step)


def _select_backward(b: Builder, out: TensorType, g: Value, sizes: Sequence[int], axis: int, index: int) -> Value:
    axis %= len(sizes)
    kept = b.reshape(g, (*out.shape[:axis], 1, *out.shape[axis + 1 :]))
    return spread(b, kept, sizes[axis], axis, index % sizes[axis])


def _slice_scatter(
    b: Builder,
    out: TensorType,
    x: Value,
    source: Value,
    axis: int = 0,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
) -> Value:
    axis %= x.rank
    first, last = _bounds(x.shape[axis], start, stop)
    source = shaped(
        b, source, TensorType(out.dtype, (*x.shape[:axis], len(range(first, last, step)), *x.shape[axis + 1 :]))
    )
    if step == 1:
        last = first + source.shape[axis]
        parts = [b.slice(x, axis, 0, first), source, b.slice(x, axis, last, x.shape[axis])]
        return b.concat([part for part in parts if part.shape[axis]] or [x], axis)
    index = b.iota(x.shape, axis)
    offset = b.binary("sub", index, first)
    inside = b.emit("bit_and", [b.binary("le", 0, offset), b.binary("lt", index, last)])
    chosen = b.emit("bit_and", [inside, b.binary("eq", b.binary("remainder", offset, step), 0)])
    return b.select(chosen, spread(b, source, x.shape[axis], axis, first, step), x)


def _select_scatter(b: Builder, out: TensorType, x: Value, source: Value, axis: int, index: int) -> Value:
    axis %= x.rank
    index %= x.shape[axis]
    kept = b.reshape(source, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return _slice_scatter(b, out, x, kept, axis, index, index + 1)


def _triangle(lower: bool) -> Rule:
    def rule(b: Builder, out: TensorType, x: Value, diagonal: int = 0) -> Value:
        M, N = x.shape[-2:]
        row, column = b.iota((M, 1), 0), b.iota((1, N), 1)
        inside = b.binary("le", column, row + diagonal) if lower else b.binary("le", row + diagonal, column)
        return b.select(b.expand(inside, x.shape), x, 0)

    return rule


RULES: dict[Any, Rule] = {
    aten.view.default: _view,
    aten._unsafe_view.default: _view,
    aten.unsqueeze.default: _view,
    aten.squeeze.default: _view,
    aten.squeeze.dim: _view,
    aten.squeeze.dims: _view,
    aten.expand.default: _expand,
    aten.t.default: _t,
    aten.transpose.int: _transpose,
    aten.permute.default: _permute,
    aten.slice.Tensor: _slice,
    aten.select.int: _select,
    aten.split.Tensor: _split,
    aten.split_with_sizes.default: _split,
    aten.unsafe_split.Tensor: _split,
    aten.unsafe_split_with_sizes.default: _split,
    aten.unbind.int: _unbind,
    aten.cat.default: _cat,
    aten.stack.default: _stack,
    aten.flip.default: _flip,
    aten.roll.default: _roll,
    aten.repeat.default: _repeat,
    aten.constant_pad_nd.default: _pad,
    aten.slice_backward.default: _slice_backward,
    aten.select_backward.default: _select_backward,
    aten.slice_scatter.default: _slice_scatter,
    aten.select_scatter.default: _select_scatter,
    aten.tril.default: _triangle(lower=True),
    aten.triu.default: _triangle(lower=False),
}
