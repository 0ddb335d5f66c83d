"""A processor of another kind computes the same bits: the library compiled for it, under an emulator."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.conformance import GOLDEN, digest, outcomes
from kernels.types import TensorType
from tests.kernels.c_abi import backend, library_path
from tests.kernels.mpfr import NAMES
from tests.kernels.replay import Machine, Recorder, find
from tests.kernels.test_functions import VECTORS


@pytest.fixture(scope="module", params=["aarch64"])
def machine(request: pytest.FixtureRequest) -> Machine:
    found = find(request.param)
    if found is None or not library_path().exists():
        pytest.skip(f"a machine with g++-{request.param}-linux-gnu and qemu-user would run the library compiled for it")
    return found


@pytest.fixture(scope="module")
def command(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return machine.command(tmp_path_factory.mktemp(machine.name))


@pytest.mark.parametrize("threads", [1, 3])
def test_every_conformance_case(command: list[str], threads: int) -> None:
    recorder = Recorder(library_path())
    assert digest(outcomes(backend(recorder), threads)) == GOLDEN
    assert not list(recorder.differences(command)) and len(recorder.calls) > 2000


def test_the_functions_nearest_to_a_tie(command: list[str]) -> None:
    recorder = Recorder(library_path())
    for name in NAMES:
        x = np.loadtxt(VECTORS / f"{name}.txt", dtype=str, ndmin=2)[:, 0]
        bits = np.array([int(word, 16) for word in x], np.uint32)
        recorder.run(name, [bits.view(np.float32)], [], TensorType("float32", bits.shape))
    assert not list(recorder.differences(command))


@pytest.mark.parametrize("width", [0, 1])
def test_larger_products_and_sums(command: list[str], width: int) -> None:
    recorder, rng = Recorder(library_path()), np.random.default_rng(width)
    for m, k, n in ((65, 700, 33), (1, 5000, 40), (40, 9, 200), (3, 50_000, 2)):
        a, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
        a *= np.float32(2.0) ** rng.integers(-30, 30, (m, 1)).astype(np.float32)
        recorder.run("matmul", [a, b], [width], TensorType("float32", (m, n)), threads=2)
        recorder.run("sum", [a], [1, 1], TensorType("float32", (m,)), threads=2)
    assert not list(recorder.differences(command))


def test_a_bit_that_differs_is_seen(command: list[str]) -> None:
    recorder, x = Recorder(library_path()), np.ones(3, np.float32)
    for _ in range(3):
        recorder.run("add", [x, x], [], TensorType("float32", (3,)))
    name, type_, value = recorder.answers[1]
    assert isinstance(value, bytes)
    recorder.answers[1] = name, type_, bytes([value[0] ^ 1]) + value[1:]
    assert list(recorder.differences(command)) == ["call 1, add to float32[3]"]
