"""ATen's embeddings, gathers and sorting; engine.tracing.rules_scattering holds the writes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from engine.tracing.builder import Builder, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule
from kernels.types import TensorType

aten = torch.ops.aten


def _ids(b: Builder, ids: Value) -> Value:
    return b.cast(ids, "int64")


def _embedding(b: Builder, out: TensorType, table: Value, ids: Value, *_: Any) -> Value:
    return b.emit("take_rows", [table, _ids(b, ids)])


def _embedding_backward(
    b: Builder, out: TensorType, g: Value, ids: Value, rows: int, padding: int, scale_by_frequency: bool
) -> Value:
    if scale_by_frequency:
        raise TraceError("trace: embedding: got scale_grad_by_freq=True, want False")
    ids = _ids(b, ids)
    if padding >= 0:
        padded = b.reshape(b.binary("eq", ids, padding), (*ids.shape, *(1,) * (g.rank - ids.rank)))
        g = b.select(padded, 0.0, g)
    return b.emit("add_rows", [b.full(0, "float32", out.shape), ids, g])


def _wrapped(b: Builder, ids: Value, size: int) -> Value:
    """Indices as torch counts them: negative ones from the end."""
    ids = _ids(b, ids)
    known = b.known(ids)
    if known is not None and (known >= 0).all():
        return ids
    return b.select(b.binary("lt", ids, 0), ids + size, ids)


def _gather(b: Builder, out: TensorType, x: Value, axis: int, index: Value, **_: Any) -> Value:
    axis %= x.rank
    for other, size in enumerate(index.shape):
        x = x if other == axis else b.slice(x, other, 0, size)
    return b.emit("gather", [x, _ids(b, index)], axis=axis)


def index_parts(x: Value, indices: Sequence[Value | None]) -> tuple[list[Value], int]:
    """The index tensors and the first axis they index, side by side."""
    used = [axis for axis, index in enumerate(indices) if index is not None]
    found = [index for index in indices if index is not None]
    if any(index.dtype == "bool" for index in found):
        raise TraceError("trace: index: got a bool mask, whose result has no fixed shape; use torch.where")
    return found, used[0]


def separated(indices: Sequence[Value | None], rank: int) -> list[int] | None:
    """Where index tensors have axes between them: the order of x's axes that brings them to the front."""
    used = [axis for axis, index in enumerate(indices) if index is not None]
    if used == list(range(used[0], used[0] + len(used))):
        return None
    return [*used, *(axis for axis in range(rank) if axis not in used)]


def flat_index(b: Builder, x: Value, found: Sequence[Value], first: int) -> Value:
    """Row-major position within the indexed axes."""
    position = _wrapped(b, found[0], x.shape[first])
    for axis, index in enumerate(found[1:], start=first + 1):
        # looked up in a row of its own, so that an index beyond its axis is a fault and not the next row's element
        inside = b.emit("take_rows", [b.iota(x.shape[axis : axis + 1], 0), _wrapped(b, index, x.shape[axis])])
        position, inside = b.pair(position, inside)
        position = position * x.shape[axis] + inside
    return position


def _index_front(b: Builder, x: Value, first: int, count: int) -> Value:
    """x with the indexed axes first and joined."""
    moved = b.permute(x, [*range(first, first + count), *range(first), *range(first + count, x.rank)])
    return b.reshape(moved, (prod(moved.shape[:count]), *moved.shape[count:]))


def _index(b: Builder, out: TensorType, x: Value, indices: Sequence[Value | None]) -> Value:
    order = separated(indices, x.rank)
    if order is not None:
        return _index(b, out, b.permute(x, order), [index for index in indices if index is not None])
    found, first = index_parts(x, indices)
    ids = flat_index(b, x, found, first)
    rows = b.emit("take_rows", [_index_front(b, x, first, len(found)), ids])
    axes = [*range(ids.rank, ids.rank + first), *range(ids.rank), *range(ids.rank + first, rows.rank)]
    return b.permute(rows, axes)


def _index_select(b: Builder, out: TensorType, x: Value, axis: int, ids: Value) -> Value:
    if not x.rank:
        return x
    return _index(b, out, x, [None] * (axis % x.rank) + [ids])


def _sorted(b: Builder, x: Value, axis: int, descending: bool, count: int) -> tuple[Value, Value]:
    order = b.emit("argsort", [x], axis=axis % x.rank, descending=descending)
    order = b.slice(order, axis, 0, count)
    return b.emit("gather", [x, order], axis=axis % x.rank), order


def _topk(b: Builder, out: Any, x: Value, k: int, axis: int = -1, largest: bool = True, ordered: bool = True) -> Any:
    return _sorted(b, x, axis, largest, k)


def _sort(b: Builder, out: Any, x: Value, axis: int = -1, descending: bool = False) -> Any:
    return _sorted(b, x, axis, descending, x.shape[axis])


def _stable_sort(
    b: Builder, out: Any, x: Value, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> Any:
    return _sort(b, out, x, dim, descending)


def _kth_value(b: Builder, out: Any, x: Value, k: int, axis: int = -1, keep: bool = False) -> tuple[Value, Value]:
    values, order = _sorted(b, x, axis, False, k)
    return tuple(b.reshape(b.slice(part, axis, k - 1, k), out[0].shape) for part in (values, order))  # type: ignore


def _median(b: Builder, out: Any, x: Value, axis: int, keep: bool = False) -> tuple[Value, Value]:
    return _kth_value(b, out, x, (x.shape[axis] + 1) // 2, axis, keep)


def _median_of_all(b: Builder, out: TensorType, x: Value) -> Value:
    count = prod(x.shape)
    return _kth_value(b, (out, out), b.reshape(x, (count,)), (count + 1) // 2)[0]


RULES: dict[Any, Rule] = {
    aten.embedding.default: _embedding,
    aten.embedding_dense_backward.default: _embedding_backward,
    aten.gather.default: _gather,
    aten.index.Tensor: _index,
    aten.index_select.default: _index_select,
    aten.kthvalue.default: _kth_value,
    aten.median.default: _median_of_all,
    aten.median.dim: _median,
    aten.topk.default: _topk,
    aten.sort.default: _sort,
    aten.sort.stable: _stable_sort,
}
