"""Small files of strangers that are malformed, or ask for more than there is: a sentence, and no memory taken."""

from __future__ import annotations

import errno
import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.canonical import from_canonical, to_canonical
from engine.files import write_arrays, write_file
from engine.images import decode_images
from engine.job import JobFolder, open_job
from engine.log import DamagedLog, RecordLog
from engine.merkle import EMPTY_ROOT
from engine.run import RunFolder
from engine.train import train
from protocol.claim_file import claim_from_bytes, require_committed
from protocol.show import file_text
from tests.engine.small_jobs import BACKEND, small_job

HASH = bytes(32)
LONGEST = 2**32 - 1


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    job = small_job(tmp_path_factory.mktemp("job") / "job")
    train(job, job.folder.parent / "run", BACKEND, until=2)
    return job


@pytest.mark.parametrize(
    "change",
    [
        {"job": "a job"},
        {"job": HASH[1:]},
        {"interval": 0},
        {"interval": True},
        {"interval": "auto"},
        {"metrics": 5},
        {"metrics": [True]},
        {"metrics": [["loss"]]},
        {"metrics": [[["loss"], "float32"]]},
        {"metrics": [["loss", "float64"]]},
        {"metrics": [["loss", []]]},
    ],
    ids=str,
)
def test_refuses_a_run_file(job: JobFolder, tmp_path: Path, change: dict[str, Any]) -> None:
    content = from_canonical((job.folder.parent / "run" / "run.cbor").read_bytes(), "run")
    (tmp_path / "run.cbor").write_bytes(to_canonical({**content, **change}))
    with pytest.raises(ValueError, match=r"run: .*run\.cbor: want"):
        RunFolder(tmp_path)


@pytest.mark.parametrize(
    "field",
    [5, [], [7, "rows", 0, 0, "uint8", [10], HASH], [["x"], "rows", 0, 0, "uint8", [10], HASH]],
    ids=["a number", "an empty list", "a number as its name", "a list as its name"],
)
def test_refuses_a_list_of_fields(tmp_path: Path, field: Any) -> None:
    job = small_job(tmp_path / "job")
    path = job.folder / "data.cbor"
    path.write_bytes(to_canonical([from_canonical(path.read_bytes(), "data")[0], field]))
    with pytest.raises(ValueError, match="data: want"):
        open_job(job.folder)


@pytest.mark.parametrize("job_id", [7, "a", [HASH], HASH[1:], None], ids=str)
def test_refuses_a_claim_of_no_job(job_id: Any) -> None:
    content = {"format": "isobit-claim-1", "job": job_id, "steps": [0, 1], "roots": [HASH, HASH]}
    with pytest.raises(ValueError, match="want a job id"):
        claim_from_bytes(to_canonical(content), "claim")


def test_a_job_of_four_thousand_million_steps_takes_no_memory(job: JobFolder, tmp_path: Path) -> None:
    long = replace(job.job, steps=LONGEST, interval=1, max_interval=1)
    log = RecordLog(tmp_path / "roots.log", HASH, 32)
    tracemalloc.start()
    try:
        assert long.committed_steps(1, 3) == (0, 1, 2)
        require_committed(long, (0, 1, 2))
        with pytest.raises(ValueError, match="claim: holds the states after 0, 2 steps"):
            require_committed(long, (0, 2))
        with pytest.raises(DamagedLog, match="record 0, of step 0, is damaged or missing"):
            log.open(range(LONGEST))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


PLACES = ("run.cbor", "roots.log", "fault.cbor", "job/job.cbor", "job/program.cbor", "job/data.safetensors")


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_never_ends_is_not_read(job: JobFolder, tmp_path: Path, name: str, kind: str) -> None:
    """A folder of a stranger may hold a link to a device, or a pipe to which nobody writes."""
    shutil.copytree(job.folder, tmp_path / "job")
    shutil.copytree(job.folder.parent / "run", tmp_path / "run", symlinks=True)
    path = tmp_path / (name if name.startswith("job/") else f"run/{name}")
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero") if kind == "device" else os.mkfifo(path)
    with pytest.raises(ValueError, match=f"{path.name}, want a file"):
        open_job(tmp_path / "job")
        run = RunFolder(tmp_path / "run")
        run.roots()
        run.fault()


@pytest.mark.parametrize("kind", ["device", "pipe", "sparse"])
def test_a_chunk_that_never_ends_is_not_read(tmp_path: Path, kind: str) -> None:
    job = small_job(tmp_path / "job")
    path = next((job.folder / "chunks").iterdir())
    path.unlink()
    if kind == "sparse":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        path.symlink_to("/dev/zero") if kind == "device" else os.mkfifo(path)
    with pytest.raises(ValueError, match="want a file" if kind != "sparse" else f"has {2**40} bytes, want"):
        job.start_state()


def test_a_small_file_of_many_bytes_is_not_read(tmp_path: Path) -> None:
    job = small_job(tmp_path / "job")
    with (job.folder / "program.cbor").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=rf"program\.cbor has {2**40} bytes, want at most"):
        open_job(job.folder)


def test_what_is_shown_moves_no_cursor() -> None:
    content = {"a\x1b[2J": "b\x07", "slots": ["\x9b31m"]}
    assert all(line.isprintable() for line in file_text(to_canonical(content), "file").splitlines())
    slot = ["x\x1b]0;y", "float32", [0], EMPTY_ROOT, []]
    checkpoint = {"format": "isobit-checkpoint-1", "job": HASH, "step": 1, "slots": [slot]}
    assert all(line.isprintable() for line in file_text(to_canonical(checkpoint), "file").splitlines())


def test_an_image_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    os.mkfifo(tmp_path / "class" / "one.png")
    with pytest.raises(ValueError, match=r"images: got .*one\.png, want a file"):
        decode_images(tmp_path, tmp_path / "out", 8)


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    for write in (
        lambda: write_arrays(tmp_path / "x", {"a": np.zeros(3)[:0].astype("u1"), "b": np.zeros(3, "u1")}),
        lambda: write_file(tmp_path / "x", b"bytes"),
    ):
        with pytest.raises(OSError) as error:
            write()
        assert (error.value.filename, error.value.strerror) == (str(tmp_path / "x"), "No space left on device")
        assert not list(tmp_path.iterdir())
