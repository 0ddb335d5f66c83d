"""csrc/cuda: bit-tested on threads of the CPU, compiled where nvcc is, its instructions looked at; no GPU is needed."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels import backends, conformance, spec
from kernels.spec.rounding import product_scale, quantise
from tests.kernels.cuda_operands import CUDA, DIGITS, FLAGS, ROOT, Case, library, operands

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="a machine with nvcc on its PATH runs this")
needs_module = pytest.mark.skipif(
    find_spec("kernels._cuda") is None, reason="a build with nvcc (ISOBIT_CUDA) runs this"
)


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernel with a thread of the CPU for each of a block's."""
    return library(ROOT / "tests" / "kernels" / "cuda_on_cpu.cpp", tmp_path_factory.mktemp("cuda"))


@pytest.mark.parametrize("width", DIGITS)
@pytest.mark.parametrize(("B", "M", "N", "K"), [(1, 1, 1, 1), (2, 70, 67, 300), (1, 64, 128, 128), (3, 9, 65, 129)])
def test_the_kernel_has_the_bits_of_the_spec(on_cpu: ctypes.CDLL, width: str, B: int, M: int, N: int, K: int) -> None:
    a, b = operands(B, M, N, K)
    case = Case(width, a, b)
    on_cpu.multiply_on_cpu(ctypes.byref(case.product()), case.count)
    want = spec.run("matmul", [a, b], {"width": width})
    assert case.out.tobytes() == want.tobytes()


@pytest.mark.parametrize("width", DIGITS)
def test_parts_of_the_terms_add_to_the_whole_sum(on_cpu: ctypes.CDLL, width: str) -> None:
    numbers = np.random.default_rng(1)
    a, b = (numbers.standard_normal(shape, dtype=np.float32) for shape in ((1, 66, 500), (1, 500, 5)))
    case = Case(width, a, b)
    on_cpu.multiply_on_cpu(ctypes.byref(case.product(terms=128)), case.count)
    highest = ((a, case.high_a), (np.swapaxes(b, 1, 2), case.high_b))
    q = [quantise(x, product_scale(high, case.limit)[:, :, None])[0] for x, high in highest]
    assert (case.sums[0] == q[0] @ q[1].T).all()


@needs_nvcc
@pytest.mark.parametrize("architecture", ["80", "90a"])
def test_the_compiled_kernel_uses_integer_tensor_cores_and_two_roundings(architecture: str, tmp_path: Path) -> None:
    ptx = tmp_path / "matmul.ptx"
    command = ["nvcc", f"-arch=compute_{architecture}", "-O3", "-std=c++17", *FLAGS, "-ptx", str(CUDA / "matmul.cu")]
    subprocess.run([*command, "-o", str(ptx)], check=True)
    text = ptx.read_text()
    assert "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32" in text and "cp.async.cg.shared.global" in text
    assert (
        re.findall(r"\b\w+\.[\w.]*(?:ftz|approx|full)\b|\b(?:fma|mad)\.[\w.]*f(?:32|64)\b|cvt\.r[zmp]\.f\w+", text)
        == []
    )
    assert "cvt.rn.f32.s64" in text and "cvt.rn.f32.f64" in text


@needs_module
def test_the_module_loads_without_a_gpu_and_refuses_what_would_overflow() -> None:
    from kernels import _cuda

    assert _cuda.devices() >= 0
    sizes = {"batch": 1, "M": 1, "N": 1, "qmax": 16383, "tile": 0, "cluster": 1, "stream": 0}
    pointers = dict.fromkeys(("a", "b", "maxima_a", "maxima_b", "out", "sums"), 0)

    def multiply(**changed: Any) -> None:
        _cuda.multiply(**{**pointers, **sizes, "P": 2**18, "terms": 128, "digits": 2, "sums": 64, **changed})

    for changed, message in (
        ({"terms": 100}, "multiples of 128"),
        ({"terms": 2**18}, "overflow"),
        ({"digits": 4}, "4 digits"),
        ({"a": 8}, "multiple of 16"),
        ({"M": 0}, "positive sizes"),
        ({"sums": 0}, "no sums"),
    ):
        with pytest.raises(ValueError, match=message):
            multiply(**changed)
    with pytest.raises(RuntimeError, match="no such kernel"):
        multiply(tile=96)


@needs_module
def test_residues_modulo_more_than_256_are_refused() -> None:
    from kernels import _cuda

    sizes = {"planes": 8, "M": 1, "N": 1, "tile": 128, "cluster": 1, "stream": 0}
    with pytest.raises(ValueError, match="got modulus 257, want 2 to 256"):
        _cuda.multiply_residues(0, 0, 0, moduli=[257] * 8, P=128, **sizes)
    with pytest.raises(ValueError, match="overflow"):
        _cuda.multiply_residues(0, 0, 0, moduli=[255] * 8, P=2**18, **sizes)


def test_the_door_names_what_cuda_needs() -> None:
    if "cuda" not in backends.available():
        with pytest.raises(ValueError, match=r"backend cuda: .*; build with nvcc \(ISOBIT_CUDA=1\)"):
            backends.load("cuda")


@pytest.mark.skipif("cuda" not in backends.available(), reason="a machine with an NVIDIA GPU and a build with nvcc")
def test_products_on_the_gpu_equal_the_spec() -> None:
    cuda, defined = backends.load("cuda"), backends.load("spec")
    cases = [case for case in conformance.cases() if case.op == "matmul"]
    assert [case.name for case in cases if conformance.outcome(case, cuda) != conformance.outcome(case, defined)] == []
