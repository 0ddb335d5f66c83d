"""Every function of the Triton kernels on all 2^32 inputs, without a GPU: as C++ (triton_on_cpu.py), beside the native.

    python bench/exhaustive_triton.py --json bench/results/functions-triton.json
    python bench/exhaustive_triton.py --only "exp in pairs,log" --stop 0x10000000

The native functions were checked on all inputs themselves (exhaustive_functions.py). "NAME in pairs" is what pairs of
float32 give: values that are not certain are counted, and not compared, as float64 decides them.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton
import triton.language as tl

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.report import add_counts  # noqa: E402
from bench.triton_on_cpu import build, source, ttir  # noqa: E402
from kernels import backends  # noqa: E402
from kernels.triton import functions, functions_pairs, functions_trig  # noqa: E402
from kernels.triton.elementwise import tables  # noqa: E402
from kernels.triton.functions_pairs import IN_PAIRS  # noqa: E402

WITH_TABLE = ("cos", "sin")
IN_DOUBLE = ("erf", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "rsqrt", "sigmoid", "tanh")
NAMES = tuple(sorted((*IN_DOUBLE, *WITH_TABLE, *(f"{op} in pairs" for op in IN_PAIRS))))
CHUNK = 2**22
POINTERS = {"x": "*fp32", "out": "*fp32", "sure": "*i8", "table": "*i64"}


@triton.jit
def plain_kernel(x, out, sure, table, F: tl.constexpr, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, F(tl.load(x + i)))
    tl.store(sure + i, tl.full((B,), 1, tl.int8))


@triton.jit
def table_kernel(x, out, sure, table, F: tl.constexpr, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, F(tl.load(x + i), table))
    tl.store(sure + i, tl.full((B,), 1, tl.int8))


@triton.jit
def pairs_kernel(x, out, sure, table, F: tl.constexpr, B: tl.constexpr):
    i = tl.arange(0, B)
    y, is_sure = F(tl.load(x + i), table)
    tl.store(out + i, y)
    tl.store(sure + i, is_sure.to(tl.int8))


def kernel_of(name: str) -> tuple[Any, Any]:
    """The kernel, and the function that it applies."""
    op = name.removesuffix(" in pairs")
    if op != name:
        return pairs_kernel, getattr(functions_pairs, f"fast_{op}")
    return (table_kernel, getattr(functions_trig, op)) if op in WITH_TABLE else (plain_kernel, getattr(functions, op))


def compare(name: str, folder: Path, starts: Sequence[int]) -> dict[str, object]:
    """The counts of one function on the CHUNK patterns from each start on."""
    kernel, function = kernel_of(name)
    library = build(source(ttir(kernel, {"F": function, "B": 256}, POINTERS)), folder, name.replace(" ", "_"))
    run, table = ctypes.CDLL(str(library)).kernel, tables("cpu").numpy()
    native, op = backends.load("native"), name.removesuffix(" in pairs")
    y, sure = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.int8)
    wrong, doubtful, started = 0, 0, time.perf_counter()
    for start in starts:
        x = np.arange(start, start + CHUNK, dtype=np.uint32)
        x[(x & 0x7FFFFFFF) > 0x7F800000] = 0x7FC00000
        run(*(array.ctypes.data_as(ctypes.c_void_p) for array in (x, y, sure, table)), ctypes.c_int64(CHUNK))
        want = native.run(op, [x.view(np.float32)], {}).view(np.uint32)
        differs = (y.view(np.uint32) != want) & (sure != 0)
        if differs.any() and not wrong:
            print(f"{name}: wrong at {x[differs][0]:#010x}")
        wrong, doubtful = wrong + int(differs.sum()), doubtful + int((sure == 0).sum())
    seconds = round(time.perf_counter() - started, 1)
    return {"checked": len(starts) * CHUNK, "wrong": wrong, "left to float64": doubtful, "seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--stop", type=lambda text: int(text, 0), default=2**32, help="check [0, STOP) only")
    parser.add_argument("--json", type=Path, help="add the counts to this report")
    arguments = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only.split(","):
            counts = compare(name, Path(folder), range(0, arguments.stop, CHUNK))
            print(name, counts, flush=True)
            wrong += int(str(counts["wrong"]))
            if arguments.json:
                add_counts(arguments.json, (), name, {**counts, "triton": triton.__version__})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
