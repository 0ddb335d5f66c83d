"""The machine of a measurement: its name, the versions and the commit, and its measured peaks."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FLAGS = {None: ["-march=native"], "avx2": ["-mavx2", "-mfma"]}
COPY_BYTES = 2**27  # beyond every cache but the largest shared ones


def commit() -> str:
    """The commit measured, with "+changes" where tracked files differ from it; "unknown" outside a checkout."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def processor() -> str:
    """The processor's own name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        values = {name.strip(): value.strip() for name, value in fields.items()}
        if "model name" in values:
            return f"{values['model name']} (family {values.get('cpu family')}, model {values.get('model')})"
    return platform.processor() or platform.machine()


def describe() -> dict[str, object]:
    """Names and versions of all that a measurement depends on."""
    import torch

    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "load": round(
            os.getloadavg()[0], 2
        ),  # at the end of the run: at most the threads measured, if nothing else ran
    }


def _best_rate(work: Callable[[], float], threads: int, rounds: int) -> float:
    """The highest total of work's amounts per second with this many threads at once."""
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            start = perf_counter()
            done = sum(pool.map(lambda _: work(), range(threads)))
            best = max(best, done / (perf_counter() - start))
    return best


def _copy_rate(threads: int) -> float:
    """Bytes read and written per second by copies between arrays that are already mapped."""
    pairs = [(np.ones(COPY_BYTES, np.uint8), np.ones(COPY_BYTES, np.uint8)) for _ in range(threads)]

    def work() -> float:
        source, target = pairs.pop()
        np.copyto(target, source)
        pairs.append((source, target))
        return 2.0 * COPY_BYTES

    return _best_rate(work, threads, rounds=6)


def _arithmetic_rates(threads: int, isa: str | None) -> dict[str, float]:
    """Operations per second of bench/peak.c; nothing where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "peak.so"
        flags = ["-O3", "-ffp-contract=fast", "-funroll-loops", "-shared", "-fPIC", *FLAGS[isa]]
        subprocess.run([compiler, *flags, str(ROOT / "bench" / "peak.c"), "-o", str(library)], check=True)
        kernels = ctypes.CDLL(str(library))
    rates = {}
    for name, steps in (("float32", 4_000_000), ("int16", 4_000_000), ("int8", 1_000_000)):
        kernel = getattr(kernels, f"peak_{name}", None)
        if kernel is not None:
            kernel.restype, kernel.argtypes = ctypes.c_double, [ctypes.c_int64]
            rates[name] = _best_rate(partial(kernel, steps), threads, rounds=8)
    return rates


def _read_rate(threads: int) -> float:
    """Bytes read per second from an array that is already mapped."""
    arrays = [np.ones(COPY_BYTES // 4, np.float32) for _ in range(threads)]

    def work() -> float:
        source = arrays.pop()
        source.max()
        arrays.append(source)
        return float(COPY_BYTES)

    return _best_rate(work, threads, rounds=6)


def _product_rates(rates: dict[str, float]) -> dict[str, float]:
    """The useful operations per second that bound products: on tiles of int8 digits one takes four or nine."""
    from kernels.native_library import library  # a GPU's report is made where it is not built, too

    if "int8" in rates and library.isa() == "amx":
        return {"narrow": rates["int8"] / 4, "wide": rates["int8"] / 9}
    return {width: rates[name] for width, name in (("narrow", "int16"), ("wide", "float32")) if name in rates}


def peaks(threads: int, isa: str | None = None) -> dict[str, float]:
    """The limits measured, per second: "narrow" and "wide" operations of products, "bytes" copied (read plus written)
    and bytes only "read"."""
    bytes_per_second = {"bytes": _copy_rate(threads), "read": _read_rate(threads)}
    return {**_product_rates(_arithmetic_rates(threads, isa)), **bytes_per_second}
