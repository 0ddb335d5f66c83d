"""Runs the C ABI's tests on a library built with the address and undefined-behaviour sanitizers.

`python -m tests.kernels.sanitize` builds it into build/sanitize and ends with the tests' status.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "build" / "sanitize" / "libisobit.so"


def environment() -> dict[str, str]:
    """Python itself is built without sanitizers, so their runtime must be loaded before it.

    libstdc++ comes with it: the sanitizer looks for the function that throws when it starts.
    """
    runtimes = [compiler_file("libasan.so"), compiler_file("libstdc++.so.6")]
    return {
        **os.environ,
        "ISOBIT_LIBRARY": str(LIBRARY),
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter leaks on purpose at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def compiler_file(name: str) -> str:
    command = [os.environ.get("CXX", "g++"), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    build = [sys.executable, "setup.py", "build_ext"]
    subprocess.run(build, cwd=ROOT, env={**os.environ, "ISOBIT_SANITIZE": "1"}, check=True)
    tests = [sys.executable, "-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider", "tests/kernels/test_c_abi.py"]
    return subprocess.run(tests, cwd=ROOT, env=environment()).returncode


if __name__ == "__main__":
    sys.exit(main())
