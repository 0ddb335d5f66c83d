"""Calls of the native library from Python: what is planned once, and what is asked anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import spec
from kernels.types import type_of

native = pytest.importorskip("kernels.native", reason="a machine with the native library built runs this")

MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)


def same(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    want = spec.run(op, inputs, attributes)
    prepared = native.prepare(op, [type_of(x) for x in inputs], attributes)
    for got in (native.run(op, inputs, attributes), native.run(op, inputs, attributes, threads=2), prepared(inputs, 1)):
        assert got.dtype == want.dtype and got.shape == want.shape and got.tobytes() == want.tobytes()


def test_calls_that_differ_in_a_type_or_an_attribute_have_plans_of_their_own() -> None:
    for _ in range(2):  # planned, then found
        for axes in ((0,), (1,), (0, 1), [1]):
            same("sum", [MATRIX], {"axes": axes})
            same("sum", [MATRIX.T], {"axes": axes})
        for width in ("narrow", "wide"):
            same("matmul", [MATRIX, MATRIX.T], {"width": width})
        for dtype in ("int64", "int32", "uint32"):
            same("cast", [MATRIX], {"dtype": dtype})
        same("add", [MATRIX, MATRIX], {})
        same("add", [MATRIX.astype(np.int64)] * 2, {})


def test_any_number_of_operands_and_any_rank_are_taken() -> None:
    for count in (1, 8, 9, 40):
        same("concat", [MATRIX[i % 3 :] for i in range(count)], {"axis": 0})
    deep = MATRIX.reshape(1, 3, 1, 2, 1, 2, 1, 1)
    for count in (1, 40):
        same("concat", [deep] * count, {"axis": 7})


def test_a_call_is_made_by_position_or_name() -> None:
    out = np.empty((3, 4), np.float32)
    add = native.prepare("add", [type_of(MATRIX)] * 2, {})
    assert add(inputs=[MATRIX, MATRIX], out=out, threads=2) is out and (out == 2 * MATRIX).all()
    assert native.run("neg", (MATRIX,), {}, out=out) is out and (out == -MATRIX).all()


def test_a_call_of_another_form_is_refused() -> None:
    add = native.prepare("add", [type_of(MATRIX)] * 2, {})
    for arguments, named in (((), {}), (([MATRIX] * 2, 1, None, 1), {}), (([MATRIX] * 2,), {"inputs": []})):
        with pytest.raises(TypeError, match="native: got"):
            add(*arguments, **named)
    with pytest.raises(TypeError, match="unknown or given twice"):
        add([MATRIX] * 2, theads=1)
    with pytest.raises(ValueError, match="add: got inputs that are neither a list nor a tuple"):
        add(MATRIX, 1)
    with pytest.raises(ValueError, match="add: got 1 operands, want 2"):
        add([MATRIX], 1)
    with pytest.raises(ValueError, match="add: got an array of float16, want float32"):
        add([MATRIX.astype(np.float16)] * 2, 1)
    with pytest.raises(ValueError, match="add: got an array of object"):
        add([MATRIX, object()], 1)
    with pytest.raises(ValueError, match="got operator fma, want one of the law"):
        native._native.plan("fma", [], 0, (3, 4))
    with pytest.raises(ValueError, match="got dtype 9, want 0 to 4"):
        native._native.plan("add", [], 9, (3, 4))
