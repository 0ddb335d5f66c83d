"""Every function on all 2^32 inputs: the native operators against the double library, and MPFR where that is close.

    python bench/exhaustive_functions.py --isa avx512 --json bench/results/functions-exhaustive.json
    python bench/exhaustive_functions.py --only exp,log --isa avx2

Half a minute to two minutes a function on one core. A difference fails the run and is printed. With --vectors the
inputs nearest to a tie, and their values by MPFR, go to tests/vectors/functions/NAME.txt.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gmpy2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.report import add_counts  # noqa: E402
from tests.kernels.mpfr import NAMES, distance, nearest  # noqa: E402

SOURCE = ROOT / "bench" / "exhaustive_functions.cpp"
VECTORS = ROOT / "tests" / "vectors" / "functions"
FLAGS = ["-O3", "-std=c++17", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
HARDEST = 200


def build(folder: Path) -> Path:
    """The comparing program, and the library as it is now: a later build must not change it under the run."""
    program = folder / "exhaustive"
    subprocess.run(["g++", *FLAGS, str(SOURCE), "-o", str(program), "-lmvec", "-lm", "-ldl"], check=True)
    shutil.copy(ROOT / "kernels" / "libisobit.so", folder / "libisobit.so")
    return program


def compare(program: Path, name: str, isa: str, stop: int) -> tuple[dict[str, object], np.ndarray]:
    """The counts of one function and its close inputs with the native results: [N, 2] uint32."""
    close = program.with_name(f"{name}.close")
    command = [str(program), str(program.with_name("libisobit.so")), name, "0", str(stop), str(close)]
    started = time.perf_counter()
    result = subprocess.run(command, env={**os.environ, "ISOBIT_ISA": isa}, check=True, capture_output=True, text=True)
    checked, wrong, near, first = (int(word) for word in result.stdout.split())
    pairs = np.fromfile(close, dtype=np.uint32).reshape(-1, 2)
    failed = [(int(x), int(y)) for x, y in pairs if nearest(name, int(x)) != y]
    counts: dict[str, object] = {
        "checked": checked,
        "close": near,
        "wrong": wrong + len(failed),
        "seconds": round(time.perf_counter() - started, 1),
    }
    if wrong:
        print(f"{name}: wrong at {first:#010x} and {wrong - 1} more")
    for x, y in failed:
        print(f"{name}: {x:#010x} got {y:#010x}, want {nearest(name, x):#010x}")
    return counts, pairs[:, 0]


def write_vectors(name: str, close: np.ndarray) -> float:
    """Keeps the hardest inputs with their values; log2 of the least relative distance to a tie that is not one."""
    ranked = sorted((distance(name, int(x)), int(x)) for x in close)
    chosen = ranked[:HARDEST]
    lines = [f"{x:08x} {nearest(name, x):08x}" for _, x in sorted(chosen, key=lambda pair: pair[1])]
    VECTORS.mkdir(parents=True, exist_ok=True)
    (VECTORS / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return round(float(gmpy2.log2(min(gap for gap, _ in ranked if gap > 0))), 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", default="avx512")
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--stop", type=lambda text: int(text, 0), default=2**32, help="check [0, STOP) only")
    parser.add_argument("--json", type=Path, help="add the counts to this report")
    parser.add_argument("--vectors", action="store_true")
    arguments = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for name in arguments.only.split(","):
            counts, close = compare(program, name, arguments.isa, arguments.stop)
            if arguments.vectors:
                counts["hardest_log2"] = write_vectors(name, close)
            print(name, arguments.isa, counts, flush=True)
            wrong += int(str(counts["wrong"]))
            if arguments.json:
                add_counts(arguments.json, (arguments.isa,), name, counts)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
