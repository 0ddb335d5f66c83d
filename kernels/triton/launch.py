"""Where Triton kernels run and with which options: an NVIDIA GPU, or Triton's interpreter on the CPU for tests."""

from __future__ import annotations

import os

import torch
import triton

# Contracting x * y + z to one rounding would change bits; the launch options and this variable both forbid it.
os.environ["TRITON_DEFAULT_FP_FUSION"] = "0"
OPTIONS = {"enable_fp_fusion": False}
FAST_FLOAT64 = {(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)}  # P100, V100, A100, H100, B200: one unit for two of float32
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def digit_type() -> str:
    """What this device's tensor cores multiply: int8, or where they do not know it (before Ampere) float16."""
    if INTERPRETED or torch.version.hip is not None or not torch.cuda.is_available():
        return "int8"
    return "int8" if torch.cuda.get_device_capability() >= (8, 0) else "float16"


DIGIT = digit_type()


def is_float64_slow() -> bool:
    """Whether this device has one float64 unit for 32 or 64 of float32, as all but NVIDIA's largest chips do."""
    if INTERPRETED or torch.version.hip is not None or not torch.cuda.is_available():
        return False
    return torch.cuda.get_device_capability() not in FAST_FLOAT64


PAIRS = is_float64_slow()  # functions in pairs of float32


def device() -> torch.device:
    """The device that holds the kernels' tensors; an ImportError where this machine has none."""
    if INTERPRETED:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ImportError("torch sees no CUDA device")
    return torch.device("cuda", torch.cuda.current_device())


def versions() -> dict[str, str]:
    """The versions that a measurement or a report of a difference names."""
    return {"torch": torch.__version__, "triton": triton.__version__, "cuda": str(torch.version.cuda)}
