"""csrc/cuda: bit-tested on threads of the CPU, compiled where nvcc is, its instructions looked at; no GPU is needed."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from kernels import backends, conformance, spec
from kernels.spec.matmul import qmax
from kernels.spec.rounding import maxima, product_scale, quantise

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "csrc" / "cuda" / "matmul.cu"
DIGITS = {"narrow": 2, "wide": 3}
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="a machine with nvcc on its PATH runs this")
needs_module = pytest.mark.skipif(
    find_spec("kernels._cuda") is None, reason="a build with nvcc (ISOBIT_CUDA) runs this"
)


class Product(ctypes.Structure):
    """csrc/cuda/matmul.h"""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("a", "b", "maxima_a", "maxima_b", "out", "sums")),
        *((name, ctypes.c_int64) for name in ("batch", "M", "N", "P", "terms")),
        *((name, ctypes.c_int32) for name in ("qmax", "bits")),
    ]


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernel with a thread of the CPU for each of a block's."""
    library = tmp_path_factory.mktemp("cuda") / "on_cpu.so"
    flags = ["-std=c++20", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-pthread", "-Wno-unknown-pragmas"]
    source = ROOT / "tests" / "kernels" / "cuda_on_cpu.cpp"
    subprocess.run(["g++", *flags, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def digits_of(x: np.ndarray, limit: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows [B, R, K] as balanced digits [B, count, R, P], P padded to 128, and their maxima [B, R]."""
    highest = maxima(x, (2,))
    q = quantise(x, product_scale(highest, limit)[:, :, None])
    digits = np.zeros((x.shape[0], count, x.shape[1], -(-x.shape[2] // 128) * 128), np.int8)
    for digit in range(count):
        low = ((q + 128) & 255) - 128
        digits[:, digit, :, : x.shape[2]] = low
        q = (q - low) >> 8
    return digits, highest


def operands(B: int, M: int, N: int, K: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that are zero, subnormal, infinite or NaN among them, and largest digits of one sign."""
    numbers = np.random.default_rng(7)
    a = numbers.standard_normal((B, M, K), dtype=np.float32)
    b = numbers.standard_normal((B, K, N), dtype=np.float32)
    a[0, 0], b[0, :, 0] = 1, -1
    if M > 8:
        a[0, 3, 7], b[0, 5, 9], a[0, 6], b[0, :, 1] = np.nan, -np.inf, 0, 0
        a[0, 7] *= np.float32(2**-140)
        b[0, :, 2] *= np.float32(2**120)
    return a, b


@pytest.mark.parametrize("width", DIGITS)
@pytest.mark.parametrize(("B", "M", "N", "K"), [(1, 1, 1, 1), (2, 70, 67, 300), (1, 64, 128, 128), (3, 9, 65, 129)])
def test_the_kernel_has_the_bits_of_the_spec(on_cpu: ctypes.CDLL, width: str, B: int, M: int, N: int, K: int) -> None:
    a, b = operands(B, M, N, K)
    limit, count = qmax(width, K), DIGITS[width]
    (left, high_a), (right, high_b) = (digits_of(x, limit, count) for x in (a, np.swapaxes(b, 1, 2)))
    out, P = np.full((B, M, N), 7, np.float32), left.shape[3]
    product = Product(*(x.ctypes.data for x in (left, right, high_a, high_b, out)), None, B, M, N, P, P)
    product.qmax, product.bits = limit, limit.bit_length()
    on_cpu.multiply_on_cpu(ctypes.byref(product), count)
    want = spec.run("matmul", [a, b], {"width": width})
    assert out.tobytes() == want.tobytes()


@pytest.mark.parametrize("width", DIGITS)
def test_parts_of_the_terms_add_to_the_whole_sum(on_cpu: ctypes.CDLL, width: str) -> None:
    a, b = (np.random.default_rng(seed).standard_normal((1, n, 500), dtype=np.float32) for seed, n in ((1, 66), (2, 5)))
    limit, count = qmax(width, 500), DIGITS[width]
    (left, high_a), (right, high_b) = (digits_of(x, limit, count) for x in (a, b))
    sums = np.zeros((1, 66, 5), np.int64)
    pointers = [x.ctypes.data for x in (left, right, high_a, high_b)]
    product = Product(*pointers, None, sums.ctypes.data, 1, 66, 5, 512, 128, limit, limit.bit_length())
    on_cpu.multiply_on_cpu(ctypes.byref(product), count)
    q = [quantise(x, product_scale(high, limit)[:, :, None])[0] for x, high in ((a, high_a), (b, high_b))]
    assert (sums[0] == q[0] @ q[1].T).all()


@needs_nvcc
@pytest.mark.parametrize("architecture", ["80", "90a"])
def test_the_compiled_kernel_uses_integer_tensor_cores_and_two_roundings(architecture: str, tmp_path: Path) -> None:
    ptx = tmp_path / "matmul.ptx"
    flags = ["-O3", "-std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"]
    subprocess.run(["nvcc", f"-arch=compute_{architecture}", *flags, "-ptx", str(SOURCE), "-o", str(ptx)], check=True)
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
    sizes = {"batch": 1, "M": 1, "N": 1, "qmax": 16383, "stream": 0}
    pointers = dict.fromkeys(("a", "b", "maxima_a", "maxima_b", "out", "sums"), 0)
    for terms, digits, message in ((100, 2, "multiples of 128"), (2**18, 2, "overflow"), (128, 4, "4 digits")):
        with pytest.raises(ValueError, match=message):
            _cuda.multiply(**pointers, **sizes, P=2**18, terms=terms, digits=digits)


def test_the_door_names_what_cuda_needs() -> None:
    if "cuda" not in backends.available():
        with pytest.raises(ValueError, match=r"backend cuda: .*; build with nvcc \(ISOBIT_CUDA=1\)"):
            backends.load("cuda")


@pytest.mark.skipif("cuda" not in backends.available(), reason="a machine with an NVIDIA GPU and a build with nvcc")
def test_products_on_the_gpu_equal_the_spec() -> None:
    cuda, defined = backends.load("cuda"), backends.load("spec")
    cases = [case for case in conformance.cases() if case.op == "matmul"]
    assert [case.name for case in cases if conformance.outcome(case, cuda) != conformance.outcome(case, defined)] == []
