"""What the tests of csrc/cuda give its kernels on the CPU: digits of rows, their maxima, and the struct of both."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np

from kernels.spec.matmul import qmax
from kernels.spec.rounding import maxima, product_scale, quantise

ROOT = Path(__file__).parents[2]
CUDA = ROOT / "csrc" / "cuda"
DIGITS = {"narrow": 2, "wide": 3}
FLAGS = ("--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")  # setup.py's


class Product(ctypes.Structure):
    """csrc/cuda/matmul.h"""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("a", "b", "maxima_a", "maxima_b", "out", "sums")),
        *((name, ctypes.c_int64) for name in ("batch", "M", "N", "P", "terms")),
        *((name, ctypes.c_int32) for name in ("qmax", "bits")),
        ("residues", ctypes.c_void_p),
        ("moduli", ctypes.c_int32 * 8),
    ]


def library(source: Path, folder: Path, *flags: str) -> ctypes.CDLL:
    """A kernel with the CPU in the GPU's place."""
    target = folder / f"{source.stem}.so"
    common = ["-std=c++20", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-pthread", "-Wno-unknown-pragmas"]
    subprocess.run(["g++", *common, *flags, str(source), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


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
    if M > 8 and N > 3:
        a[0, 3, 7], b[0, 5, 3], a[0, 6], b[0, :, 1] = np.nan, -np.inf, 0, 0
        a[0, 7] *= np.float32(2**-140)
        b[0, :, 2] *= np.float32(2**120)
    return a, b


class Case:
    """A product's digits, and where its result goes; it lives as long as a kernel may use it."""

    def __init__(self, width: str, a: np.ndarray, b: np.ndarray) -> None:
        K = a.shape[2]
        self.limit, self.count = qmax(width, K), DIGITS[width]
        self.left, self.high_a = aligned(digits_of(a, self.limit, self.count))
        self.right, self.high_b = aligned(digits_of(np.swapaxes(b, 1, 2), self.limit, self.count))
        self.out = np.full((a.shape[0], a.shape[1], b.shape[2]), 7, np.float32)
        self.sums = np.zeros(self.out.shape, np.int64)

    def product(self, terms: int | None = None) -> Product:
        """In one part where no terms are given, else in parts of so many, to the sums."""
        places = (self.left, self.right, self.high_a, self.high_b, self.out)
        sums, P = self.sums.ctypes.data if terms else None, self.left.shape[3]
        product = Product(*(x.ctypes.data for x in places), sums, *self.out.shape, P, terms or P)
        product.qmax, product.bits = self.limit, self.limit.bit_length()
        return product


def aligned(found: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Digits at a multiple of 16 bytes, as memory of a GPU begins, and the maxima as they are."""
    digits, highest = found
    memory = np.zeros(digits.size + 16, np.int8)
    start = -memory.ctypes.data % 16
    place = memory[start : start + digits.size].reshape(digits.shape)
    place[...] = digits
    return place, highest
