"""Cases for indexing: repeated and faulting indices, one scale for a whole source, ties, windows over padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kernels.conformance.case import Case, with_layouts
from kernels.conformance.inputs import any_floats, any_values, floats, indices, integers, specials
from kernels.types import DTYPES

NAN = np.float32("nan")
LARGEST = np.float32(3.4028235e38)


def cases() -> Iterator[Case]:
    """take_rows, add_rows, gather, scatter_add, argsort, max_pool_index."""
    for dtype in DTYPES:
        yield from _take_rows(dtype)
        yield from _gather(dtype)
    yield from _add_rows()
    yield from _scatter_add()
    yield from _argsort()
    yield from _max_pool_index()
    yield from _faults()


def _take_rows(dtype: str) -> Iterator[Case]:
    table = any_values("table", (5, 3, 2), dtype)
    yield from with_layouts(Case("take_rows", dtype, (table, indices("ids", (4, 3), 5))))
    yield Case("take_rows", f"{dtype}, vector", (table[:, 0, 0], indices("ids", (), 5)))
    yield Case("take_rows", f"{dtype}, no index", (table[:0], np.zeros((0, 2), np.int64)))
    yield Case("take_rows", f"{dtype}, large", (any_values("table", (301, 70), dtype), indices("ids", (900,), 301)))


def _gather(dtype: str) -> Iterator[Case]:
    x = any_values("gather", (3, 4, 5), dtype)
    for axis in range(3):
        shape = [*x.shape]
        shape[axis] = 6
        index = indices("index", shape, x.shape[axis])
        yield from with_layouts(Case("gather", f"{dtype}, axis {axis}", (x, index), {"axis": axis}))
    yield Case("gather", f"{dtype}, no index", (x[:, :0], np.zeros((3, 0, 5), np.int64)), {"axis": 1})
    large = (any_values("gather", (211, 130), dtype), indices("index", (211, 170), 130))
    yield Case("gather", f"{dtype}, large", large, {"axis": 1})


def _add_rows() -> Iterator[Case]:
    base, ids, rows = floats("base", (5, 3)), indices("ids", (2, 7), 5), floats("rows", (2, 7, 3), 2, 12)
    yield from with_layouts(Case("add_rows", "repeated", (base, ids, rows)))
    yield Case("add_rows", "any base", (any_floats("base", (5, 3)), ids, rows))
    yield Case("add_rows", "vector", (base[:, 0].copy(), ids, rows[..., 0].copy()))
    yield Case("add_rows", "one row", (base, ids[0, 0], rows[0, 0]))
    yield Case("add_rows", "no row, base -0", (np.full((2, 3), -0.0, np.float32), ids[:0, 0], rows[:0, 0]))
    yield Case("add_rows", "no id", (base[:0], ids[:0, 0], rows[:0, 0]))
    yield Case("add_rows", "zeros", (-base * 0, ids, rows * 0))
    yield Case("add_rows", "subnormal", (base * np.float32(2.0**-140), ids, rows * np.float32(2.0**-143)))
    yield Case("add_rows", "largest", (np.full((1, 1), 1, np.float32), ids * 0, np.full((2, 7, 1), LARGEST)))
    for count in (32767, 65535, 65536, 2**17):
        rows_many = floats("many", (count, 1), 3, 40)
        many = (np.zeros((3, 1), np.float32), indices("many", (count,), 2), rows_many)
        yield Case("add_rows", f"{count} rows", many)
        equal = (np.zeros((3, 1), np.float32), np.ones(count, np.int64), np.full((count, 1), 1.99999988, np.float32))
        yield Case("add_rows", f"{count} equal rows", equal)
        cancelling = np.zeros((count, 1), np.float32)
        cancelling[[0, 1, 2, -1], 0] = 1, -1, 2.0**-44, 2.0**-45
        yield Case("add_rows", f"{count} cancelling rows", (*equal[:2], cancelling))
        scattered = (np.zeros(2, np.float32), equal[1], cancelling[:, 0].copy())
        yield Case("scatter_add", f"{count} cancelling elements", scattered, {"axis": 0})
    large = (floats("base", (97, 70)), indices("ids", (901,), 97), floats("rows", (901, 70), 1, 20))
    yield Case("add_rows", "large", large)
    for value in (NAN, np.float32(np.inf)):
        bad = rows.copy()
        bad[1, 2, 0] = value
        yield Case("add_rows", f"{value} in rows", (base, ids, bad))


def _scatter_add() -> Iterator[Case]:
    base = floats("base", (3, 4, 5))
    for axis in range(3):
        shape = [*base.shape]
        shape[axis] = 9
        index, source = indices("index", shape, base.shape[axis]), floats("source", shape, 2, 12)
        yield from with_layouts(Case("scatter_add", f"axis {axis}", (base, index, source), {"axis": axis}))
        yield Case("scatter_add", f"any bits, axis {axis}", (base, index, any_floats("source", shape)), {"axis": axis})
    none = (base, np.zeros((3, 0, 5), np.int64), np.zeros((3, 0, 5), np.float32))
    yield Case("scatter_add", "no source", none, {"axis": 1})
    large = (floats("base", (211, 130)), indices("index", (211, 170), 130), floats("source", (211, 170), 3, 20))
    yield Case("scatter_add", "large", large, {"axis": 1})


def _argsort() -> Iterator[Case]:
    rows = np.array([[0, -0.0, 1, NAN], [NAN, -np.inf, NAN, np.inf], [-0.0, 0, -0.0, 0], [2, 1, 2, 1]], np.float32)
    for descending in (False, True):
        order = "descending" if descending else "ascending"
        for axis in range(3):
            attributes = {"axis": axis, "descending": descending}
            yield from with_layouts(Case("argsort", f"{order}, axis {axis}", (any_floats("s", (3, 4, 5)),), attributes))
            for dtype in ("int64", "int32", "float32"):
                ties = (indices("ties", (3, 4, 5), 3).astype(dtype),)
                yield Case("argsort", f"{dtype}, ties, {order}, axis {axis}", ties, attributes)
        for dtype in ("int64", "int32", "float32"):
            attributes = {"axis": 0, "descending": descending}
            yield Case("argsort", f"{dtype}, specials, {order}", (specials(dtype),), attributes)
            many = (integers("s", (70, 301), "int32") % 50).astype(dtype)
            yield Case("argsort", f"{dtype}, large, {order}", (many,), {"axis": 1, "descending": descending})
        yield Case("argsort", f"NaN and zeros, {order}", (rows,), {"axis": 1, "descending": descending})
        yield Case("argsort", f"empty, {order}", (rows[:, :0],), {"axis": 1, "descending": descending})


POOLS = (
    ("2 x 2", (2, 3, 6, 7), (2, 2), (2, 2), (0, 0), (1, 1)),
    ("3 x 3, padded", (2, 3, 7, 6), (3, 3), (2, 2), (1, 1), (1, 1)),
    ("dilated", (1, 2, 9, 8), (2, 3), (1, 2), (1, 1), (3, 2)),
    ("no sample", (0, 2, 4, 4), (2, 2), (1, 1), (0, 0), (1, 1)),
    ("large", (9, 17, 21, 20), (3, 2), (1, 1), (1, 1), (1, 1)),
)


def _max_pool_index() -> Iterator[Case]:
    for label, shape, kernel, stride, padding, dilation in POOLS:
        attributes = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        case = Case("max_pool_index", label, (floats("pool", shape),), attributes)
        yield from with_layouts(case) if label == "dilated" else [case]
        yield Case("max_pool_index", f"{label}, any bits", (any_floats("pool", shape),), attributes)
        ties = -indices("ties", shape, 2).astype(np.float32)
        yield Case("max_pool_index", f"{label}, ties and zeros", (ties,), attributes)
        yield Case("max_pool_index", f"{label}, -infinity", (np.full(shape, -np.inf, np.float32),), attributes)
        nan = np.where(indices("nan", shape, 7) == 0, NAN, floats("pool", shape))
        yield Case("max_pool_index", f"{label}, NaN", (nan,), attributes)


def _faults() -> Iterator[Case]:
    table, base = floats("table", (300, 2)), floats("base", (200, 300))
    for low, value in ((70001, 300), (30000, -1), (0, 2**40), (99999, -(2**63))):
        ids = indices("ids", (100000,), 300)
        ids[low] = value
        ids[-1] = -5
        element = min(low, 99999)
        yield Case("take_rows", f"index {value} at {low}", (table, ids), fault=element)
        yield Case("add_rows", f"index {value} at {low}", (table, ids, np.ones((100000, 2), np.float32)), fault=element)
        grid = ids.reshape(200, 500)
        yield Case("gather", f"index {value} at {low}", (base, grid), {"axis": 1}, fault=element)
        source = np.ones((200, 500), np.float32)
        yield Case("scatter_add", f"index {value} at {low}", (base, grid, source), {"axis": 1}, fault=element)
        yield Case(
            "gather",
            f"index {value} at {low}, columns first",
            (base, np.asfortranarray(grid)),
            {"axis": 1},
            fault=element,
        )
    yield Case("take_rows", "an empty table", (table[:0], np.zeros(3, np.int64)), fault=0)
