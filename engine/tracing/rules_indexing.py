"""ATen's embeddings, gathers, scatters and sorting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from engine.tracing.builder import Builder, Scalar, Value
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


def _scatter_add(b: Builder, out: TensorType, x: Value, axis: int, index: Value, source: Value) -> Value:
    axis %= x.rank
    source = _first(b, source, index.shape)
    index, source = _covering(b, x, _ids(b, index), axis), _covering(b, x, b.cast(source, x.dtype), axis)
    if x.dtype == "float32":
        return b.emit("scatter_add", [x, index, source], axis=axis)
    raise TraceError(f"trace: scatter_add: got {x.type}, want float32; count in float32 and cast")


def _first(b: Builder, x: Value, shape: Sequence[int]) -> Value:
    for axis, size in enumerate(shape):
        x = b.slice(x, axis, 0, size)
    return x


def _covering(b: Builder, x: Value, part: Value, axis: int) -> Value:
    """part filled with zeros to x's shape but along axis: adding zero to element 0 changes nothing."""
    high = [0 if a == axis else x.shape[a] - part.shape[a] for a in range(x.rank)]
    return b.pad(part, [0] * x.rank, high)


def _scatter(b: Builder, out: TensorType, x: Value, axis: int, index: Value, source: Value | Scalar) -> Value:
    """The one-hot way: right where no two sources fall on one element."""
    axis %= x.rank
    ones = b.full(1, "float32", index.shape)
    hits = _scatter_add(b, x.type, b.full(0, "float32", x.shape), axis, index, ones)
    hit = b.binary("lt", 0.0, hits)
    if not isinstance(source, Value):
        return b.select(hit, source, x)
    if x.dtype != "float32":
        raise TraceError(f"trace: scatter: got a source of {source.type}, want float32 or a number")
    placed = _scatter_add(b, x.type, b.full(0, "float32", x.shape), axis, index, source)
    return b.select(hit, placed, x)


def _index_parts(x: Value, indices: Sequence[Value | None]) -> tuple[list[Value], int]:
    """The index tensors and the first axis they index, side by side."""
    used = [axis for axis, index in enumerate(indices) if index is not None]
    found = [index for index in indices if index is not None]
    if any(index.dtype == "bool" for index in found):
        raise TraceError("trace: index: got a bool mask, whose result has no fixed shape; use torch.where")
    return found, used[0]


def _separated(indices: Sequence[Value | None], rank: int) -> list[int] | None:
    """Where index tensors have axes between them: the order of x's axes that brings them to the front."""
    used = [axis for axis, index in enumerate(indices) if index is not None]
    if used == list(range(used[0], used[0] + len(used))):
        return None
    return [*used, *(axis for axis in range(rank) if axis not in used)]


def _flat_index(b: Builder, x: Value, found: Sequence[Value], first: int) -> Value:
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
    order = _separated(indices, x.rank)
    if order is not None:
        return _index(b, out, b.permute(x, order), [index for index in indices if index is not None])
    found, first = _index_parts(x, indices)
    ids = _flat_index(b, x, found, first)
    rows = b.emit("take_rows", [_index_front(b, x, first, len(found)), ids])
    axes = [*range(ids.rank, ids.rank + first), *range(ids.rank), *range(ids.rank + first, rows.rank)]
    return b.permute(rows, axes)


def _index_put(
    b: Builder,
    out: TensorType,
    x: Value,
    indices: Sequence[Value | None],
    values: Value,
    accumulate: bool = False,
    *_: Any,
) -> Value:
    if len(indices) == 1 and indices[0] is not None and indices[0].dtype == "bool":
        return _masked_put(b, out, x, indices[0], values, accumulate)
    order = _separated(indices, x.rank)
    if order is not None:
        front = [index for index in indices if index is not None]
        placed = _index_put(b, out, b.permute(x, order), front, values, accumulate)
        return b.permute(placed, [order.index(axis) for axis in range(x.rank)])
    found, first = _index_parts(x, indices)
    ids = _flat_index(b, x, found, first)
    rest = (*x.shape[:first], *x.shape[first + len(found) :])
    shape = (*x.shape[:first], *ids.shape, *x.shape[first + len(found) :])
    source = b.expand(b.cast(values, x.dtype), shape)
    axes = [*range(first, first + ids.rank), *range(first), *range(first + ids.rank, source.rank)]
    rows = b.permute(source, axes)
    size = prod(x.shape[first : first + len(found)])
    if x.dtype != "float32":
        raise TraceError(f"trace: index_put: got {x.type}, want float32; use torch.where")
    added = b.emit("add_rows", [b.full(0, "float32", (size, *rest)), ids, rows])
    back = [*range(len(found), len(found) + first), *range(len(found)), *range(len(found) + first, x.rank)]
    placed = b.permute(b.reshape(added, (*x.shape[first : first + len(found)], *rest)), back)
    if accumulate:
        return x + placed
    hits = b.emit("add_rows", [b.full(0, "float32", (size,)), ids, b.full(1, "float32", ids.shape)])
    hit = b.reshape(b.binary("lt", 0.0, hits), (*x.shape[first : first + len(found)], *(1,) * len(rest)))
    return b.select(b.expand(b.permute(hit, back), x.shape), placed, x)


def _masked_put(b: Builder, out: TensorType, x: Value, mask: Value, value: Value, accumulate: bool) -> Value:
    if prod(value.shape) != 1:
        raise TraceError("trace: index_put: got a bool mask with several values, want one value; use torch.where")
    wide = b.expand(b.reshape(mask, (*mask.shape, *(1,) * (x.rank - mask.rank))), x.shape)
    filled = b.expand(b.cast(b.reshape(value, ()), x.dtype), x.shape)
    return b.select(wide, x + filled if accumulate else filled, x)


def _index_select(b: Builder, out: TensorType, x: Value, axis: int, ids: Value) -> Value:
    if not x.rank:
        return x
    return _index(b, out, x, [None] * (axis % x.rank) + [ids])


def _index_add(
    b: Builder, out: TensorType, x: Value, axis: int, ids: Value, source: Value, *, alpha: Scalar = 1
) -> Value:
    source = source if alpha == 1 else source * alpha
    return _index_put(b, out, x, [None] * (axis % x.rank) + [ids], source, accumulate=True)


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


def _scatter_reduce(
    b: Builder, out: TensorType, x: Value, axis: int, index: Value, source: Value, how: str, **options: Any
) -> Value:
    if how != "sum" or not options.get("include_self", True):
        raise TraceError(f"trace: scatter_reduce: got {how!r}, want 'sum' with include_self=True; use scatter_add")
    return _scatter_add(b, out, x, axis, index, source)


RULES: dict[Any, Rule] = {
    aten.embedding.default: _embedding,
    aten.embedding_dense_backward.default: _embedding_backward,
    aten.gather.default: _gather,
    aten.scatter_add.default: _scatter_add,
    aten.scatter.value: _scatter,
    aten.scatter.src: _scatter,
    aten.index.Tensor: _index,
    aten.index_put.default: _index_put,
    aten._unsafe_index_put.default: _index_put,
    aten.index_select.default: _index_select,
    aten.index_add.default: _index_add,
    aten.scatter_reduce.two: _scatter_reduce,
    aten.kthvalue.default: _kth_value,
    aten.median.default: _median_of_all,
    aten.median.dim: _median,
    aten.topk.default: _topk,
    aten.sort.default: _sort,
    aten.sort.stable: _stable_sort,
}
