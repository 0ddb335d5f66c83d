"""What a run takes is estimated before it starts."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from small_jobs import BACKEND, Builder, small_job

from engine import memory
from engine.job import JobFolder, open_job, write_job
from engine.memory import Memory, available, estimate, require_fits, size_text
from engine.resident import arena_bytes
from engine.train import train

ROOT = Path(__file__).parents[2]
SIDE = 512
SQUARE = SIDE * SIDE * 4


def chain(length: int, side: int = SIDE) -> Builder:
    """x, then exp of it again and again, seen through layouts: two squares are alive at a time."""
    build = Builder()
    value = x = build.input("x", "state", "float32", side, side)
    for _ in range(length):
        value = build.node("permute", build.node("reshape", value, shape=(side, side)), axes=(0, 1))
        value = build.node("cumsum", value, axis=0)
    build.output("x", "state", x)
    build.output("last", "metric", build.node("sum", build.node("sum", value, axes=(0,)), axes=(0,)))
    return build


def test_a_chain_of_values_needs_two_of_them_at_a_time() -> None:
    assert arena_bytes(chain(1).program(), BACKEND) == SQUARE + SIDE * 4
    assert arena_bytes(chain(7).program(), BACKEND) == 2 * SQUARE


def chain_job(folder: Path, side: int) -> JobFolder:
    """Two steps of a state of a square, whose values take two squares."""
    parts = {"x": np.ones((side, side), np.float32)}, {"unused": np.zeros(3, np.uint8)}, {}
    write_job(folder, chain(5, side).program(), *parts, seed=0, steps=2, batch_size=1, backend=BACKEND)
    return open_job(folder, BACKEND)


def test_the_estimate_is_what_a_run_holds(tmp_path: Path) -> None:
    """From a tiny run to a large one, the most that the process ever held grows by the estimate."""
    small, large = chain_job(tmp_path / "small", 16), chain_job(tmp_path / "large", 4096)
    needed = estimate(large, BACKEND)
    assert (needed.state, needed.step) == (2**26 + 16, 2**27)
    script = f"""
    from engine.train import train
    for size in ("small", "large"):
        train("{tmp_path}/" + size, "{tmp_path}/run " + size, {BACKEND!r})
        lines = open("/proc/self/status").read().splitlines()
        print(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert abs(after - before - needed.total) <= needed.total / 6, (after - before, needed)
    assert small.job.steps == large.job.steps


def test_a_run_that_cannot_fit_is_refused_with_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = small_job(tmp_path / "job")
    needed = estimate(job, BACKEND)
    assert needed.total == needed.state + needed.step + needed.constants + needed.writing > 0
    monkeypatch.setattr(memory, "available", lambda: needed.total - 1)
    wanted = f"memory: the run needs {needed}, this machine has {size_text(needed.total - 1)} available"
    with pytest.raises(ValueError, match=re.escape(wanted)):
        train(job, tmp_path / "run", BACKEND)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(memory, "available", lambda: needed.total)
    assert train(job, tmp_path / "run", BACKEND).step == 12


def test_this_machine_has_some_memory_and_not_more_than_any() -> None:
    assert 0 < available() < 2**60
    with pytest.raises(ValueError, match="this machine has"):
        require_fits(Memory(2**60, 0, 0, 0, 0))
