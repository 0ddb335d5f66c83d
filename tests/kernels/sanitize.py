"""Runs the C ABI's tests on libraries that watch themselves: address and undefined behaviour, then threads.

`python -m tests.kernels.sanitize [address | thread]` builds build/sanitize-NAME/libisobit.so and ends with the tests'
status; without a name it does both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CALLS = tuple(f"tests/kernels/test_c_{what}.py" for what in ("abi", "threads", "groups"))
# Drawn operands need no threads of their own, and would take long under the thread sanitizer.
TESTS = {"address": (*CALLS, "tests/kernels/test_fuzz.py"), "thread": CALLS}
ISAS = ("plain", "avx2", "avx512", "amx", "neon")
RUNTIMES = {"address": "libasan.so", "thread": "libtsan.so"}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter leaks on purpose at its end
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's own threads are not watched
}


def environment(name: str) -> dict[str, str]:
    """Python itself is built without sanitizers, so their runtime must be loaded before it.

    libstdc++ comes with it: the sanitizer looks for the function that throws when it starts.
    """
    runtimes = [compiler_file(RUNTIMES[name]), compiler_file("libstdc++.so.6")]
    return {**os.environ, **OPTIONS, "ISOBIT_LIBRARY": str(library(name)), "LD_PRELOAD": " ".join(runtimes)}


def library(name: str) -> Path:
    return ROOT / "build" / f"sanitize-{name}" / "libisobit.so"


def compiler_file(name: str) -> str:
    command = [os.environ.get("CXX", "g++"), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run(name: str) -> int:
    """Builds one library and tests it with each instruction set of the processor: the worst status of pytest."""
    build = [sys.executable, "setup.py", "build_ext"]
    subprocess.run(build, cwd=ROOT, env={**os.environ, "ISOBIT_SANITIZE": name}, check=True)
    tests = [sys.executable, "-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider", *TESTS[name]]
    worst = 0
    for isa in instruction_sets(name):
        print(f"sanitize: {name}, {isa}", flush=True)
        status = subprocess.run(tests, cwd=ROOT, env={**environment(name), "ISOBIT_ISA": isa}).returncode
        worst = max(worst, abs(status))
    return worst


def instruction_sets(name: str) -> list[str]:
    """Those of the library that this processor has."""
    ask = "from tests.kernels.c_abi import Library, library_path as path; print(bool(Library(path()).c.isobit_isa()))"
    found = []
    for isa in ISAS:
        watched = {**environment(name), "ISOBIT_ISA": isa}
        done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, env=watched, capture_output=True, text=True)
        if done.stdout.strip() not in ("True", "False"):
            raise SystemExit(f"sanitize: the {name} library did not load: {done.stderr}")
        found += [isa] * (done.stdout.strip() == "True")
    return found


def main(names: list[str]) -> int:
    unknown = set(names) - set(TESTS)
    if unknown:
        raise SystemExit(f"sanitize: got {', '.join(sorted(unknown))}, want {' or '.join(TESTS)}")
    return max(run(name) for name in names or TESTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
