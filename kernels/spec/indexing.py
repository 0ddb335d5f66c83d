"""Reading and adding at indices, sorting, and the place of a window's largest element. Indices are int64."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from kernels.spec.operator import Array, AttributeKind, Attributes, Operator, check_dtypes, want
from kernels.spec.rounding import NAN, canonical, exponents, is_finite, maxima, quantise, store
from kernels.spec.window import check_window, places, places_of
from kernels.types import Fault, TensorType

Types = Sequence[TensorType]
Groups = list[tuple[Array, tuple[int, ...]]]
Pair = Sequence[int]
SIGNED = ("float32", "int64", "int32")


def _take_rows_rule(types: Types, attributes: Attributes) -> TensorType:
    table, ids = types
    got = f"table {table} and ids {ids}"
    want(ids.dtype == "int64" and len(table.shape) >= 1, "take_rows", got, "ids int64, a table of rank 1 or more")
    return TensorType(table.dtype, ids.shape + table.shape[1:])


def take_rows(table: Array, ids: Array) -> Array:
    """The rows of a table at the given indices.

    table:   [V, ...]
    ids:     [I...] int64
    returns: [I..., ...]

    Value:    out[i] = table[ids[i]]
    Special:  an index outside [0, V) is a fault
    Gradient: table <- add_rows(zeros, ids, g)
    """
    check_index("take_rows", ids, table.shape[0])
    return table[ids]


def check_index(operator: str, index: Array, size: int) -> None:
    """A fault at the lowest element whose index is outside [0, size)."""
    outside = np.flatnonzero((np.ravel(index) < 0) | (np.ravel(index) >= size))
    if outside.size:
        element = int(outside[0])
        raise Fault(operator, element, f"index {np.ravel(index)[element]} is outside [0, {size})")


def _add_rows_rule(types: Types, attributes: Attributes) -> TensorType:
    base, ids, rows = types
    got = f"base {base}, ids {ids} and rows {rows}"
    check_dtypes("add_rows", (base, rows), ("float32",))
    want(ids.dtype == "int64" and len(base.shape) >= 1, "add_rows", got, "ids int64, a base of rank 1 or more")
    want(rows.shape == ids.shape + base.shape[1:], "add_rows", got, "rows.shape == ids.shape + base.shape[1:]")
    return base


def add_rows(base: Array, ids: Array, rows: Array) -> Array:
    """The base plus, at each row, the sum of the rows that have its index.

    base:    [V, ...] float32
    ids:     [I...] int64
    rows:    [I..., ...] float32
    returns: [V, ...] float32

    Value:    out[v] = base[v] + sum of rows[i] over the i with ids[i] = v
    Scale:    one for all rows: 2^(min(46, 62 - bitlength(n)) - e), n the number of rows
    Rounding: each element once to an integer, the exact sum once to float32, and the addition once
    Special:  an index outside [0, V) is a fault; a NaN or an infinity in rows makes every output NaN
    Gradient: base <- g, rows <- take_rows(g, ids)
    """
    check_index("add_rows", ids, base.shape[0])
    largest, scale = _source_scale(rows, ids.size)
    total = np.zeros(base.shape, np.int64)
    np.add.at(total, ids, quantise(rows, scale))
    return _added(base, total, largest, scale)


def _source_scale(source: Array, count: int) -> tuple[Array, Array]:
    """The maximum over a whole source, and the scale that keeps a sum of `count` elements below 2^62."""
    largest = maxima(source, tuple(range(source.ndim)))
    return largest, min(46, 62 - count.bit_length()) - exponents(largest)


def _added(base: Array, total: Array, largest: Array, scale: Array) -> Array:
    if not is_finite(largest):
        return np.full(base.shape, NAN)
    with np.errstate(all="ignore"):
        return canonical(base + store(total, scale))


def _add_rows_groups(inputs: Sequence[Array], attributes: Attributes) -> Groups:
    return [(inputs[2], tuple(range(inputs[2].ndim)))]


def _check_along(name: str, x: TensorType, index: TensorType, axis: int, got: str) -> None:
    """Refuses an index that is not int64, or whose shape differs from x's elsewhere than along axis."""
    want(0 <= axis < len(x.shape), name, f"{got} and axis {axis}", "an axis of the first operand")
    want(index.dtype == "int64", name, got, "index int64")
    same = len(index.shape) == len(x.shape) and (
        index.shape[:axis] + index.shape[axis + 1 :] == x.shape[:axis] + x.shape[axis + 1 :]
    )
    want(same, name, got, f"equal shapes but along axis {axis}")


def _gather_rule(types: Types, attributes: Attributes) -> TensorType:
    x, index = types
    _check_along("gather", x, index, attributes["axis"], f"x {x} and index {index}")
    return TensorType(x.dtype, index.shape)


def gather(x: Array, index: Array, axis: int) -> Array:
    """The elements of x at the given indices along axis.

    Value:    out[.., j, ..] = x[.., index[.., j, ..], ..]
    Special:  an index outside the axis is a fault
    Gradient: x <- scatter_add(zeros, index, g)
    """
    check_index("gather", index, x.shape[axis])
    return np.take_along_axis(x, index, axis)


def _scatter_add_rule(types: Types, attributes: Attributes) -> TensorType:
    base, index, source = types
    got = f"base {base}, index {index} and source {source}"
    check_dtypes("scatter_add", (base, source), ("float32",))
    _check_along("scatter_add", base, index, attributes["axis"], got)
    want(index.shape == source.shape, "scatter_add", got, "index.shape == source.shape")
    return base


def scatter_add(base: Array, index: Array, source: Array, axis: int) -> Array:
    """The base plus, at each element, the sum of the source elements whose index along axis is its own.

    Value:    out[.., k, ..] = base[.., k, ..] + sum of source[.., j, ..] over the j with index[.., j, ..] = k
    Scale:    one for the whole source: 2^(min(46, 62 - bitlength(n)) - e), n the source's size along axis
    Rounding: each element once to an integer, the exact sum once to float32, and the addition once
    Special:  an index outside the axis is a fault; a NaN or an infinity in source makes every output NaN
    Gradient: base <- g, source <- gather(g, index)
    """
    check_index("scatter_add", index, base.shape[axis])
    largest, scale = _source_scale(source, source.shape[axis])
    total = np.zeros(base.shape, np.int64)
    place: list[Array] = list(np.indices(index.shape, sparse=True))
    place[axis] = index
    np.add.at(total, tuple(place), quantise(source, scale))
    return _added(base, total, largest, scale)


def _argsort_rule(types: Types, attributes: Attributes) -> TensorType:
    x, axis = types[0], attributes["axis"]
    check_dtypes("argsort", types, SIGNED)
    want(0 <= axis < len(x.shape), "argsort", f"x {x} and axis {axis}", "an axis of x")
    return TensorType("int64", x.shape)


def order_key(x: Array) -> Array:
    """Integers in the order of x: a NaN above everything, both zeros equal."""
    if x.dtype != np.float32:
        return x.astype(np.int64)
    bits = x.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def argsort(x: Array, axis: int, descending: bool) -> Array:
    """The stable permutation that sorts x along axis.

    Value:    out[.., j, ..] is the index of the j-th element in order; equal elements keep their order
    Special:  a NaN is above everything (last, or first where descending); both zeros are equal
    """
    key = order_key(x)
    return np.argsort(~key if descending else key, axis=axis, kind="stable").astype(np.int64)  # ~k = -k - 1


def _max_pool_index_rule(types: Types, attributes: Attributes) -> TensorType:
    (x,), kernel = types, attributes["kernel"]
    check_dtypes("max_pool_index", types, ("float32",))
    want(len(x.shape) == 4, "max_pool_index", f"x {x}", "rank 4")
    want(len(kernel) == 2, "max_pool_index", f"kernel {tuple(kernel)}", "a pair")
    check_window("max_pool_index", attributes)
    sizes = places("max_pool_index", x.shape[2:], kernel, attributes)
    got = f"x {x}, kernel {tuple(kernel)}, padding {tuple(attributes['padding'])}"
    want(prod(x.shape[2:]) > 0, "max_pool_index", got, "windows with an element")
    pairs = (x.shape[2:], kernel, attributes["stride"], attributes["padding"], attributes["dilation"], sizes)
    meet = all(_windows_meet(*axis) for axis in zip(*pairs, strict=True))
    want(meet, "max_pool_index", got, "windows with an element")
    return TensorType("int64", (*x.shape[:2], *sizes))


def _windows_meet(size: int, kernel: int, stride: int, padding: int, dilation: int, places: int) -> bool:
    """Whether each window along an axis meets an element: only those that start in the padding may not."""
    last = (places - 1) * stride - padding
    if last >= size:
        return False
    for start in range(-padding, min(0, last + 1), stride):
        first = -(start // dilation)  # the window's first element at or after index 0
        if first >= kernel or start + first * dilation >= size:
            return False
    return True


def max_pool_index(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The flat index h * W + w of each window's largest element.

    x:       [N, C, H, W] float32
    returns: [N, C, P, Q] int64

    Value:    the first NaN of the window, else the first of its largest elements, in row-major order
    Special:  padding never wins; both zeros are equal
    """
    sizes = places_of(x.shape[2:], kernel, stride, padding, dilation)
    key = order_key(x)
    result = np.full((*x.shape[:2], *sizes), -1, np.int64)
    best = np.zeros(result.shape, np.int64)
    for r in range(kernel[0]):
        h = np.arange(sizes[0])[:, None] * stride[0] - padding[0] + r * dilation[0]
        for s in range(kernel[1]):
            w = np.arange(sizes[1])[None, :] * stride[1] - padding[1] + s * dilation[1]
            inside = (h >= 0) & (h < x.shape[2]) & (w >= 0) & (w < x.shape[3])
            found = key[:, :, np.where(inside, h, 0), np.where(inside, w, 0)]
            wins = inside & ((result < 0) | (found > best))
            result, best = np.where(wins, h * x.shape[3] + w, result), np.where(wins, found, best)
    return result


POOL: dict[str, AttributeKind] = {"kernel": "ints", "stride": "ints", "padding": "ints", "dilation": "ints"}
ALONG: dict[str, AttributeKind] = {"axis": "int"}
OPERATORS = (
    Operator("take_rows", "indexing", ("table", "ids"), _take_rows_rule, take_rows, can_fault=True),
    Operator(
        "add_rows", "indexing", ("base", "ids", "rows"), _add_rows_rule, add_rows, {}, _add_rows_groups, can_fault=True
    ),
    Operator("gather", "indexing", ("x", "index"), _gather_rule, gather, ALONG, can_fault=True),
    Operator(
        "scatter_add",
        "indexing",
        ("base", "index", "source"),
        _scatter_add_rule,
        scatter_add,
        ALONG,
        _add_rows_groups,
        can_fault=True,
    ),
    Operator("argsort", "indexing", ("x",), _argsort_rule, argsort, {**ALONG, "descending": "flag"}),
    Operator("max_pool_index", "indexing", ("x",), _max_pool_index_rule, max_pool_index, POOL),
)
