"""A job folder: what it holds comes back, and whatever is wrong is named before anything is written."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_jobs import BACKEND, small_job, small_parts

from engine.canonical import from_canonical, to_canonical
from engine.data import Windows
from engine.encoding import program_hash
from engine.files import write_arrays
from engine.job import open_job, write_job
from engine.job_id import Job, job_from_bytes


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    parts = small_parts()
    opened = small_job(tmp_path / "job")
    state = opened.start_state(BACKEND)
    assert opened.program == parts["program"]
    assert opened.job.program == program_hash(parts["program"])
    assert list(state) == ["table", "weight", "frozen", "step", "seed"]
    assert all(state[name].tobytes() == array.tobytes() for name, array in parts["start_state"].items())
    assert (int(state["step"]), int(state["seed"])) == (0, 11)
    assert opened.schedule["rate"].tobytes() == parts["schedule"]["rate"].tobytes()
    assert opened.dataset.arrays["ids"].tobytes() == parts["data_fields"]["ids"].tobytes()
    assert job_from_bytes(opened.job.to_bytes()) == opened.job


def test_the_same_job_has_the_same_id(tmp_path: Path) -> None:
    assert small_job(tmp_path / "a").id == small_job(tmp_path / "b").id


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 12},
        {"steps": 11},
        {"interval": 2},
        {"start_state": {**small_parts()["start_state"], "frozen": np.arange(1, 6, dtype=np.int32)}},
        {"schedule": {"rate": np.zeros(12, np.float32)}},
        {"data_fields": {**small_parts()["data_fields"], "y": np.zeros((10, 1), np.float32)}},
    ],
)
def test_whatever_decides_a_bit_changes_the_id(tmp_path: Path, change: dict[str, Any]) -> None:
    assert small_job(tmp_path / "a").id != small_job(tmp_path / "b", **change).id


REFUSED = {
    "a schedule of another length": ({"steps": 13}, "schedule: 'rate' is float32[12], want float32[13]"),
    "a schedule of another name": (
        {"schedule": {"lr": np.zeros(12, np.float32)}},
        "missing ['rate'], not wanted ['lr']",
    ),
    "a schedule of another dtype": ({"schedule": {"rate": np.zeros(12)}}, "is float64[12], want float32[12]"),
    "a state without a slot": (
        {"start_state": {"table": np.zeros((7, 4), np.float32)}},
        "missing ['frozen', 'weight']",
    ),
    "a slot of another shape": (
        {"start_state": {**small_parts()["start_state"], "weight": np.zeros((4, 2), np.float32)}},
        "start state: 'weight' is float32[4, 2], want float32[4, 1]",
    ),
    "another NaN": (
        {"start_state": {**small_parts()["start_state"], "weight": np.full((4, 1), 0x7FC00001, "<u4").view("<f4")}},
        "start state: 'weight': got a NaN other than 0x7fc00000",
    ),
    "a batch of another size": ({"batch_size": 4}, "batch input 'ids' wants int64[3], got 4 records of uint8[]"),
    "a field too few": ({"data_fields": {"ids": np.zeros(10, np.uint8)}}, "no field 'y', got ids"),
    "an inexact load": (
        {"data_fields": {**small_parts()["data_fields"], "y": np.zeros((10, 1), np.int32)}},
        "int32 loads as int32, int64",
    ),
    "no steps": ({"steps": 0, "schedule": {"rate": np.zeros(0, np.float32)}}, "steps is 0, want an integer from 1"),
    "a negative seed": ({"seed": -1}, "seed is -1"),
    "an interval of 0": ({"interval": 0}, "max_interval is 0"),
    "fields of two lengths": (
        {"data_fields": {"ids": np.zeros(10, np.uint8), "y": np.zeros((9, 1), np.float32)}},
        "want the same number",
    ),
    "a stored dtype of no law": (
        {"data_fields": {"ids": np.zeros(10, np.int8), "y": np.zeros((10, 1), np.float32)}},
        "field 'ids': got dtype int8",
    ),
    "windows over rows": (
        {"data_fields": {"ids": Windows(np.zeros((10, 2), np.uint8), 2, 1), "y": np.zeros((10, 1), np.float32)}},
        "want at least 1 and 1 over a stream of rank 1",
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_refuses_and_writes_nothing(tmp_path: Path, wrong: str) -> None:
    change, message = REFUSED[wrong]
    with pytest.raises(ValueError, match=re.escape(message)):
        write_job(tmp_path / "job", **{**small_parts(), **change})
    assert list(tmp_path.iterdir()) == []


def test_refuses_to_write_over_a_folder(tmp_path: Path) -> None:
    small_job(tmp_path / "job")
    with pytest.raises(ValueError, match="already exists, want a new or an empty folder"):
        write_job(tmp_path / "job", **small_parts())
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


@pytest.mark.parametrize("name", ["job.cbor", "program.cbor", "data.cbor", "data.safetensors", "schedule.safetensors"])
@pytest.mark.parametrize("fault", ["missing", "empty", "truncated", "last byte altered", "longer"])
def test_refuses_a_damaged_file(tmp_path: Path, name: str, fault: str) -> None:
    small_job(tmp_path / "job")
    path = tmp_path / "job" / name
    data = path.read_bytes()
    path.unlink()
    if fault != "missing":
        changed = {"empty": b"", "truncated": data[:-1], "longer": data + b"\0"}
        path.write_bytes(changed.get(fault, data[:-1] + bytes([data[-1] ^ 1])))
    with pytest.raises(ValueError):
        open_job(tmp_path / "job", BACKEND)


def test_names_the_altered_field(tmp_path: Path) -> None:
    opened = small_job(tmp_path / "job")
    arrays = {**opened.dataset.arrays, "y": opened.dataset.arrays["y"] + np.float32(1)}
    write_arrays(tmp_path / "job" / "data.safetensors", arrays)
    with pytest.raises(ValueError, match="data: field 'y' was altered"):
        open_job(tmp_path / "job", BACKEND)


def test_refuses_the_schedule_and_the_start_of_another_job(tmp_path: Path) -> None:
    small_job(tmp_path / "job")
    small_job(tmp_path / "other", schedule={"rate": np.zeros(12, np.float32)})
    schedule = tmp_path / "job" / "schedule.safetensors"
    kept = schedule.read_bytes()
    schedule.write_bytes((tmp_path / "other" / "schedule.safetensors").read_bytes())
    with pytest.raises(ValueError, match=re.escape("schedule.safetensors was altered or is of another job")):
        open_job(tmp_path / "job", BACKEND)
    schedule.write_bytes(kept)
    manifest = "checkpoints/000000000000.cbor"
    (tmp_path / "job" / manifest).write_bytes((tmp_path / "other" / manifest).read_bytes())
    with pytest.raises(ValueError, match="start state's job was altered or is of another job"):
        open_job(tmp_path / "job", BACKEND)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 2**32},
        {"steps": True},
        {"steps": "12"},
        {"seed": 2**63},
        {"program": b"short"},
        {"extra": 1},
        {"format": "x"},
    ],
)
def test_refuses_bytes_that_are_no_job(tmp_path: Path, change: dict[str, Any]) -> None:
    content = from_canonical(small_job(tmp_path / "job").job.to_bytes(), "job")
    with pytest.raises(ValueError, match=r"^job"):
        job_from_bytes(to_canonical({**content, **change}))


def test_committed_steps_end_with_the_last_step() -> None:
    roots = b"p" * 32, b"s" * 32, b"d" * 32, b"l" * 32
    job = Job(*roots, records=5, batch_size=2, seed=0, steps=10, interval="auto", max_interval=99)
    assert job.committed_steps(4) == (0, 4, 8, 10)
    assert job.committed_steps(5) == (0, 5, 10)
    assert job.committed_steps(99) == (0, 10)
    with pytest.raises(ValueError, match="interval: got 5, want the job's 4"):
        replace(job, interval=4, max_interval=4).committed_steps(5)
