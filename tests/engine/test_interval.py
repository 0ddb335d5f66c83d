"""The interval of a run: measured once where the job leaves it open, the smallest that is cheap, then frozen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from small_jobs import BACKEND, small_job

from engine import interval as module
from engine.canonical import to_canonical
from engine.interval import Costs, resolve
from engine.job import JobFolder, open_job
from engine.replay import Replay, check
from engine.run import RunFolder
from engine.store import Store
from engine.train import train

MS = 10**6


def clock_of(step_ns: int, commit_ns: int, first: int = 0) -> Callable[[], int]:
    """A clock under which every step and every commitment takes so long, and the first step `first` longer."""
    readings = [0]
    for number in range(4):
        started = readings[-1]
        stepped = started + step_ns + first * (number == 0)
        readings += [started, stepped, stepped + commit_ns]
    return iter(readings).__next__


@pytest.fixture
def open_ended(tmp_path: Path) -> JobFolder:
    """The small job, its interval left to the solver."""
    return small_job(tmp_path / "job", interval="auto")


@pytest.mark.parametrize(
    "step_ns, commit_ns, want",
    [
        (100 * MS, 0, 1),
        (100 * MS, 1, 1),
        (100 * MS, 2 * MS, 1),
        (100 * MS, 2 * MS + 1, 2),
        (100 * MS, 14 * MS, 7),
        (100 * MS, 14 * MS + 1, 8),
        (MS, 1000 * MS, 12),
    ],
)
def test_the_interval_is_the_smallest_whose_hashing_takes_2_percent(
    open_ended: JobFolder, step_ns: int, commit_ns: int, want: int
) -> None:
    assert resolve(open_ended, BACKEND, clock=clock_of(step_ns, commit_ns)) == want
    assert resolve(open_ended, BACKEND, clock=clock_of(step_ns, commit_ns, first=50_000 * MS)) == want
    assert want == 12 or 100 * commit_ns <= 2 * want * step_ns
    assert want == 1 or 100 * commit_ns > 2 * (want - 1) * step_ns


def test_every_interval_is_the_smallest_within_its_bound() -> None:
    for step_ns in (1, 3, 1000, 10**9):
        for commit_ns in (0, 1, 7, 20, 21, 999, 10**7, 10**11):
            found = Costs(step_ns, commit_ns).interval(1000)
            cheap = [n for n in range(1, 1001) if 100 * commit_ns <= 2 * n * step_ns]
            assert found == (min(cheap) if cheap else 1000)


def test_a_job_with_a_number_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "measure", lambda *_: pytest.fail("measured"))
    job = small_job(tmp_path / "job", interval=5)
    assert job.job.intervals == (5, 5) and resolve(job, BACKEND) == 5
    train(job, tmp_path / "run", BACKEND)
    assert RunFolder(tmp_path / "run").interval == 5


def test_a_program_without_a_first_step_commits_after_every_step(tmp_path: Path) -> None:
    job = small_job(tmp_path / "job", rows=1, interval="auto")  # its row numbers go up to 6
    assert resolve(job, BACKEND) == 1


def test_slow_steps_are_measured_twice_and_no_more(open_ended: JobFolder) -> None:
    clock = clock_of(20_000 * MS, 1000 * MS)
    assert resolve(open_ended, BACKEND, clock=clock) == 3
    assert len(list(iter(clock, None))) == 6, "seven of the thirteen readings were taken"


def measured(monkeypatch: pytest.MonkeyPatch, *found: int) -> list[int]:
    """What each measurement gives in turn; more of them fail. The list holds what was not asked for yet."""
    left = list(found)
    monkeypatch.setattr("engine.train.resolve", lambda *_: left.pop(0) if left else pytest.fail("measured again"))
    return left


def test_a_run_measures_once_and_a_resumed_one_reads_what_it_found(
    open_ended: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = measured(monkeypatch, 5)
    train(open_ended, tmp_path / "run", BACKEND, until=3)
    assert not left
    train(open_ended, tmp_path / "run", BACKEND, until=7)
    train(open_job(open_ended.folder, BACKEND), tmp_path / "run", BACKEND)
    run = RunFolder(tmp_path / "run")
    assert run.interval == 5 and list(run.roots()) == [0, 5, 10, 12]
    assert check(open_ended, run, 0, 12, BACKEND) is None


def test_the_interval_of_an_accepted_bid_is_taken_as_it_is(
    open_ended: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch)
    train(open_ended, tmp_path / "run", BACKEND, until=4, interval=4)
    assert RunFolder(tmp_path / "run").interval == 4
    with pytest.raises(ValueError, match="train: got interval 3, want the run's own 4"):
        train(open_ended, tmp_path / "run", BACKEND, interval=3)
    train(open_ended, tmp_path / "run", BACKEND, interval=4)
    assert list(RunFolder(tmp_path / "run").roots()) == [0, 4, 8, 12]


@pytest.mark.parametrize("given", [0, 13, 256])
def test_an_interval_out_of_the_bounds_of_the_job_is_refused(open_ended: JobFolder, tmp_path: Path, given: int) -> None:
    with pytest.raises(ValueError, match=f"interval: got {given}, want 1 to 12, as the job says"):
        train(open_ended, tmp_path / "run", BACKEND, interval=given)
    assert not (tmp_path / "run" / "run.cbor").exists()
    with pytest.raises(ValueError, match="interval: got 2, want the job's 5"):
        train(small_job(tmp_path / "five", interval=5), tmp_path / "other", BACKEND, interval=2)


def test_a_run_folder_whose_interval_was_altered_is_refused(open_ended: JobFolder, tmp_path: Path) -> None:
    train(open_ended, tmp_path / "run", BACKEND, until=4, interval=4)
    metrics = [["loss", "float32"]]
    content = {"format": "isobit-run-2", "job": open_ended.id, "interval": 13, "metrics": metrics}
    (tmp_path / "run" / "run.cbor").write_bytes(to_canonical(content))
    with pytest.raises(ValueError, match="interval: got 13, want 1 to 12"):
        train(open_ended, tmp_path / "run", BACKEND)


def test_a_check_hashes_the_committed_states_only(
    open_ended: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(open_ended, tmp_path / "run", BACKEND, interval=5)
    replay = Replay(open_ended, None, BACKEND)
    hashed: list[int] = []
    commit = replay._hasher.commit
    monkeypatch.setattr(replay._hasher, "commit", lambda state: hashed.append(int(state["step"])) or commit(state))
    logged = RunFolder(tmp_path / "run").roots()
    assert dict(replay.roots(sorted(logged))) == logged
    assert hashed == [0, 0, 5, 10, 12], "the start state is checked where it is read, and hashed as a root"


BAD_BOUNDS = {
    "a number and another bound": ({"interval": 3, "max_interval": 4}, "job: interval is 3, want 'auto' or the max_i"),
    "no bound": ({"interval": "auto", "max_interval": 0}, "job: max_interval is 0, want an integer from 1"),
    "another word": ({"interval": "often", "max_interval": 4}, "job: interval is 'often', want 'auto' or"),
}


@pytest.mark.parametrize("name", BAD_BOUNDS)
def test_a_job_with_wrong_bounds_is_refused(tmp_path: Path, name: str) -> None:
    changes, message = BAD_BOUNDS[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        small_job(tmp_path / "job", **changes)


def test_an_open_interval_has_a_bound(tmp_path: Path) -> None:
    assert small_job(tmp_path / "short", interval="auto").job.intervals == (1, 12)
    assert small_job(tmp_path / "long", interval="auto", steps=300).job.intervals == (1, 256)
    assert small_job(tmp_path / "given", interval="auto", max_interval=3).job.intervals == (1, 3)
    jobs = [small_job(tmp_path / f"{n}", interval="auto", max_interval=n) for n in (4, 5)]
    assert jobs[0].id != jobs[1].id, "the bound is part of what a job is"
    assert Store(jobs[0].folder).read_manifest(0).job == jobs[0].id
