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
def sources() -> str:
    """A short digest of every file of these kernels but this one."""
    state = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.py")):
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


def about() -> str:
    """The device, its driver, the versions, and whether these sources ever gave the law's digest on a GPU."""
    kinds = ", ".join(f"{name} {version}" for name, version in versions().items())
    proven = sorted({run.device for run in RUNS if run.sources == sources()})
    verdict = f"proven on {', '.join(proven)}" if proven else "unproven: on record for no GPU, see docs/gpu.md"
    return f"device {device_name()}, driver {driver()}, {kinds}\nkernels {sources()}: {verdict}"
