"""The door: what it loads, how it refuses, and what every backend behind it must keep."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from kernels import backends, spec
from kernels.conformance import cases
from kernels.conformance.inputs import any_floats, bits, floats
from kernels.float_mode import ieee_mode, is_ieee
from kernels.hashing import LEAF_SIZE
from tests.kernels.float_environment import hostile_mode

AVAILABLE = backends.available()
BACKEND = pytest.mark.parametrize("name", AVAILABLE)


def test_the_definition_and_the_portable_backend_are_always_there() -> None:
    assert {"portable", "spec"} <= set(AVAILABLE) <= set(backends.NAMES)


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="backend: got 'fast', want one of native, portable, spec"):
        backends.load("fast")


def test_a_backend_that_cannot_be_loaded_says_what_is_missing_and_nothing_stands_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent() -> backends.Backend:
        raise ImportError("No module named 'kernels._native'")

    monkeypatch.setitem(backends.LOADERS, "native", absent)
    backends.load.cache_clear()
    try:
        assert "native" not in backends.available()
        with pytest.raises(ValueError, match=r"backend native: No module named 'kernels._native'; build it with"):
            backends.run("neg", [np.ones(1, np.float32)], {})
    finally:
        backends.load.cache_clear()


@BACKEND
def test_a_result_is_a_new_row_major_array(name: str) -> None:
    x = floats("x", (4, 5))
    for op in ("add", "maximum", "mul"):
        result = backends.run(op, [x.T, x.T], {}, backend=name)
        assert result.flags.c_contiguous and not np.shares_memory(result, x)


@BACKEND
@pytest.mark.parametrize(("shape", "axis"), [((40, 7), 0), ((3, 40, 5), 1), ((6, 40), 1), ((40, 1), 0)])
def test_sums_by_index_onto_one_repeated_number(name: str, shape: tuple[int, ...], axis: int) -> None:
    repeated = np.broadcast_to(np.float32(-0.75), shape)
    index = np.arange(13).repeat(3).reshape(39) * 3 % 40
    at = np.moveaxis(np.broadcast_to(index, (*np.delete(shape, axis), 39)), -1, axis).copy()
    calls = [("scatter_add", [repeated, at, floats("s", at.shape)], {"axis": axis})]
    if axis == 0:
        calls.append(("add_rows", [repeated, index, floats("r", (39, *shape[1:]))], {}))
    for op, inputs, attributes in calls:
        want = backends.run(op, [repeated.copy(), *inputs[1:]], attributes, backend="spec")
        assert backends.run(op, inputs, attributes, backend=name).tobytes() == want.tobytes()


@BACKEND
def test_inputs_stay_as_they_were(name: str) -> None:
    for case in cases():
        if case.fault is None and case.label in ("specials", "repeated", "axis 0", "strided, ordinary", "float32"):
            before = [x.tobytes() for x in case.inputs]
            backends.run(case.op, case.inputs, case.attributes, backend=name)
            assert [x.tobytes() for x in case.inputs] == before, case.name


@BACKEND
def test_a_read_only_or_misaligned_input_is_accepted(name: str) -> None:
    x = floats("x", (9,))
    frozen = x.copy()
    frozen.flags.writeable = False
    shifted = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32)
    results = {backends.run("neg", [y], {}, backend=name).tobytes() for y in (x, frozen, shifted)}
    assert len(results) == 1


LARGE: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("add", [any_floats("x", (257, 1031)), any_floats("y", (257, 1031))], {}),
    ("exp", [floats("x", (257, 1031), 6, 20)], {}),
    ("tanh", [floats("x", (257, 1031), 3, 20)], {}),
    ("maximum", [any_floats("x", (257, 1031)), any_floats("y", (257, 1031))], {}),
    ("cast", [any_floats("x", (257, 1031))], {"dtype": "int64"}),
    ("sum", [floats("x", (257, 1031), 9, 40)], {"axes": (0,)}),
    ("sum", [floats("x", (257, 1031), 9, 40)], {"axes": (1,)}),
    ("cumsum", [floats("x", (257, 1031), 9, 40)], {"axis": 0}),
    ("matmul", [floats("a", (257, 300)), floats("b", (300, 259))], {"width": "narrow"}),
    ("matmul", [floats("a", (257, 300)), floats("b", (300, 259))], {"width": "wide"}),
    ("random_bits", [np.array(v, np.int64) for v in (1, 2, 3)], {"site": 4, "shape": (257, 1031)}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), LARGE, ids=[f"{row[0]} {row[2]}" for row in LARGE])
def test_large_arrays_have_the_same_bits_on_any_backend_and_thread_count(
    op: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    fast = [name for name in AVAILABLE if name != "spec"]
    results = {
        hashlib.sha256(backends.run(op, inputs, attributes, backend=name, threads=threads).tobytes()).digest()
        for name in fast
        for threads in (1, 2, 5)
    }
    assert len(results) == 1


@BACKEND
def test_group_maxima_are_the_laws_scales(name: str) -> None:
    backend, quantising = backends.load(name), 0
    for case in cases():
        if case.fault is None and spec.OPERATORS[case.op].scale_groups:
            got = backend.group_maxima(case.op, case.inputs, case.attributes)
            wanted = spec.scales(case.op, case.inputs, case.attributes)
            assert [(m.dtype, m.shape, m.tobytes()) for m in got] == [(m.dtype, m.shape, m.tobytes()) for m in wanted]
            quantising += 1
    assert quantising > 100


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1: the left subtree holds the largest power of two of leaves below their number."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_by_definition(leaves[:left]) + root_by_definition(leaves[left:])).digest()


@BACKEND
@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 2048, 3000, 7 * 1024, 20 * 1024 + 5])
def test_a_tree_root_is_that_of_rfc_6962(name: str, size: int) -> None:
    backend, data = backends.load(name), bits("tree", (size,)).astype(np.uint8).tobytes()
    leaves = [data[start : start + LEAF_SIZE] for start in range(0, size, LEAF_SIZE)]
    assert backend.tree_root(data, threads=2) == root_by_definition(leaves)
    assert backend.leaf_hashes(data) == b"".join(hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves)
    subtrees = [root_by_definition(leaves[start : start + 4]) for start in range(0, len(leaves), 4)]
    assert backend.subtree_roots(data, 4) == subtrees


@BACKEND
def test_an_array_is_hashed_in_row_major_order(name: str) -> None:
    backend, x = backends.load(name), floats("x", (40, 30))
    assert backend.tree_root(x.T) == backend.tree_root(x.T.tobytes())
    assert backend.tree_root(np.broadcast_to(x[:1], (9, 30))) == backend.tree_root(x[:1].tobytes() * 9)
    assert backend.tree_root(np.array(3, np.int64)) == backend.tree_root((3).to_bytes(8, "little"))


def test_ieee_mode_is_set_and_the_callers_given_back() -> None:
    assert is_ieee()
    with hostile_mode():
        assert not is_ieee()
        with ieee_mode():
            assert is_ieee()
        assert not is_ieee()
    assert is_ieee()


def test_ieee_mode_refuses_where_it_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels.float_mode.is_ieee", lambda: False)
    with pytest.raises(RuntimeError, match="subnormals or rounding to nearest are lost"), ieee_mode():
        raise AssertionError("must not be reached")
