"""Every operator on drawn shapes, bit patterns, strides and attributes: each backend gives the bytes of the law."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernels import backends, spec
from kernels.backends import Backend
from kernels.conformance import Case, outcome
from kernels.conformance.inputs import NAN_BITS, SPECIAL_BITS, relaid
from kernels.spec.operator import WIDTHS, Array
from kernels.spec.rounding import canonical
from kernels.spec.window import places_of
from kernels.types import DTYPES, NUMPY_DTYPE, TensorType
from tests.kernels import c_abi


def fast_backends() -> list[Backend]:
    """The backends to hold against the definition: a library that ISOBIT_LIBRARY names alone, with its sanitizers."""
    if "ISOBIT_LIBRARY" in os.environ:
        return [c_abi.backend(c_abi.Library(c_abi.library_path()))]
    return [backends.load(name) for name in backends.available() if name != "spec"]


FAST = fast_backends()
Draw = Callable[..., Any]
Operands = tuple[list[Array], dict[str, Any]]
SIZES = st.integers(0, 5)
PATTERNS = st.one_of(
    st.sampled_from([*SPECIAL_BITS, *(bits | 1 << 31 for bits in SPECIAL_BITS), NAN_BITS]),
    st.integers(0, 2**32 - 1),
    st.integers(0x3E800000, 0x40800000),  # ordinary numbers, so that not all is lost to one scale
)


def values(draw: Draw, shape: tuple[int, ...], dtype: str) -> Array:
    """A few drawn patterns, repeated over the shape, in a drawn memory layout."""
    patterns = np.array(draw(st.lists(PATTERNS, min_size=1, max_size=6)), np.uint32)
    if dtype == "float32":
        x = canonical(patterns.view(np.float32))
    elif dtype == "bool":
        x = patterns % 2 == 1
    else:
        x = (patterns.astype(np.int64) * draw(st.sampled_from([1, -1, 2**31 + 1]))).astype(NUMPY_DTYPE[dtype])
    return in_layout(draw, np.resize(np.asarray(x), shape))


def in_layout(draw: Draw, x: Array) -> Array:
    layouts = [x, *(again for _, again in relaid(x))]
    return layouts[draw(st.integers(0, len(layouts) - 1))]


def indices(draw: Draw, shape: tuple[int, ...], size: int) -> Array:
    """Indices in [0, size), sometimes with one that is not; all are outside where the size is 0."""
    least, most = (-1, size) if draw(st.integers(0, 7)) == 0 else (0, max(size - 1, 0))
    drawn = draw(st.lists(st.integers(least, most), min_size=1, max_size=6))
    return in_layout(draw, np.resize(np.array(drawn, np.int64), shape))


def shape(draw: Draw, least: int = 0, most: int = 4) -> tuple[int, ...]:
    return tuple(draw(st.lists(SIZES, min_size=least, max_size=most)))


def axis_of(draw: Draw, x: Array) -> int:
    return draw(st.integers(0, x.ndim - 1))


def anything(draw: Draw, least: int = 0, dtypes: tuple[str, ...] = DTYPES) -> Array:
    return values(draw, shape(draw, least), draw(st.sampled_from(dtypes)))


def accepted(op: str) -> list[str]:
    """The dtypes that the shape rule of an elementwise operator, or of a reduction, takes."""
    count = len(spec.OPERATORS[op].operands)
    attributes = {"axes": (0,)} if "axes" in spec.OPERATORS[op].attributes else {}
    found = []
    for dtype in DTYPES:
        try:
            spec.infer(op, [TensorType(dtype, (1,))] * count, attributes)
            found.append(dtype)
        except ValueError:
            continue
    return found


def elementwise(draw: Draw, op: str) -> Operands:
    if op == "cast":
        return [anything(draw)], {"dtype": draw(st.sampled_from(DTYPES))}
    if op == "select":
        sizes, dtype = shape(draw), draw(st.sampled_from(DTYPES))
        return [values(draw, sizes, "bool"), values(draw, sizes, dtype), values(draw, sizes, dtype)], {}
    sizes, dtype = shape(draw), draw(st.sampled_from(accepted(op)))
    return [values(draw, sizes, dtype) for _ in spec.OPERATORS[op].operands], {}


def reduction(draw: Draw, op: str) -> Operands:
    dtypes = ["float32", "int64", "int32"] if op in ("argmax", "cumsum") else accepted(op)
    x = anything(draw, 1, tuple(dtypes))
    if op in ("argmax", "cumsum"):
        return [x], {"axis": axis_of(draw, x)}
    axes = draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))
    return [x], {"axes": tuple(sorted(axes))}


def layout(draw: Draw, op: str) -> Operands:
    x = anything(draw)
    if op == "reshape":
        return [x], {"shape": (x.size,)} if draw(st.booleans()) else {"shape": (1, *x.shape[::-1])}
    if op == "permute":
        return [x], {"axes": tuple(draw(st.permutations(range(x.ndim))))}
    if op == "broadcast":
        return [x], {"shape": tuple(draw(SIZES) if size == 1 else size for size in x.shape)}
    ends = [sorted((draw(st.integers(0, size)), draw(st.integers(0, size)))) for size in x.shape]
    steps = tuple(draw(st.integers(1, 3)) for _ in x.shape)
    return [x], {"start": tuple(a for a, _ in ends), "stop": tuple(b for _, b in ends), "step": steps}


def movement(draw: Draw, op: str) -> Operands:
    if op == "iota":
        sizes = shape(draw, 1)
        return [], {
            "shape": sizes,
            "axis": draw(st.integers(0, len(sizes) - 1)),
            "dtype": draw(st.sampled_from(["int64", "int32"])),
        }
    x = anything(draw, 1)
    dtype = next(name for name in DTYPES if NUMPY_DTYPE[name] == x.dtype)
    if op == "pad":
        low, high = (tuple(draw(st.integers(0, 2)) for _ in x.shape) for _ in range(2))
        return [x, values(draw, (), dtype)], {"low": low, "high": high}
    axis = axis_of(draw, x)
    others = [
        values(draw, (*x.shape[:axis], draw(SIZES), *x.shape[axis + 1 :]), dtype)
        for _ in range(draw(st.integers(0, 2)))
    ]
    return [x, *others], {"axis": axis}


def matmul(draw: Draw, op: str) -> Operands:
    batch, m, k, n = shape(draw, 0, 2), draw(SIZES), draw(st.integers(0, 9)), draw(SIZES)
    arrays = [values(draw, (*batch, m, k), "float32"), values(draw, (*batch, k, n), "float32")]
    return arrays, {"width": draw(st.sampled_from(WIDTHS))}


def convolution(draw: Draw, op: str) -> Operands:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    filters, stride, dilation = draw(pair), draw(pair), draw(pair)
    padding, groups = draw(st.tuples(st.integers(0, 2), st.integers(0, 2))), draw(st.integers(1, 2))
    room = [d * (r - 1) + 1 for d, r in zip(dilation, filters, strict=True)]
    image = tuple(max(r - 2 * p, 0) + draw(SIZES) for r, p in zip(room, padding, strict=True))
    n, c, o = draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.integers(0, 2)) * groups
    x, w = (n, c * groups, *image), (o, c, *filters)
    g = (n, o, *places_of(image, filters, stride, padding, dilation))
    window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    window["width"] = draw(st.sampled_from(WIDTHS))
    if op == "conv":
        return [values(draw, x, "float32"), values(draw, w, "float32")], window
    if op == "conv_grad_input":
        return [values(draw, g, "float32"), values(draw, w, "float32")], {"size": image, **window}
    return [values(draw, g, "float32"), values(draw, x, "float32")], {"size": filters, **window}


def indexing(draw: Draw, op: str) -> Operands:
    if op == "max_pool_index":
        return pooling(draw)
    if op == "argsort":
        x = anything(draw, 1, ("float32", "int64", "int32"))
        return [x], {"axis": axis_of(draw, x), "descending": draw(st.booleans())}
    x = values(draw, shape(draw, 1, 3), "float32") if op in ("add_rows", "scatter_add") else anything(draw, 1)
    if op in ("take_rows", "add_rows"):
        ids = indices(draw, shape(draw, 0, 2), x.shape[0])
        return [x, ids] + ([values(draw, ids.shape + x.shape[1:], "float32")] if op == "add_rows" else []), {}
    axis = axis_of(draw, x)
    index = indices(draw, (*x.shape[:axis], draw(SIZES), *x.shape[axis + 1 :]), x.shape[axis])
    return [x, index] + ([values(draw, index.shape, "float32")] if op == "scatter_add" else []), {"axis": axis}


def pooling(draw: Draw) -> Operands:
    kernel, stride = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    padding = tuple(draw(st.integers(0, size // 2)) for size in kernel)
    image = tuple(size + draw(SIZES) for size in kernel)
    attributes = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": (1, 1)}
    return [values(draw, (draw(SIZES), draw(SIZES), *image), "float32")], attributes


def random(draw: Draw, op: str) -> Operands:
    limits = ((-(2**63), 2**63 - 1), (-1, 2**32), (-1, 2**16))
    inputs = [np.array(draw(st.integers(*limit)), np.int64) for limit in limits]
    return inputs, {"site": draw(st.integers(0, 2**32 - 2)), "shape": shape(draw)}


FAMILIES = {
    "layout": layout,
    "movement": movement,
    "elementwise": elementwise,
    "reduction": reduction,
    "indexing": indexing,
    "random": random,
}


def operands(draw: Draw, op: str) -> Operands:
    """Inputs and attributes for any operator of the law."""
    if op.startswith("conv"):
        return convolution(draw, op)
    return matmul(draw, op) if op == "matmul" else FAMILIES[spec.OPERATORS[op].family](draw, op)


def is_legal(op: str, inputs: list[Array], attributes: dict[str, Any]) -> bool:
    """A drawn reduction may have an empty group, which some operators refuse."""
    try:
        spec.infer(op, [backends.type_of(x) for x in inputs], attributes)
    except ValueError as error:
        assert "one element or more" in str(error)
        return False
    return True


@pytest.mark.parametrize("op", spec.OPERATORS)
@settings(derandomize=True, deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_backends_agree_on_drawn_operands(op: str, data: st.DataObject) -> None:
    inputs, attributes = operands(data.draw, op)
    if is_legal(op, inputs, attributes):
        case = Case(op, "drawn", tuple(inputs), attributes)
        expected = outcome(case, backends.load("spec"))
        for backend in FAST:
            assert outcome(case, backend, data.draw(st.integers(1, 3))) == expected, backend.name
