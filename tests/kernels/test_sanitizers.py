"""No call of the tests touches memory, arithmetic or another thread's data in a way that C++ forbids."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernels import sanitize

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("g++") is None, reason="a machine with g++ and its sanitizers would run this"),
]
COUNTER = """
#include <atomic>
#include "cpu/threads.h"
int main() {
    TYPE total{0};
    isobit::host::parallel_for(4, 100000, [&](int64_t begin, int64_t end) { for (; begin < end; ++begin) ++total; });
    return total != 100000;
}
"""


@pytest.mark.parametrize("name", sanitize.TESTS)
def test_the_c_abi_runs_clean_under_the_sanitizers(name: str) -> None:
    assert sanitize.run(name) == 0


def counted(folder: Path, type_: str) -> subprocess.CompletedProcess[str]:
    """Four threads that count in one number of a type, under the thread sanitizer."""
    source, program = folder / "counter.cpp", folder / "counter"
    source.write_text(COUNTER.replace("TYPE", type_))
    threads = str(sanitize.ROOT / "tests" / "kernels" / "visible_threads.cpp")
    flags = ["-std=c++17", "-O1", "-g1", "-fopenmp", "-fsanitize=thread", "-DISOBIT_ISA=host", "-Icsrc"]
    subprocess.run(["g++", *flags, str(source), threads, "-o", str(program)], cwd=sanitize.ROOT, check=True)
    return subprocess.run([str(program)], capture_output=True, text=True)


def test_the_thread_sanitizer_sees_two_threads_meet(tmp_path: Path) -> None:
    meeting = counted(tmp_path, "int64_t")
    assert meeting.returncode != 0 and "data race" in meeting.stderr
    apart = counted(tmp_path, "std::atomic<int64_t>")
    assert (apart.returncode, apart.stderr) == (0, "")
