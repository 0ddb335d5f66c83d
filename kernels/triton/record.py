"""On which GPUs these kernels have run: what `isobit selftest --backend triton` says of them.

An entry is added from what bench/gpu.sh prints after every conformance case passed on a GPU; it holds for the sources
that ran there, and a changed source is unproven again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from kernels.triton.launch import INTERPRETED, versions

FOLDER = Path(__file__).parent
# What each backend computes with on a GPU, as far as it lies beside `kernels`: an installed package has no csrc.
SOURCES = {
    "triton": ("kernels/triton/*.py",),
    "cuda": ("kernels/triton/*.py", "kernels/cuda.py", "csrc/cuda/*"),
}
DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class Run:
    """One GPU that gave the law's digest, and the sources that did."""

    device: str
    driver: str
    sources: str
    digest: str


RUNS: tuple[Run, ...] = ()


@cache
def sources(backend: str = "triton") -> str:
    """A short digest of every file of a backend's kernels but this one."""
    state = hashlib.sha256()
    for pattern in SOURCES[backend]:
        for path in sorted(FOLDER.parents[1].glob(pattern)):
            if path.name != "record.py":
                state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()[:16]


def device_name() -> str:
    """The GPU's own name; the interpreter's where there is none."""
    return "Triton's interpreter on this CPU" if INTERPRETED else torch.cuda.get_device_name()


def driver() -> str:
    """The version of the driver's kernel module."""
    if INTERPRETED:
        return "none"
    words = DRIVER.read_text().split() if DRIVER.exists() else []
    return next((word for word in words if word.count(".") >= 1 and word[0].isdigit()), "unknown")


def about(backend: str = "triton") -> str:
    """The device, its driver, the versions, and whether these sources ever gave the law's digest on a GPU."""
    kinds = ", ".join(f"{name} {version}" for name, version in versions().items())
    proven = sorted({run.device for run in RUNS if run.sources == sources(backend)})
    verdict = f"proven on {', '.join(proven)}" if proven else "unproven: on record for no GPU, see docs/gpu.md"
    return f"device {device_name()}, driver {driver()}, {kinds}\nkernels {sources(backend)}: {verdict}"
