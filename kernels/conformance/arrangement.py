"""Cases for layout, movement and random bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kernels.conformance.case import Case, with_layouts
from kernels.conformance.inputs import any_values
from kernels.types import DTYPES


def cases() -> Iterator[Case]:
    """Layout, movement, random."""
    yield from _layout()
    yield from _concat()
    yield from _pad()
    yield from _iota()
    yield from _random_bits()


LAYOUTS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("reshape", (2, 3, 4), {"shape": (6, 4)}),
    ("reshape", (2, 0, 4), {"shape": (0,)}),
    ("reshape", (1, 1), {"shape": ()}),
    ("permute", (2, 3, 4), {"axes": (2, 0, 1)}),
    ("permute", (), {"axes": ()}),
    ("permute", (2, 0), {"axes": (1, 0)}),
    ("broadcast", (1, 3, 1), {"shape": (2, 3, 4)}),
    ("broadcast", (1, 3), {"shape": (0, 3)}),
    ("broadcast", (), {"shape": ()}),
    ("slice", (5, 6), {"start": (1, 0), "stop": (5, 6), "step": (2, 5)}),
    ("slice", (5, 6), {"start": (2, 6), "stop": (2, 6), "step": (1, 1)}),
    ("slice", (), {"start": (), "stop": (), "step": ()}),
]


def _layout() -> Iterator[Case]:
    for op, shape, attributes in LAYOUTS:
        for dtype in DTYPES:
            label = f"{dtype} {shape}, {', '.join(map(str, attributes.values()))}"
            yield from with_layouts(Case(op, label, (any_values(op, shape, dtype),), attributes))


def _concat() -> Iterator[Case]:
    for dtype in DTYPES:
        parts = tuple(any_values(f"concat{size}", (2, size, 3), dtype) for size in (4, 0, 1, 5))
        yield from with_layouts(Case("concat", f"{dtype}, four operands", parts, {"axis": 1}))
        yield Case("concat", f"{dtype}, one operand", parts[:1], {"axis": 2})
    large = tuple(any_values(f"concat{rows}", (rows, 130), "float32") for rows in (301, 77))
    yield Case("concat", "large", large, {"axis": 0})


def _pad() -> Iterator[Case]:
    for dtype in DTYPES:
        x, fill = any_values("pad", (3, 1, 4), dtype), any_values("fill", (), dtype)
        yield from with_layouts(Case("pad", dtype, (x, fill), {"low": (0, 2, 1), "high": (3, 0, 1)}))
        yield Case("pad", f"{dtype}, empty", (x[:, :0], fill), {"low": (0, 1, 0), "high": (0, 1, 0)})
        yield Case("pad", f"{dtype}, rank 0", (fill, fill), {"low": (), "high": ()})


def _iota() -> Iterator[Case]:
    for dtype in ("int64", "int32"):
        for shape, axis in (((7,), 0), ((3, 4, 5), 1), ((3, 0), 1), ((300, 301), 0)):
            yield Case("iota", f"{dtype} {shape} along {axis}", (), {"shape": shape, "axis": axis, "dtype": dtype})


def _random_bits() -> Iterator[Case]:
    for shape in ((), (1,), (5,), (3, 4), (0, 2), (101, 97)):
        for seed, step, micro_batch, site in (
            (0, 0, 0, 0),
            (-1, 2**32 - 1, 2**16 - 1, 2**32 - 2),
            (2**40 + 5, 7, 3, 11),
        ):
            yield _bits(seed, step, micro_batch, site, shape)
    for step, micro_batch in ((-1, 0), (2**32, 0), (0, -1), (0, 2**16)):
        yield _bits(1, step, micro_batch, 0, (3,), fault=0)


def _bits(seed: int, step: int, micro_batch: int, site: int, shape: tuple[int, ...], fault: int | None = None) -> Case:
    label = f"seed {seed}, step {step}, micro-batch {micro_batch}, site {site}, shape {shape}"
    inputs = tuple(np.array(value, np.int64) for value in (seed, step, micro_batch))
    return Case("random_bits", label, inputs, {"site": site, "shape": shape}, fault)
