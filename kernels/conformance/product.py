"""Cases for products: K at its bounds with the largest integers, maxima next to Qmax, scales at both ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kernels.conformance.case import Case, with_layouts
from kernels.conformance.inputs import any_floats, floats, indices
from kernels.spec.conv import places_of
from kernels.spec.matmul import LONG_QMAX, qmax
from kernels.spec.operator import WIDTHS, Array

SHAPES = ((1, 1, 1), (3, 5, 7), (17, 33, 31), (0, 3, 2), (3, 2, 0), (2, 0, 3), (65, 130, 49))
TERMS = (127, 128, 129, 2047, 2049, 131071, 131072)
NAN = np.float32("nan")


def cases() -> Iterator[Case]:
    """matmul and the three convolutions, in both widths."""
    for width in WIDTHS:
        yield from _matmul(width)
        for window in WINDOWS:
            yield from _conv(width, window)


def _matmul(width: str) -> Iterator[Case]:
    attributes = {"width": width}
    for m, k, n in SHAPES:
        a, b = floats("a", (m, k)), floats("b", (k, n))
        yield Case("matmul", f"{width} {m} {k} {n}", (a, b), attributes)
        yield Case(
            "matmul", f"{width} {m} {k} {n}, any bits", (any_floats("a", (m, k)), any_floats("b", (k, n))), attributes
        )
    yield from with_layouts(Case("matmul", width, (floats("a", (9, 11)), floats("b", (11, 10))), attributes))
    yield from with_layouts(
        Case("matmul", f"{width}, batch", (floats("a", (2, 3, 4, 5)), floats("b", (2, 3, 5, 6))), attributes)
    )
    yield Case("matmul", f"{width}, empty batch", (floats("a", (0, 4, 5)), floats("b", (0, 5, 6))), attributes)
    shared = np.broadcast_to(floats("b", (1, 5, 6)), (3, 5, 6))
    yield Case("matmul", f"{width}, broadcast", (floats("a", (3, 4, 5)), shared), attributes)
    for terms in TERMS:
        for label, x in _long_rows(width, terms):
            yield Case("matmul", f"{width}, K = {terms}, {label}", (x[None, :], x[:, None]), attributes)
        yield Case("matmul", f"{width}, K = {terms}, cancelling", _cancelling(width, terms), attributes)
    for label, a, b in _scales():
        yield Case("matmul", f"{width}, {label}", (a, b), attributes)
    if width == "wide":
        row = np.full((1, 2**21), LONG_QMAX / 2.0**21, np.float32)
        yield Case("matmul", "wide, K = 2097152, equal", (row, row.T), attributes)


def _long_rows(width: str, terms: int) -> Iterator[tuple[str, Array]]:
    """Vectors whose product with themselves is as large as it can be."""
    yield "equal", np.full(terms, qmax(width, terms) / 2.0**23, np.float32)
    yield "random", floats(f"row{terms}", (terms,), 1, 20)


def _cancelling(width: str, terms: int) -> tuple[Array, Array]:
    """[5, K] and [K, 6] of integers next to Qmax, whose large positive sums are cancelled but for a few terms."""
    half, limit = terms // 2, qmax(width, terms)
    a, b = (limit - indices(name, (size, half), 1000) for name, size in (("a", 5), ("b", 6)))
    a[:, 0] = b[:, 0] = limit
    rest = np.ones((11, terms - 2 * half), np.int64)
    left, right = np.hstack([a, a, rest[:5]]), np.hstack([b, -b, rest[5:]])
    left[:, terms // 3] -= 3
    return left.astype(np.float32), right.T.astype(np.float32)


def _scales() -> Iterator[tuple[str, Array, Array]]:
    near = np.array([0x3F7FFE00, 0x3F7FFDFF, 0x3F7FFE01, 0x3F7EFEFE, 0x3F7EFEFF, 0x3F7EFF00, 0x3F7FFFFF], np.uint32)
    rows = np.stack([near.view(np.float32), floats("beside", (7,), 0, 1)], axis=1)
    yield "maxima next to Qmax", rows, rows.T.copy()
    ones = floats("ones", (3, 4), 1, 2)
    for exponent in (-149, -126, -75, 0, 64, 127):
        a = floats(f"a{exponent}", (4, 3), max(exponent, -140), 6)
        yield f"rows around 2^{exponent}", a, ones
        yield f"columns around 2^{exponent}", ones.T.copy(), a.T.copy()
        yield f"both around 2^{exponent}", a, a.T.copy()
    yield "one subnormal", np.array([[2**-149, 0]], np.float32), np.array([[1.5], [1]], np.float32)
    yield "result next to subnormal", floats("s", (9, 5), -70, 4), floats("t", (5, 9), -69, 12)
    yield "result next to overflow", floats("s", (9, 5), 64, 2), floats("t", (5, 9), 64, 2)
    lost = np.array([[1, 2**-30, -(2**-30)], [0, 0, 0], [-0.0, 0, -0.0]], np.float32)
    yield "lost to the scale, zeros", lost, lost.T.copy()
    bad = floats("bad", (4, 3))
    bad[1, 2], bad[2, 0], bad[3, 1] = NAN, np.inf, -np.inf
    yield "rows that are not finite", bad, ones
    yield "columns that are not finite", ones.T.copy(), bad.T.copy()
    yield "ties to even", np.array([[2**14 - 2, 0.5, 1.5, 2.5, -0.5, -1.5]], np.float32), np.ones((6, 1), np.float32)


Window = dict[str, Any]
WINDOWS: tuple[tuple[str, tuple[int, ...], tuple[int, ...], Window], ...] = (
    ("1 x 1", (2, 3, 4, 5), (4, 3, 1, 1), {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}),
    ("3 x 3", (2, 3, 7, 6), (5, 3, 3, 3), {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
    ("strided", (2, 4, 9, 8), (6, 2, 3, 2), {"stride": (2, 3), "padding": (1, 2), "dilation": (1, 1), "groups": 2}),
    ("dilated", (1, 2, 9, 11), (2, 2, 2, 3), {"stride": (1, 2), "padding": (0, 3), "dilation": (3, 2), "groups": 1}),
    ("depthwise", (2, 4, 5, 5), (8, 1, 3, 3), {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 4}),
    ("large", (3, 17, 19, 18), (33, 17, 3, 3), {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
    ("no sample", (0, 2, 5, 5), (3, 2, 3, 3), {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
    ("no channel", (2, 0, 5, 5), (3, 0, 3, 3), {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
    ("no output", (2, 2, 5, 5), (0, 2, 3, 3), {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
    (
        "padding alone",
        (1, 2, 0, 0),
        (3, 2, 2, 2),
        {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1},
    ),
)


def _conv(width: str, window: tuple[str, tuple[int, ...], tuple[int, ...], Window]) -> Iterator[Case]:
    name, image, filters, attributes = window
    pairs = [attributes[key] for key in ("stride", "padding", "dilation")]
    output = (image[0], filters[0], *places_of(image[2:], filters[2:], *pairs))
    for op, shapes, size in (
        ("conv", (image, filters), None),
        ("conv_grad_input", (output, filters), image[2:]),
        ("conv_grad_weight", (output, image), filters[2:]),
    ):
        sized = {**({} if size is None else {"size": size}), **attributes, "width": width}
        for label, arrays in _operands(op, shapes):
            case = Case(op, f"{width}, {name}, {label}", arrays, sized)
            yield from with_layouts(case) if (name, label) == ("strided", "ordinary") else [case]


def _operands(op: str, shapes: tuple[tuple[int, ...], ...]) -> Iterator[tuple[str, tuple[Array, ...]]]:
    yield "ordinary", tuple(floats(f"{op}{i}", shape) for i, shape in enumerate(shapes))
    yield "spread", tuple(floats(f"{op}{i}", shape, 60, 130) for i, shape in enumerate(shapes))
    yield "equal", tuple(np.full(shape, 8355711 / 2.0**23, np.float32) for shape in shapes)
    yield "small", tuple(floats(f"{op}{i}", shape, -70, 9) for i, shape in enumerate(shapes))
    for position in range(2):
        arrays = [floats(f"{op}{i}", shape) for i, shape in enumerate(shapes)]
        arrays[position].reshape(-1)[3:4] = NAN
        arrays[position].reshape(-1)[-2:-1] = np.inf
        yield f"operand {position} not finite", tuple(arrays)
