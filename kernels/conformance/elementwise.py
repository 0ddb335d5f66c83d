"""Cases for operators on one element at a time: for every dtype that the shape rule accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kernels.conformance.case import Case, with_layouts
from kernels.conformance.inputs import any_values, bits, specials
from kernels.spec import OPERATORS, infer
from kernels.spec.operator import Array, Operator
from kernels.types import DTYPES, TensorType

ODD = (3, 5, 7)
EMPTY = (4, 0, 3)


def cases() -> Iterator[Case]:
    """Every elementwise operator."""
    for operator in OPERATORS.values():
        if operator.family == "elementwise":
            for dtype in DTYPES:
                yield from _of_dtype(operator, dtype)
    yield from _faults()


def _of_dtype(operator: Operator, dtype: str) -> Iterator[Case]:
    dtypes = ["bool", dtype, dtype] if operator.name == "select" else [dtype] * len(operator.operands)
    targets: list[dict[str, Any]] = [{"dtype": target} for target in DTYPES] if operator.name == "cast" else [{}]
    for attributes in targets:
        if _accepts(operator, dtypes, attributes):
            suffix = " to " + attributes["dtype"] if attributes else ""
            yield from _cases(operator, dtypes, attributes, f"{dtype}{suffix}")


def _accepts(operator: Operator, dtypes: list[str], attributes: dict[str, Any]) -> bool:
    try:
        infer(operator.name, [TensorType(dtype, ()) for dtype in dtypes], attributes)
    except ValueError:
        return False
    return True


def _cases(operator: Operator, dtypes: list[str], attributes: dict[str, Any], label: str) -> Iterator[Case]:
    op = operator.name
    yield Case(op, f"{label}, specials", _sifted(op, _pairs(dtypes)), attributes)
    for shape in (ODD, EMPTY, ()):
        arrays = [any_values(f"{op}{position}", shape, dtype) for position, dtype in enumerate(dtypes)]
        case = Case(op, f"{label}, shape {shape}", _sifted(op, arrays), attributes)
        yield from with_layouts(case) if shape == ODD else [case]
    row = [np.broadcast_to(any_values(f"{op}{position}", (1, 5), d), (6, 5)) for position, d in enumerate(dtypes)]
    yield Case(op, f"{label}, broadcast", _sifted(op, row), attributes)


def _pairs(dtypes: list[str]) -> list[Array]:
    """Every combination of special values."""
    grids = np.meshgrid(*(specials(dtype) for dtype in dtypes), indexing="ij")
    return [np.ascontiguousarray(grid).reshape(-1) for grid in grids]


def _sifted(op: str, arrays: list[Array]) -> tuple[Array, ...]:
    """Without zero divisors, and with half of the shift amounts in range."""
    if op in ("floor_divide", "remainder"):
        arrays[1] = np.where(arrays[1] == 0, arrays[1].dtype.type(5), arrays[1])
    if op.startswith("shift"):
        small = (bits(op, arrays[1].shape) % 70).astype(arrays[1].dtype)
        arrays[1] = np.where(bits(op + "?", arrays[1].shape) % 2 == 0, small, arrays[1])
    return tuple(arrays)


def _faults() -> Iterator[Case]:
    for op in ("floor_divide", "remainder"):
        for dtype in ("int64", "int32", "uint32"):
            x, y = any_values("x", (300, 401), dtype), any_values("y", (300, 401), dtype) | 1
            y[299, 400] = y[211, 7] = y[100, 3] = 0
            yield Case(op, f"{dtype}, zero divisors", (x, y), fault=100 * 401 + 3)
            yield Case(op, f"{dtype}, zero divisors, columns first", (x, np.asfortranarray(y)), fault=100 * 401 + 3)
