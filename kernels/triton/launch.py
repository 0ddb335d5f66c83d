"""Where Triton kernels run and with which options: an NVIDIA GPU, or Triton's interpreter on the CPU for tests."""

from __future__ import annotations

import os

import torch
import triton

# Contracting x * y + z to one rounding would change bits; the launch options and this variable both forbid it.
os.environ["TRITON_DEFAULT_FP_FUSION"] = "0"
OPTIONS = {"enable_fp_fusion": False}
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


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
