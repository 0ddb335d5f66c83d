"""The C ABI, driven through cffi: the bits of the law, and a refusal instead of a crash for every wrong call."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from kernels import native, spec
from kernels.conformance import GOLDEN, cases, digest, outcomes
from kernels.spec.operator import Array
from kernels.types import DTYPES, NUMPY_DTYPE, type_of
from tests.kernels.c_abi import ROOT, Library, backend, forward, library_path, operator_names

LAYOUT = {name for name in spec.OPERATORS if spec.is_layout(name)}
X = np.zeros((2, 3), np.float32)
ROW = np.zeros(3, np.float32)
ROWS = np.zeros((1, 3), np.int64)
IDS = np.zeros(2, np.int64)
LONG = np.zeros((1, 65537), np.float32)
NOTHING = np.zeros((2, 0), np.float32)
ONE = np.zeros((), np.float32)
IMAGE = np.zeros((1, 2, 4, 4), np.float32)


@pytest.fixture(scope="module")
def library() -> Library:
    if not library_path().exists():
        pytest.skip("wants a machine with a C++ compiler: setup.py build_ext --inplace makes kernels/libisobit.so")
    return Library(library_path())


def test_the_header_declares_every_operator_of_the_law() -> None:
    assert set(operator_names()) == set(spec.OPERATORS) - LAYOUT | {"copy", "group_maxima"}


def test_every_declared_operator_is_found_by_its_name(library: Library) -> None:
    for name in operator_names():
        assert library.c.isobit_find(name.encode()) == library.ffi.addressof(library.c, f"isobit_{name}"), name
    assert library.c.isobit_find(b"no_such_operator") == library.ffi.NULL
    assert library.c.isobit_find(library.ffi.NULL) == library.ffi.NULL


@pytest.mark.parametrize("threads", [1, 3])
def test_the_library_gives_the_recorded_digest(library: Library, threads: int) -> None:
    assert digest(outcomes(backend(library), threads)) == GOLDEN


POINT = [2, 1, 1, 2, 1, 1, 2, 0, 0, 2, 1, 1]  # kernel, stride, padding, dilation
WRONG: list[tuple[str, list[Array], list[int], Array, str]] = [
    ("add", [X], [], X, "add: got 1 operands, want 2"),
    ("add", [X, ROW], [], X, "add: got float32[2, 3] and float32[3], want equal types"),
    ("add", [X, X.astype(np.int32)], [], X, "add: got float32[2, 3] and int32[2, 3], want equal types"),
    ("add", [X, X], [1], X, "add: got 1 attribute values, want 0"),
    ("add", [X, X], [], ROW, "add: got output float32[3], want float32[2, 3]"),
    ("lt", [X, X], [], X, "lt: got output float32[2, 3], want bool[2, 3]"),
    ("bit_and", [X, X], [], X, "bit_and: got float32[2, 3], want another dtype"),
    ("exp", [IDS], [], IDS, "exp: got int64[2], want another dtype"),
    ("select", [X, X, X], [], X, "select: got condition float32[2, 3], want dtype bool"),
    ("cast", [X], [5], X, "cast: got dtype 5, want 0 to 4"),
    ("cast", [X], [], X, "cast: got no attribute dtype, want one"),
    ("sum", [X], [1, 2], ROW, "sum: got axis 2 of float32[2, 3], want ascending axes within its rank"),
    ("sum", [X], [2, 1, 0], ROW, "sum: got axis 0 of float32[2, 3], want ascending axes within its rank"),
    ("sum", [X], [9], ROW, "sum: got axes 9, want 0 to 8"),
    ("sum", [X], [1], ROW, "sum: got no attribute axes, want one"),
    ("sum", [LONG], [1, 1], X[:1, 0], "sum: got groups of 65537 elements, want at most 65536"),
    ("amax", [NOTHING], [1, 1], X[:, 0].copy(), "amax: got float32[2, 0], want groups of 1 element or more"),
    ("argmax", [X], [2], IDS, "argmax: got axis 2, want 0 to 1"),
    ("argmax", [X], [-1], IDS, "argmax: got axis -1, want 0 to 1"),
    ("concat", [], [0], X, "concat: got no operands, want 1 or more"),
    ("concat", [X, ROW], [0], X, "concat: got operand 1 float32[3], want float32[2, 3] but along axis 0"),
    ("pad", [X, X], [2, 0, 0, 2, 0, 0], X, "pad: got fill float32[2, 3], want rank 0"),
    ("pad", [X, ONE], [2, -1, 0, 2, 1, 0], X, "pad: got low -1 and high 1 in axis 0, want 0 or more"),
    ("iota", [], [1, 2, 1, 1], IDS, "iota: got axis 1, want 0 to 0"),
    ("iota", [], [1, 2, 0, 0], IDS, "iota: got dtype 0, want 1 to 2"),
    ("take_rows", [X, X], [], X, "take_rows: got ids float32[2, 3], want dtype int64"),
    ("gather", [X, IDS], [0], IDS, "gather: got float32[2, 3] and int64[2], want equal shapes but along axis 0"),
    ("scatter_add", [X, ROWS, X], [0], X, "scatter_add: got source float32[2, 3], want the shape of int64[1, 3]"),
    ("argsort", [X], [0, 2], X.astype(np.int64), "argsort: got descending 2, want 0 to 1"),
    ("random_bits", [IDS, IDS, IDS], [0, 1, 3], X, "random_bits: got seed int64[2], want rank 0"),
    ("max_pool_index", [X], POINT, X, "max_pool_index: got x float32[2, 3], want rank 4"),
    ("copy", [X], [], ROW, "copy: got output float32[3], want float32[2, 3]"),
]


@pytest.mark.parametrize(("name", "inputs", "flat", "out", "message"), WRONG, ids=[case[-1] for case in WRONG])
def test_refuses_a_wrong_call(
    library: Library, name: str, inputs: list[Array], flat: list[int], out: Array, message: str
) -> None:
    tensors = [library.tensor(x) for x in inputs]
    out = out.copy()
    before = out.tobytes()
    assert library.call(name, tensors, flat, library.tensor(out)) == ("invalid", 0, message)
    assert out.tobytes() == before


@pytest.mark.parametrize("name", operator_names())
def test_refuses_a_call_without_operands_attributes_or_a_fitting_output(library: Library, name: str) -> None:
    refused, null = "invalid", library.ffi.NULL
    status, _, message = library.call(name, [library.tensor(IMAGE)] * 9, [99] * 64, library.tensor(IMAGE))
    assert (status, message.split(":")[0]) == (refused, name) and ", want " in message
    assert library.call(name, [], [], null) == (refused, 0, f"{name}: got no output, want one")
    message = f"{name}: got 0 threads, want 1 to 1024"
    assert library.call(name, [], [], library.tensor(X), threads=0) == (refused, 0, message)
    assert getattr(library.c, f"isobit_{name}")(null, null) == 1


def changed(tensor: Any, **fields: Any) -> Any:
    for field, value in fields.items():
        if isinstance(value, dict):
            for position, entry in value.items():
                getattr(tensor, field)[position] = entry
        else:
            setattr(tensor, field, value)
    return tensor


TENSORS: list[tuple[dict[str, Any], str]] = [
    ({"dtype": 5}, "of dtype 5, want 0 to 4"),
    ({"dtype": -1}, "of dtype -1, want 0 to 4"),
    ({"rank": 9}, "of rank 9, want 0 to 8"),
    ({"rank": -1}, "of rank -1, want 0 to 8"),
    ({"shape": {0: -1}}, "float32[-1, 3], want sizes of 0 to 2^40"),
    ({"shape": {0: 2**41}}, "float32[2199023255552, 3], want sizes of 0 to 2^40"),
    ({"shape": {0: 2**40}}, "float32[1099511627776, 3], want at most 2^40 elements"),
    ({"stride": {1: -1}}, "with stride -1, want 0 or more"),
    ({"stride": {0: 2**62}}, "with stride 4611686018427387904, want less"),
]


@pytest.mark.parametrize(("fields", "message"), TENSORS, ids=[message for _, message in TENSORS])
def test_refuses_a_malformed_tensor(library: Library, fields: dict[str, Any], message: str) -> None:
    good, bad = library.tensor(X), changed(library.tensor(X), **fields)
    assert library.call("add", [good, bad], [], good) == ("invalid", 0, f"add: got operand {message}")
    assert library.call("add", [good, good], [], bad) == ("invalid", 0, f"add: got output {message}")


def test_refuses_missing_memory_and_a_strided_output(library: Library) -> None:
    good = library.tensor(X)
    missing = changed(library.tensor(X), data=library.ffi.NULL)
    message = "add: got operand without data, want a pointer"
    assert library.call("add", [good, missing], [], good) == ("invalid", 0, message)
    odd = changed(library.tensor(X), data=good.data + 2)
    message = "add: got operand at an odd address, want a multiple of 4"
    assert library.call("add", [good, odd], [], good) == ("invalid", 0, message)
    strided = changed(library.tensor(X), stride={0: 4})
    message = "add: got output float32[2, 3] with stride 4 in axis 0, want it contiguous"
    assert library.call("add", [good, good], [], strided) == ("invalid", 0, message)


def test_refuses_an_output_in_the_memory_of_an_operand(library: Library) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    before = x.tobytes()
    square, later = library.tensor(x[:, :3]), library.tensor(x.reshape(-1)[3:].reshape(3, 3))
    message = "got output float32[3, 3] in the memory of operand 1, want them apart"
    apart = library.tensor(np.ones((3, 3), np.float32))
    assert library.call("matmul", [apart, square], [0], later) == ("invalid", 0, f"matmul: {message}")
    assert library.call("add", [apart, square], [], later) == ("invalid", 0, f"add: {message} or the same")
    assert x.tobytes() == before
    whole = library.tensor(x)
    assert library.call("neg", [whole], [], whole)[0] == "ok" and (x[0] == [0, -1, -2, -3]).all()


def test_a_fault_names_the_lowest_element_whatever_thread_met_it(library: Library) -> None:
    x = np.ones(200_000, np.int64)
    y = x.copy()
    y[[70_001, 150_000]] = 0
    out = library.tensor(x.copy())
    call = library.call("floor_divide", [library.tensor(x), library.tensor(y)], [], out, threads=3)
    assert call == ("fault", 70_001, "division by zero")


Call = tuple[str, list[Array], list[int], Array]


def exactly(rng: np.random.Generator, like: Array, shape: tuple[int, ...]) -> Array:
    """An array of random strides whose memory ends with the last element that they reach, filled from `like`."""
    strides = [int(stride) for stride in rng.integers(0, 7, len(shape))]
    reach = 0 if 0 in shape else 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    base = np.resize(np.ravel(like), reach) if like.size else np.zeros(reach, like.dtype)
    return np.lib.stride_tricks.as_strided(base, shape, [stride * like.itemsize for stride in strides], writeable=False)


def near(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without an axis, with one more, or with another size."""
    at, change = int(rng.integers(len(shape) + 1)), int(rng.integers(3))
    more = (int(rng.integers(0, 5)),) if change else ()
    return shape[:at] + more + shape[at + (change != 1) :]


def fitting_calls() -> list[Call]:
    """The small conformance cases, as the C ABI takes them."""
    calls: list[Call] = []
    for case in cases():
        types = [type_of(x) for x in case.inputs]
        result = spec.infer(case.op, types, case.attributes)
        if case.op in LAYOUT or max([t.size for t in types] + [result.size]) > 400:
            continue
        out = np.zeros(result.shape, NUMPY_DTYPE[result.dtype])
        calls.append((case.op, [forward(x) for x in case.inputs], native.flatten(case.op, case.attributes), out))
    return calls


def altered(rng: np.random.Generator, call: Call) -> Call:
    """The call with one operand, attribute or output that may not fit."""
    name, inputs, flat, out = call
    what = int(rng.integers(5))
    inputs, flat = list(inputs), list(flat)
    if what == 0 and inputs:
        at = int(rng.integers(len(inputs)))
        inputs[at] = exactly(rng, inputs[at], near(rng, inputs[at].shape) if rng.random() < 0.5 else inputs[at].shape)
    elif what == 1 and inputs:
        at = int(rng.integers(len(inputs)))
        inputs[at] = forward(inputs[at]).astype(NUMPY_DTYPE[DTYPES[rng.integers(5)]])
    elif what == 2 and flat:
        flat[int(rng.integers(len(flat)))] = int(rng.choice([-(2**63), -1, 0, 1, 2, 3, 2**40, 2**63 - 1]))
    elif what == 3:
        out = np.zeros(near(rng, out.shape), out.dtype)
    elif inputs and inputs[-1].dtype == np.int64:
        inputs[-1] = np.asarray(inputs[-1] + rng.integers(-1, 3, inputs[-1].shape))
    return name, inputs, flat, out


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_no_altered_call_crashes(library: Library) -> None:
    rng, calls = np.random.default_rng(7), fitting_calls()
    seen = {"ok": 0, "invalid": 0, "fault": 0}
    for turn in range(12_000):
        call = calls[rng.integers(len(calls))]
        for _ in range(1 + turn % 2):
            call = altered(rng, call)
        name, inputs, flat, out = call
        tensors = [library.tensor(x) for x in inputs]
        status, element, message = library.call(name, tensors, flat, library.tensor(out), threads=1 + turn % 3)
        seen[status] += 1
        assert element >= 0 and (status == "ok") == (message == ""), (name, message)
        assert status != "invalid" or message.startswith(f"{name}: got "), message
    assert min(seen.values()) > 50, seen


@pytest.mark.parametrize("value", ["avx1024", "AVX2"])
def test_an_unknown_instruction_set_is_a_clear_error(library: Library, value: str) -> None:
    program = (
        "from kernels.backends import load; import numpy; x = numpy.zeros(2, 'f')\n"
        "try: load('native').run('add', [x, x], {})\n"
        "except ValueError as error: print(error)"
    )
    environment = {**os.environ, "ISOBIT_ISA": value}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert f"got ISOBIT_ISA={value}, want unset or " in done.stdout, done.stdout + done.stderr
