"""Cases for reductions: ties, cancellation, groups at the bound of n, scales at both ends of the exponent range."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kernels.conformance.case import Case, with_layouts
from kernels.conformance.inputs import any_floats, any_values, floats, indices, integers, specials
from kernels.spec.operator import Array
from kernels.types import DTYPES

AXES: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
NAN = np.float32("nan")


def cases() -> Iterator[Case]:
    """sum, cumsum, amax, amin, argmax."""
    for op in ("sum", "cumsum"):
        for label, x in _rows():
            yield Case(op, label, (x,), {"axes": (1,)} if op == "sum" else {"axis": 1})
    for axes in AXES:
        yield from with_layouts(Case("sum", f"axes {axes}", (floats("sum", (5, 6, 7), 3),), {"axes": axes}))
        yield Case("sum", f"any bits, axes {axes}", (any_floats("sum", (5, 6, 7)),), {"axes": axes})
        for dtype in ("int64", "int32"):
            x = integers("sum", (5, 6, 7), dtype)
            yield from with_layouts(Case("sum", f"{dtype}, axes {axes}", (x,), {"axes": axes}))
    yield Case("sum", "broadcast", (np.broadcast_to(floats("sum", (1, 9)), (500, 9)),), {"axes": (0,)})
    yield Case("sum", "large, rows", (floats("sum", (303, 211), 20, 40),), {"axes": (1,)})
    yield Case("sum", "large, columns", (floats("sum", (303, 211), 20, 40),), {"axes": (0,)})
    yield Case("sum", "large, a batch norm", (floats("sum", (9, 17, 13, 21), 20, 40),), {"axes": (0, 2, 3)})
    yield from _cumsum()
    yield from _extrema()
    yield from _argmax()


def _rows() -> Iterator[tuple[str, Array]]:
    """[rows, n] whose sums are hard."""
    largest = np.float32(3.4028235e38)
    yield "n at its bound, equal and largest", np.full((1, 65536), largest)
    yield "n at its bound", floats("bound", (1, 65536), 60, 120)
    yield (
        "cancelling",
        np.array([[1, 2**30, 1, -(2**30)], [0.1, 0.2, -0.3, 0], [2**-149, -(2**-149), 0, -0.0]], np.float32),
    )
    yield "halves of the last place", np.array([[2**24, 1, 0, 0], [2**24, 3, 0, 0], [2**24, 1, 2**-22, 0]], np.float32)
    yield (
        "ties in quantising",
        np.array([[1, 2**-47, 2**-46, 3 * 2.0**-47], [-1, 2**-47, 2**-48, -(2**-47)]], np.float32),
    )
    yield "subnormal", floats("tiny", (4, 9), -140, 9)
    yield "overflow", np.array([[largest, largest], [-largest, -largest], [largest, -largest]], np.float32)
    yield "one element", specials("float32").reshape(-1, 1)
    yield "no element", np.zeros((3, 0), np.float32)
    yield "no row", np.zeros((0, 3), np.float32)
    yield "not finite", np.array([[1, NAN], [np.inf, 2], [-np.inf, np.inf], [3, 4]], np.float32)
    yield "zeros", np.array([[-0.0, -0.0], [0.0, -0.0]], np.float32)


def _cumsum() -> Iterator[Case]:
    for axis in range(3):
        yield from with_layouts(Case("cumsum", f"axis {axis}", (floats("cumsum", (5, 6, 7), 3),), {"axis": axis}))
        yield Case("cumsum", f"any bits, axis {axis}", (any_floats("cumsum", (5, 6, 7)),), {"axis": axis})
        for dtype in ("int64", "int32"):
            yield Case("cumsum", f"{dtype}, axis {axis}", (integers("cumsum", (5, 6, 7), dtype),), {"axis": axis})
    yield Case("cumsum", "large", (floats("cumsum", (70, 301)),), {"axis": 1})


def _extrema() -> Iterator[Case]:
    for op in ("amax", "amin"):
        for dtype in DTYPES:
            for axes in AXES:
                x = any_values(op, (3, 4, 5), dtype)
                yield from with_layouts(Case(op, f"{dtype}, axes {axes}", (x,), {"axes": axes}))
        yield Case(op, "zeros", (np.array([[-0.0, 0.0], [0.0, -0.0], [-0.0, -0.0]], np.float32),), {"axes": (1,)})
        yield Case(op, "NaN", (np.array([[NAN, 1], [-np.inf, NAN], [np.inf, -np.inf]], np.float32),), {"axes": (1,)})
        yield Case(op, "specials", (specials("float32").reshape(-1, 1),), {"axes": (1,)})
        yield Case(op, "no group", (np.zeros((0, 3), np.float32),), {"axes": (1,)})
        yield Case(op, "large", (floats(op, (303, 211), 20, 40),), {"axes": (1,)})


def _argmax() -> Iterator[Case]:
    for axis in range(3):
        yield from with_layouts(Case("argmax", f"axis {axis}", (any_floats("argmax", (3, 4, 5)),), {"axis": axis}))
        ties = indices("ties", (3, 4, 5), 2)
        yield Case("argmax", f"ties, axis {axis}", (ties.astype(np.float32),), {"axis": axis})
        for dtype in ("int64", "int32"):
            yield Case("argmax", f"{dtype}, axis {axis}", (integers("argmax", (3, 4, 5), dtype),), {"axis": axis})
            yield Case("argmax", f"{dtype}, ties, axis {axis}", (ties.astype(dtype),), {"axis": axis})
    rows = np.array([[-0.0, 0, 0], [0, -0.0, 0], [1, NAN, NAN], [NAN, 1, NAN], [-np.inf] * 3], np.float32)
    yield Case("argmax", "zeros and NaN", (rows,), {"axis": 1})
    yield Case("argmax", "large", (floats("argmax", (303, 211)),), {"axis": 1})
