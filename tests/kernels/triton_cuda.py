"""Run by test_triton.py with TRITON_INTERPRET=1: kernels/cuda.py whole, its CUDA kernels on the CPU."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import kernels
from kernels import backends, conformance, spec
from kernels.triton import matmul, tuning
from tests.kernels.cuda_stand_in import OnCpu, as_on_hopper


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> OnCpu:
    return OnCpu(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def cuda(on_cpu: OnCpu, monkeypatch: pytest.MonkeyPatch) -> Any:
    """kernels.cuda as a machine with Hopper's GPU has it, for one test."""
    for name in ("kernels._cuda", "kernels.cuda"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(kernels, "_cuda", None, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", None)
    on_cpu.started.clear()
    return as_on_hopper(on_cpu)


def operands() -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(11)
    a = numbers.standard_normal((2, 70, 300), dtype=np.float32)
    b = numbers.standard_normal((2, 300, 37), dtype=np.float32)
    a[0, 3, 7], b[1, 5, 9], a[0, 6] = np.nan, np.inf, 0
    return a, b


@pytest.mark.parametrize("width", ["narrow", "wide"])
def test_no_tiling_of_cuda_changes_a_bit(cuda: Any, on_cpu: OnCpu, width: str) -> None:
    a, b = operands()
    want = spec.run("matmul", [a, b], {"width": width}).tobytes()
    for tiling in dict.fromkeys((*cuda.ON_HOPPER[width], *cuda.ANY[width], cuda.Tiling(64, splits=2))):

        def multiply(*given: Any, tiling: Any = tiling) -> torch.Tensor:
            return cuda.product(*given, tiling)

        got = matmul.matmul(torch.from_numpy(a), torch.from_numpy(b), width, multiply=multiply)
        assert got.numpy().tobytes() == want, tiling
    assert {tile for _, tile, _ in on_cpu.started} >= {0, *(tiling.tile for tiling in cuda.ON_HOPPER[width])}


@pytest.mark.parametrize("op", ["matmul", "conv", "conv_grad_input", "conv_grad_weight"])
def test_conformance_cases_of_products_have_their_outcomes(cuda: Any, on_cpu: OnCpu, op: str) -> None:
    cases = [case for case in conformance.cases() if case.op == op]
    cases = [case for case in cases if "131072" not in case.name and "large" not in case.label][::7]
    backend, defined = replace(backends.load("triton"), name="cuda", run=cuda.run), backends.load("spec")
    wrong = [case.name for case in cases if conformance.outcome(case, backend) != conformance.outcome(case, defined)]
    assert cases and wrong == [] and on_cpu.started


def test_the_device_decides_which_kernel_is_measured(cuda: Any, on_cpu: OnCpu, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"got a GPU of compute capability \(7, 5\), want \(8, 0\) or later"):
        cuda.tilings_of("narrow", (7, 5))
    for capability in ((8, 0), (8, 9), (10, 0), (12, 0)):
        assert all(tiling.tile == 0 for tiling in cuda.tilings_of("wide", capability))
    measured: list[Any] = []

    def fastest(key: Any, ways: Any, work: Any) -> Any:
        measured.extend(ways)
        return measured[-1]

    monkeypatch.setattr(tuning, "fastest", fastest)
    monkeypatch.setattr(cuda, "SMALL", 0)
    a, b = (torch.from_numpy(x) for x in operands())
    got = matmul.matmul(a, b, "wide", multiply=cuda.multiply)
    assert got.numpy().tobytes() == spec.run("matmul", [a.numpy(), b.numpy()], {"width": "wide"}).tobytes()
    assert measured == [tiling for tiling in cuda.ON_HOPPER["wide"] if not tiling.residues]  # too small for residues
    assert on_cpu.started == [(3, 32, 1)]


def test_what_cuda_says_of_itself_covers_its_own_sources(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kernels.triton import record

    own = record.sources("cuda")
    assert own != record.sources("triton") and f"kernels {own}: unproven" in cuda.about()
    proven = record.Run("H100", "580.1", record.sources("triton"), "d")
    monkeypatch.setattr(record, "RUNS", (proven,))
    assert "unproven" in cuda.about() and "proven on H100" in record.about()
