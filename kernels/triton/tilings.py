"""How a product is cut among programs, and on which tensor cores; no choice can change a bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from kernels.triton.launch import DIGIT, INTERPRETED

DIGITS = {"narrow": 2, "wide": 3}
# Per term, an accumulator grows by 2^14 in narrow (|d1| <= 64 makes the middle two 2 * 2^13) and by 3 * 2^14 in wide.
MAX_TERMS = {"narrow": (2**31 - 1) // 2**14, "wide": (2**31 - 1) // (3 * 2**14)}
RESIDUES = (256, 255, 253, 251, 247, 241, 239, 233)  # what `wide` is taken modulo instead (residues.py)


@dataclass(frozen=True)
class Tiling:
    """How a product is cut: an M x N tile a program, K terms a step, `splits` programs along the terms.

    digit: what tensor cores multiply: int8; or bfloat16 or float16, which hold every digit, added in float32
    residues: eight products of residues instead of the nine of three digits, each with its own programs; splits is 1
    """

    M: int
    N: int
    K: int
    splits: int = 1
    num_warps: int = 4
    num_stages: int = 3
    GROUP: int = 8
    digit: str = DIGIT
    residues: bool = False


TILINGS = {
    "narrow": (
        Tiling(128, 128, 64, num_warps=8),
        Tiling(128, 128, 128, num_warps=8),
        Tiling(128, 64, 128, num_warps=4),
        Tiling(64, 128, 128, num_warps=4),
        Tiling(128, 64, 128, num_warps=8, num_stages=4),
        Tiling(64, 64, 128, num_warps=4, num_stages=4),
        Tiling(64, 64, 64, splits=4),
    ),
    "wide": (
        Tiling(128, 64, 64, num_warps=8),
        Tiling(128, 64, 128, num_warps=8),
        Tiling(64, 128, 64, num_warps=8),
        Tiling(64, 64, 64, num_warps=4),
        Tiling(64, 64, 128, num_warps=4),
        Tiling(128, 32, 128, num_warps=4),
        Tiling(64, 64, 64, splits=4),
        Tiling(128, 256, 128, num_warps=8, residues=True),
        Tiling(128, 128, 128, num_warps=8, residues=True),
    ),
}


def tilings_of(width: str) -> tuple[Tiling, ...]:
    """The tilings to measure on this device: from Blackwell on, bfloat16's tensor cores may be the faster ones."""
    tilings = TILINGS[width]
    if not INTERPRETED and torch.version.hip is None and torch.cuda.get_device_capability()[0] >= 10:
        return (*tilings, *(replace(tiling, digit="bfloat16") for tiling in tilings[:3]))
    return tilings
