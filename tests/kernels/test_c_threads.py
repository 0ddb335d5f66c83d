"""Calls large enough that every thread has a part: their bytes are those of one thread, and no two threads meet.

That no two meet is what these calls show under the thread sanitizer (tests/kernels/sanitize.py).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

from kernels import spec
from kernels.spec.operator import WIDTHS, Array
from kernels.spec.window import places_of
from kernels.types import NUMPY_DTYPE, TensorType, type_of
from tests.kernels.c_abi import Library, backend, library_path, operator_names

Call = tuple[str, str, list[Array], dict[str, Any]]
ROWS, COLUMNS = 531, 801
THREADS = 4


@pytest.fixture(scope="module")
def library() -> Library:
    if not library_path().exists():
        pytest.skip("wants a machine with a C++ compiler: setup.py build_ext --inplace makes kernels/libisobit.so")
    return Library(library_path())


def numbers(*shape: int, dtype: str = "float32") -> Array:
    x = np.random.default_rng(prod(shape)).integers(-1000, 1000, shape)
    if dtype == "bool":
        return x > 0
    return (x / 64 if dtype == "float32" else x).astype(NUMPY_DTYPE[dtype])


def indices(size: int, *shape: int) -> Array:
    return np.random.default_rng(size).integers(0, size, shape)


def elementwise() -> list[Call]:
    calls: list[Call] = []
    for operator in spec.OPERATORS.values():
        if operator.family != "elementwise" or operator.name in ("select", "cast"):
            continue
        for dtype in ("float32", "int64", "bool"):
            inputs = [numbers(ROWS, COLUMNS, dtype=dtype) for _ in operator.operands]
            try:
                spec.infer(operator.name, [type_of(x) for x in inputs], {})
            except ValueError:
                continue
            if operator.can_fault:
                inputs[1] = np.maximum(inputs[1], 1)
            calls.append((operator.name, dtype, inputs, {}))
    x = numbers(ROWS, COLUMNS)
    calls.append(("select", "", [numbers(ROWS, COLUMNS, dtype="bool"), x, x.T.reshape(x.shape)], {}))
    calls.append(("cast", "", [x], {"dtype": "int32"}))
    calls.append(("add", "of a transpose", [x, numbers(COLUMNS, ROWS).T], {}))
    calls.append(("mul", "of a repeated row", [x, np.broadcast_to(x[:1], x.shape)], {}))
    return calls


def reductions() -> list[Call]:
    x = numbers(ROWS, COLUMNS)
    calls: list[Call] = []
    for axis in (0, 1):
        calls += [(op, f"along {axis}", [x], {"axes": (axis,)}) for op in ("sum", "amax", "amin")]
        calls += [(op, f"along {axis}", [x], {"axis": axis}) for op in ("argmax", "cumsum")]
        calls += [("argsort", f"along {axis}", [x], {"axis": axis, "descending": bool(axis)})]
    return [*calls, ("sum", "all", [numbers(16, 4096)], {"axes": (0, 1)})]


def movements() -> list[Call]:
    x = numbers(ROWS, COLUMNS)
    return [
        ("concat", "", [x, x.T[:, :ROWS].T[:, :COLUMNS], x], {"axis": 1}),
        ("pad", "", [x, np.array(1, np.float32)], {"low": (3, 2), "high": (1, 5)}),
        ("iota", "", [], {"shape": (ROWS, COLUMNS), "axis": 1, "dtype": "int64"}),
        ("random_bits", "", [np.array(n) for n in (5, 6, 7)], {"site": 1, "shape": (ROWS, COLUMNS)}),
    ]


def indexing() -> list[Call]:
    x, ids = numbers(ROWS, COLUMNS), indices(ROWS, 700)
    index = indices(ROWS, 700, COLUMNS)
    pool = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)}
    return [
        ("take_rows", "", [x, ids], {}),
        ("add_rows", "", [x, ids, numbers(700, COLUMNS)], {}),
        ("gather", "", [x, index], {"axis": 0}),
        ("gather", "last", [x, indices(COLUMNS, ROWS, 600)], {"axis": 1}),
        ("scatter_add", "", [x, index, numbers(700, COLUMNS)], {"axis": 0}),
        ("scatter_add", "last", [x, indices(COLUMNS, ROWS, 600), numbers(ROWS, 600)], {"axis": 1}),
        ("max_pool_index", "", [numbers(4, 32, 55, 57)], pool),
    ]


def products() -> list[Call]:
    calls: list[Call] = []
    for width in WIDTHS:
        for m, k, n in ((193, 211, 187), (3, 600, 700), (700, 600, 3), (1, 900, 900)):
            a, b = numbers(m, k), numbers(k, n)
            calls.append(("matmul", f"{width} {m}x{k}x{n}", [a, b], {"width": width}))
        for label, pair in {"NT": [a, numbers(n, k).T], "TN": [numbers(k, m).T, b]}.items():
            calls.append(("matmul", f"{width} {label}", pair, {"width": width}))
        calls.append(("matmul", f"{width} batched", [numbers(12, 64, 40), numbers(12, 40, 64)], {"width": width}))
    return calls


CONVOLUTIONS = {
    "3x3": ((4, 24, 19, 21), (32, 24, 3, 3), (1, 1), (1, 1), 1),
    "1x1": ((4, 24, 19, 21), (32, 24, 1, 1), (1, 1), (0, 0), 1),
    "stride 2": ((4, 3, 33, 35), (16, 3, 7, 7), (2, 2), (3, 3), 1),
    "in groups": ((4, 24, 15, 15), (32, 6, 3, 3), (1, 1), (1, 1), 4),
    "depthwise": ((4, 24, 15, 15), (24, 1, 3, 3), (1, 1), (1, 1), 24),
}


def convolutions() -> list[Call]:
    calls: list[Call] = []
    for label, (image, filters, stride, padding, groups) in CONVOLUTIONS.items():
        x, w = numbers(*image), numbers(*filters)
        places = places_of(image[2:], filters[2:], stride, padding, (1, 1))
        g = numbers(image[0], filters[0], *places)
        for width in WIDTHS:
            window = {"stride": stride, "padding": padding, "dilation": (1, 1), "groups": groups, "width": width}
            calls.append(("conv", f"{width} {label}", [x, w], window))
            calls.append(("conv_grad_input", f"{width} {label}", [g, w], {"size": image[2:], **window}))
            calls.append(("conv_grad_weight", f"{width} {label}", [g, x], {"size": filters[2:], **window}))
    return calls


CALLS = [*elementwise(), *reductions(), *movements(), *indexing(), *products(), *convolutions()]


def test_every_native_operator_is_among_the_calls() -> None:
    assert {name for name, *_ in CALLS} | {"copy", "group_maxima"} == set(operator_names())


@pytest.mark.parametrize(("op", "label", "inputs", "attributes"), CALLS, ids=[f"{c[0]} {c[1]}" for c in CALLS])
def test_a_call_over_many_threads_gives_the_bytes_of_one(
    library: Library, op: str, label: str, inputs: list[Array], attributes: dict[str, Any]
) -> None:
    run = backend(library).run
    arrays = [np.asarray(x) for x in inputs]
    expected = run(op, arrays, attributes, threads=1)
    assert run(op, arrays, attributes, threads=THREADS).tobytes() == expected.tobytes()


def test_copies_and_maxima_over_many_threads_give_the_bytes_of_one(library: Library) -> None:
    x = numbers(COLUMNS, ROWS).T
    assert library.run("copy", [x], [], type_of(x), threads=THREADS).tobytes() == x.tobytes()
    for axis, size in ((0, COLUMNS), (1, ROWS)):
        result = TensorType("uint32", (size,))
        one, many = (library.run("group_maxima", [x], [1, axis], result, n) for n in (1, THREADS))
        assert one.tobytes() == many.tobytes()
