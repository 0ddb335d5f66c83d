"""Small files of strangers that are malformed, or ask for more than there is: a sentence, and no memory taken."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.canonical import from_canonical, to_canonical
from engine.job import JobFolder, open_job
from engine.log import DamagedLog, RecordLog
from engine.run import RunFolder
from engine.train import train
from protocol.claim_file import claim_from_bytes, require_committed
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
