"""The module kernels._cuda where there is no GPU: the same arguments, the kernels run on the CPU as their tests do."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import kernels
from tests.kernels.cuda_operands import ROOT, Product, library

FOLDER = ROOT / "tests" / "kernels"
HOPPER = (9, 0)


class OnCpu:
    """Stands for kernels._cuda, with cuda_on_cpu.cpp and hopper_on_cpu.cpp. started: digits, tile, cluster of each."""

    def __init__(self, folder: Path) -> None:
        self.any_gpu = library(FOLDER / "cuda_on_cpu.cpp", folder)
        self.hopper = library(FOLDER / "hopper_on_cpu.cpp", folder)
        self.hopper.multiply_on_cpu.restype = ctypes.c_char_p
        self.started: list[tuple[int, int, int]] = []

    def devices(self) -> int:
        return 1

    def multiply(self, **given: Any) -> None:
        product = Product(**{name: given[name] for name, _ in Product._fields_ if name in given})
        product.sums, product.bits = given["sums"] or None, given["qmax"].bit_length()
        self.start(product, given["digits"], given["tile"], given["cluster"])

    def multiply_residues(self, **given: Any) -> None:
        product = Product(**{name: given[name] for name in ("a", "b", "M", "N", "P")}, batch=given["planes"])
        product.terms, product.residues = given["P"], given["out"]
        product.moduli = (ctypes.c_int32 * 8)(*given["moduli"])
        self.start(product, 1, given["tile"], given["cluster"])

    def start(self, product: Product, digits: int, tile: int, cluster: int) -> None:
        self.started.append((digits, tile, cluster))
        if not tile:
            self.any_gpu.multiply_on_cpu(ctypes.byref(product), digits)
            return
        error = self.hopper.multiply_on_cpu(ctypes.byref(product), digits, tile, cluster, 4, ctypes.c_uint64(5))
        assert error is None, error.decode()


def as_on_hopper(module: OnCpu) -> ModuleType:
    """kernels.cuda as a machine with Hopper's GPU has it, with the stand-in below it."""
    sys.modules["kernels._cuda"] = module  # type: ignore[assignment]
    kernels._cuda = module  # type: ignore[attr-defined]
    sys.modules.pop("kernels.cuda", None)
    from kernels import cuda

    cuda.stream = lambda: 0
    torch.cuda.get_device_capability = lambda device=None: HOPPER  # type: ignore[method-assign, assignment]
    return cuda
