"""What one benchmark compares: our computation and its rivals', on the same float32 inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kernels import backends

Work = Callable[[], object]
ISA_ENVIRONMENT = {  # one instruction set for everyone: ours, ATen's own kernels, oneMKL and oneDNN
    "avx2": {
        "ISOBIT_ISA": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    }
}


@dataclass(frozen=True, slots=True)
class Competitors:
    """Our computation and the rivals', ready to be timed; each call allocates its own result.

    facts: what else is to be known after ours ran, such as bytes and rounds
    """

    ours: Work
    rivals: dict[str, Work]
    facts: Callable[[], dict[str, float]] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a comparison.

    prepare: threads -> competitors, with inputs of a fixed seed
    work:    operations (or bytes, for the peaks "bytes" and "read") that the case needs at least
    peak:    which of the machine's measured peaks bounds it: "narrow", "wide", "bytes" or "read"
    isa:     the instruction set that everyone is held to, in a process of its own; None for the machine's best
    quick:   whether it belongs to the smoke test
    """

    name: str
    prepare: Callable[[int], Competitors]
    work: int
    peak: str
    isa: str | None = None
    quick: bool = False


@dataclass(slots=True)
class Row:
    """The measured line: medians in seconds, and rivals' seconds divided by ours."""

    suite: str
    case: str
    threads: int
    ours_s: float
    rivals: dict[str, float]
    ratio: dict[str, float] = field(default_factory=dict)
    share_of_peak: float | None = None
    facts: dict[str, float] = field(default_factory=dict)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal float32 values."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def backend() -> backends.Backend:
    """The backend under measurement."""
    return backends.load("native")
