"""ATen's writes by index: exact copies of what is written, the last one where two fall on one place; exact sums."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch

from engine.tracing.builder import Builder, Scalar, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule
from engine.tracing.rules_indexing import flat_index, index_parts, separated
from kernels.types import TensorType

aten = torch.ops.aten
LARGEST_KNOWN = 2**16  # places whose writers are computed while tracing, where the indices are known


# Along one axis: index [.., N, ..] names places of x [.., S, ..]; on the other axes it may cover a part of x


def _counts(b: Builder, index: Value, axis: int, size: int) -> Value:
    """How often every place is named, float32."""
    zeros = b.full(0, "float32", _with(index.shape, axis, size))
    return b.emit("scatter_add", [zeros, index, b.full(1, "float32", index.shape)], axis=axis)


def _with(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _writers(b: Builder, index: Value, axis: int, size: int) -> tuple[Value, Value]:
    """Whether a place is named, and the last position of the index that names it."""
    shape, known = _with(index.shape, axis, size), b.known(index)
    if known is not None and prod(shape) <= LARGEST_KNOWN and ((known >= 0) & (known < size)).all():
        last = np.full(shape, -1, np.int64)
        positions = np.arange(known.shape[axis]).reshape(_with([1] * known.ndim, axis, -1))
        np.put_along_axis(last, known, positions, axis)  # of equal indices the last one stays
        return b.constant(last >= 0), b.constant(np.maximum(last, 0))
    counts = _counts(b, index, axis, size)
    ends = b.emit("cumsum", [b.cast(counts, "int64")], axis=axis)
    order = b.emit("argsort", [index], axis=axis, descending=False)
    return b.binary("lt", 0.0, counts), b.emit("gather", [order, b.binary("maximum", ends - 1, 0)], axis=axis)


def _last(b: Builder, index: Value, source: Value, axis: int, size: int) -> tuple[Value, Value]:
    """Whether a place is written, and what is written last."""
    written, writer = _writers(b, index, axis, size)
    return written, b.emit("gather", [source, writer], axis=axis)


def _most(b: Builder, index: Value, source: Value, axis: int, size: int) -> tuple[Value, Value]:
    """Whether a place is written, and the largest of what is: in ascending order the last."""
    order = b.emit("argsort", [source], axis=axis, descending=False)
    index, source = (b.emit("gather", [value, order], axis=axis) for value in (index, source))
    return _last(b, index, source, axis, size)


def _product(b: Builder, index: Value, source: Value, axis: int, size: int) -> tuple[Value, Value]:
    """Whether a place is written, and the product of what is, by doubling within equal indices side by side."""
    order = b.emit("argsort", [index], axis=axis, descending=False)
    index, source = (b.emit("gather", [value, order], axis=axis) for value in (index, source))
    reach, count = 1, index.shape[axis]
    while reach < count:
        earlier, later = ((0, count - reach), (reach, count))
        is_same = b.emit("eq", [b.slice(index, axis, *span) for span in (earlier, later)])
        factor = b.select(is_same, b.slice(source, axis, *earlier), 1)
        source = b.concat([b.slice(source, axis, 0, reach), b.slice(source, axis, *later) * factor], axis)
        reach *= 2
    return _last(b, index, source, axis, size)


def _sums(b: Builder, index: Value, source: Value, axis: int, size: int) -> Value:
    """The sum of what falls on every place: integers as differences of running sums, which wrap."""
    if source.dtype == "float32":
        zeros = b.full(0, "float32", _with(index.shape, axis, size))
        return b.emit("scatter_add", [zeros, index, source], axis=axis)
    if source.dtype == "bool":
        raise TraceError("trace: scatter_add: got bool, want float32 or integers; use amax or cast")
    order = b.emit("argsort", [index], axis=axis, descending=False)
    running = b.emit("cumsum", [b.emit("gather", [source, order], axis=axis)], axis=axis)
    running = b.pad(running, [int(a == axis) for a in range(index.rank)], [0] * index.rank)
    counts = b.cast(_counts(b, index, axis, size), "int64")
    ends = b.emit("cumsum", [counts], axis=axis)
    before, after = (b.emit("gather", [running, end], axis=axis) for end in (ends - counts, ends))
    return after - before


def _parts(b: Builder, x: Value, axis: int, index: Value, source: Value) -> tuple[Value, Value]:
    """The index as int64, and the source that it names at x's dtype."""
    return b.cast(index, "int64"), b.cast(_first(b, source, index.shape), x.dtype)


def _first(b: Builder, x: Value, shape: Sequence[int]) -> Value:
    for axis, size in enumerate(shape):
        x = b.slice(x, axis, 0, size)
    return x


def _covering(b: Builder, x: Value, part: Value) -> Value:
    """A part of x's shape, with zeros or False beyond it."""
    return b.pad(part, [0] * x.rank, [whole - size for whole, size in zip(x.shape, part.shape, strict=True)])


def _where(b: Builder, x: Value, written: Value, value: Value) -> Value:
    return b.select(_covering(b, x, written), _covering(b, x, value), x)


def _scatter(b: Builder, out: TensorType, x: Value, axis: int, index: Value, source: Value | Scalar) -> Value:
    axis %= x.rank
    if not prod(index.shape):
        return x
    if not isinstance(source, Value):
        named = b.binary("lt", 0.0, _counts(b, b.cast(index, "int64"), axis, x.shape[axis]))
        return b.select(_covering(b, x, named), source, x)
    return _where(b, x, *_last(b, *_parts(b, x, axis, index, source), axis, x.shape[axis]))


def _scatter_add(b: Builder, out: TensorType, x: Value, axis: int, index: Value, source: Value) -> Value:
    axis %= x.rank
    index, source = _parts(b, x, axis, index, source)
    if x.dtype != "float32":
        return x + _covering(b, x, _sums(b, index, source, axis, x.shape[axis])) if prod(index.shape) else x
    high = [0 if a == axis else x.shape[a] - index.shape[a] for a in range(x.rank)]
    # beyond the index zeros are added to element 0, which changes nothing
    index, source = (b.pad(part, [0] * x.rank, high) for part in (index, source))
    return b.emit("scatter_add", [x, index, source], axis=axis)


def _scatter_reduce(
    b: Builder,
    out: TensorType,
    x: Value,
    axis: int,
    index: Value,
    source: Value,
    how: str,
    *,
    include_self: bool = True,
) -> Value:
    axis %= x.rank
    if not prod(index.shape):
        return x
    if how == "sum" and include_self:
        return _scatter_add(b, out, x, axis, index, source)
    index, source = _parts(b, x, axis, index, source)
    written, value = _reduced(b, how, index, source, axis, x.shape[axis])
    own = _first(b, x, _with(index.shape, axis, x.shape[axis]))
    if include_self:
        value = own + value if how == "mean" else b.emit(JOINED[how], [own, value])
    if how == "mean":
        counts = _counts(b, index, axis, x.shape[axis])
        value = value / (counts + 1.0 if include_self else b.binary("maximum", counts, 1.0))
    return _where(b, x, written, value)


JOINED = {"sum": "add", "prod": "mul", "amax": "maximum", "amin": "minimum"}


def _reduced(b: Builder, how: str, index: Value, source: Value, axis: int, size: int) -> tuple[Value, Value]:
    """Whether a place is written, and the sum (of a mean too), product or extreme of what is."""
    if how in ("sum", "mean"):
        if how == "mean" and source.dtype != "float32":
            raise TraceError(f"trace: scatter_reduce: got the mean of {source.dtype}, want float32")
        written = b.binary("lt", 0.0, _counts(b, index, axis, size))
        return written, _sums(b, index, source, axis, size)
    if how == "prod":
        return _product(b, index, source, axis, size)
    if how == "amax":
        return _most(b, index, source, axis, size)
    written, most = _most(b, index, b.unary("neg", source), axis, size)
    return written, b.unary("neg", most)


def _index_reduce(
    b: Builder,
    out: TensorType,
    x: Value,
    axis: int,
    index: Value,
    source: Value,
    how: str,
    *,
    include_self: bool = True,
) -> Value:
    how, axis = {"mul": "prod"}.get(how, how), axis % x.rank
    along = b.reshape(index, _with([1] * x.rank, axis, prod(index.shape)))
    return _scatter_reduce(b, out, x, axis, b.expand(along, source.shape), source, how, include_self=include_self)


# Any number of axes by index tensors


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
    order = separated(indices, x.rank)
    if order is not None:
        front = [index for index in indices if index is not None]
        placed = _index_put(b, out, b.permute(x, order), front, values, accumulate)
        return b.permute(placed, [order.index(axis) for axis in range(x.rank)])
    found, first = index_parts(x, indices)
    ids, last = flat_index(b, x, found, first), first + len(found)
    rest = (*x.shape[:first], *x.shape[last:])
    source = b.expand(b.cast(values, x.dtype), (*x.shape[:first], *ids.shape, *x.shape[last:]))
    moved = b.permute(source, [*range(first, first + ids.rank), *range(first), *range(first + ids.rank, source.rank)])
    rows, ids = b.reshape(moved, (prod(ids.shape), *rest)), b.reshape(ids, (prod(ids.shape),))
    size = prod(x.shape[first:last])

    def back(value: Value) -> Value:
        """The joined axis as the indexed ones, where they were."""
        value = b.reshape(value, (*x.shape[first:last], *value.shape[1:]))
        axes = [*range(len(found), len(found) + first), *range(len(found)), *range(len(found) + first, x.rank)]
        return b.permute(value, axes)

    if not prod(rows.shape):
        return x
    if accumulate:
        return x + back(_row_sums(b, ids, rows, size))
    written, writer = _writers(b, ids, 0, size)
    hit = back(b.reshape(written, (size, *(1,) * len(rest))))
    return b.select(b.expand(hit, x.shape), back(b.emit("take_rows", [rows, writer])), x)


def _row_sums(b: Builder, ids: Value, rows: Value, size: int) -> Value:
    """[size, ...]: the sums of the rows [N, ...] that have equal ids [N]."""
    if rows.dtype == "float32":
        return b.emit("add_rows", [b.full(0, "float32", (size, *rows.shape[1:])), ids, rows])
    along = b.reshape(ids, (*ids.shape, *(1,) * (rows.rank - 1)))
    return _sums(b, b.expand(along, rows.shape), rows, 0, size)


def _masked_put(b: Builder, out: TensorType, x: Value, mask: Value, value: Value, accumulate: bool) -> Value:
    if prod(value.shape) != 1:
        raise TraceError("trace: index_put: got a bool mask with several values, want one value; use torch.where")
    wide = b.expand(b.reshape(mask, (*mask.shape, *(1,) * (x.rank - mask.rank))), x.shape)
    filled = b.expand(b.cast(b.reshape(value, ()), x.dtype), x.shape)
    return b.select(wide, x + filled if accumulate else filled, x)


def _index_add(
    b: Builder, out: TensorType, x: Value, axis: int, ids: Value, source: Value, *, alpha: Scalar = 1
) -> Value:
    source = source if alpha == 1 else source * alpha
    return _index_put(b, out, x, [None] * (axis % x.rank) + [ids], source, accumulate=True)


RULES: dict[Any, Rule] = {
    aten.scatter.value: _scatter,
    aten.scatter.src: _scatter,
    aten.scatter_add.default: _scatter_add,
    aten.scatter_reduce.two: _scatter_reduce,
    aten.index_reduce.default: _index_reduce,
    aten.index_put.default: _index_put,
    aten._unsafe_index_put.default: _index_put,
    aten.index_add.default: _index_add,
}
