"""The commands where something is not as usual: closed pipes, full devices, names of any bytes, too little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.program import Program
from engine.train import train
from protocol.claim_file import ClaimFile
from tests.end_to_end.test_commands import JOB, isobit
from tests.engine.small_jobs import BACKEND, Builder, small_job

COMMAND = [sys.executable, "-m", "protocol.cli"]


def test_a_reader_that_stops_is_no_error(tmp_path: Path) -> None:
    small_job(tmp_path / "job")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, "show", str(tmp_path / "job")], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux, which has /dev/full")
def test_output_that_has_no_room_is_one_line(tmp_path: Path) -> None:
    small_job(tmp_path / "job")
    with open("/dev/full", "w") as full:
        command = [*COMMAND, "show", str(tmp_path / "job")]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "No space left on device" in done.stderr


def test_folders_and_files_have_names_of_any_bytes(tmp_path: Path) -> None:
    job, run, weights = (tmp_path / os.fsdecode(name + b"\xff\xfe") for name in (b"job", b"run", b"weights"))
    small_job(job)
    train(job, run, BACKEND)
    for arguments in (("show", str(run)), ("export", str(run), "-o", str(weights)), ("check", str(run))):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), arguments
    assert weights.stat().st_size > 0


def large_program() -> Program:
    """A step that holds 2^38 numbers, written in a few bytes."""
    build = Builder()
    x = build.input("x", "state", "float32", 1)
    build.output("x", "state", x)
    many = build.node("exp", build.node("broadcast", x, shape=(2**38,)))
    first = build.node("slice", many, start=(0,), stop=(1,), step=(1,))
    build.output("first", "metric", build.node("reshape", first, shape=()))
    return build.program()


def test_a_program_that_this_machine_cannot_hold_is_one_line(tmp_path: Path) -> None:
    job = small_job(
        tmp_path / "job",
        program=large_program(),
        start_state={"x": np.zeros(1, np.float32)},
        schedule={},
        batch_size=1,
        steps=1,
    )
    claim = tmp_path / "claim.cbor"
    claim.write_bytes(ClaimFile(job.id, (0, 1), (job.job.start, bytes(32))).to_bytes())
    assert "this machine has" in isobit("train", job.folder, "-o", tmp_path / "run", code=2)
    assert not (tmp_path / "run").exists()
    assert "out of memory" in isobit("check", claim, "--job", job.folder, code=2)


@pytest.mark.parametrize(
    ("name", "line", "wanted"),
    [
        ("job.txt", "", "want a Python file, NAME.py"),
        ("job", "", "want a Python file, NAME.py"),
        ("job.py", "raise SystemExit('stop')", "job.py:13: SystemExit: stop"),
    ],
)
def test_a_file_that_is_no_job_is_refused(tmp_path: Path, name: str, line: str, wanted: str) -> None:
    (tmp_path / name).write_text(f"{JOB}\n{line}\n")
    assert wanted in isobit("trace", tmp_path / name, "-o", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()


def test_a_wrong_shape_in_the_loss_is_one_line(tmp_path: Path) -> None:
    """torch would log a traceback before ours."""
    (tmp_path / "job.py").write_text(f"{JOB}\ndata = {{'x': x[:, :1], 'y': x[:, :1]}}\n")
    command = [*COMMAND, "trace", str(tmp_path / "job.py"), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "job.py:7: RuntimeError" in done.stderr
