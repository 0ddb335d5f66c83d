"""The same roots from every backend, thread count and instruction set, on real models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.job import store_traced
from engine.run import RunFolder
from engine.trace import trace_job
from engine.train import train

ROOT = Path(__file__).parents[2]
DIGITS_STEPS, GPT_STEPS, GPT_STEPS_IN_CI = 200, 200, 15
RUN = "import sys; from engine.train import train; train(sys.argv[1], sys.argv[2], 'native', int(sys.argv[3]))"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "job"
    store_traced(folder, trace_job(ROOT / "examples" / "digits.py", {"steps": DIGITS_STEPS, "interval": 1}))
    return folder


def trace_gpt(folder: Path, steps: int) -> Path:
    store_traced(folder / "job", trace_job(ROOT / "examples" / "gpt_text.py", {"steps": steps, "interval": 1}))
    return folder / "job"


def roots_here(job: Path, run: Path, backend: str, threads: int) -> dict[int, bytes]:
    train(job, run, backend, threads)
    return RunFolder(run).roots()


def roots_of_instruction_set(job: Path, run: Path, isa: str, threads: int) -> dict[int, bytes]:
    """The roots of a run in a process that is forced to an instruction set."""
    command = [sys.executable, "-c", RUN, str(job), str(run), str(threads)]
    done = subprocess.run(
        command, env={**os.environ, "ISOBIT_ISA": isa}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "that this processor has" in done.stderr:
        pytest.skip(f"a processor with {isa} would run this")
    assert done.returncode == 0, done.stderr
    return RunFolder(run).roots()


def assert_equal_everywhere(job: Path, folder: Path, steps: int) -> None:
    want = roots_here(job, folder / "first", "native", 1)
    assert sorted(want) == list(range(steps + 1)) and len(set(want.values())) == steps + 1
    for backend, threads in [("native", 2), ("portable", 1), ("portable", 2)]:
        assert roots_here(job, folder / f"{backend}-{threads}", backend, threads) == want, (backend, threads)
    for isa in ("avx2", "plain"):
        assert roots_of_instruction_set(job, folder / isa, isa, 2) == want, isa


def test_digits_has_the_same_200_roots_everywhere(digits: Path, tmp_path: Path) -> None:
    assert_equal_everywhere(digits, tmp_path, DIGITS_STEPS)


def test_the_gpt_has_the_same_roots_everywhere(tmp_path: Path) -> None:
    assert_equal_everywhere(trace_gpt(tmp_path, GPT_STEPS_IN_CI), tmp_path, GPT_STEPS_IN_CI)


@pytest.mark.long
def test_the_gpt_has_the_same_200_roots_everywhere(tmp_path: Path) -> None:
    assert_equal_everywhere(trace_gpt(tmp_path, GPT_STEPS), tmp_path, GPT_STEPS)


def test_a_root_changes_with_one_bit_of_the_seed(digits: Path, tmp_path: Path) -> None:
    store_traced(tmp_path / "job", trace_job(ROOT / "examples" / "digits.py", {"steps": 2, "seed": 1, "interval": 1}))
    other = roots_here(tmp_path / "job", tmp_path / "run", "native", 1)
    mine = roots_here(digits, tmp_path / "mine", "native", 1)
    assert not set(other.values()) & set(mine.values())
