"""A run: the same roots on every backend, whatever interrupts it, and a clear refusal of whatever is not its own."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_jobs import BACKEND, BACKENDS, small_job, small_parts

from engine.execute import NodeFault
from engine.job import JobFolder, write_job
from engine.log import DamagedLog
from engine.state import commit
from engine.train import Progress, RunFolder, Saving, check, train

STEPS = 12
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    return small_job(tmp_path_factory.mktemp("train") / "job")


@pytest.fixture(scope="module")
def whole(job: JobFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(job, folder, BACKEND, checkpoint_every=3)
    return RunFolder(folder)


def same(run: RunFolder, whole: RunFolder) -> bool:
    manifest = max(whole.checkpoints())
    last = [folder.store.read_manifest(manifest).to_bytes() for folder in (run, whole)]
    return run.roots() == whole.roots() and run.metrics() == whole.metrics() and last[0] == last[1]


@pytest.mark.parametrize("backend, threads", list(itertools.product(BACKENDS, (1, 2))))
def test_every_backend_and_thread_count_gives_the_same_run(
    tmp_path: Path, job: JobFolder, whole: RunFolder, backend: str, threads: int
) -> None:
    done = train(job, tmp_path / "run", backend, threads, checkpoint_every=5)
    assert (done.step, done.root) == (STEPS, whole.roots()[STEPS])
    assert same(RunFolder(tmp_path / "run"), whole)


def test_the_log_holds_the_roots_of_the_states(job: JobFolder, whole: RunFolder) -> None:
    assert sorted(whole.roots()) == list(range(STEPS + 1))
    assert whole.roots()[0] == job.job.start
    for step in whole.checkpoints():
        state = whole.store.read_arrays(whole.store.read_manifest(step), BACKEND)
        assert commit(state, BACKEND).root == whole.roots()[step]


def test_training_learns(whole: RunFolder) -> None:
    losses = [numbers["loss"] for numbers in whole.metrics().values()]
    assert len(losses) == STEPS and all(np.isfinite(losses)) and len(set(losses)) == STEPS


@pytest.mark.parametrize("interval, steps", [(1, range(13)), (5, [0, 5, 10, 12]), (12, [0, 12]), (100, [0, 12])])
def test_roots_are_logged_once_an_interval_and_at_the_end(tmp_path: Path, interval: int, steps: list[int]) -> None:
    train(small_job(tmp_path / "job", interval=interval), tmp_path / "run", BACKEND, checkpoint_every=4)
    assert list(RunFolder(tmp_path / "run").roots()) == list(steps)


def test_stopping_and_going_on_changes_no_bit(tmp_path: Path, job: JobFolder, whole: RunFolder) -> None:
    for until in (0, 1, 4, 4, 2, 9, None):
        train(job, tmp_path / "run", BACKEND, until=until, checkpoint_every=3)
    assert same(RunFolder(tmp_path / "run"), whole)


def test_a_finished_run_stays_as_it_is(tmp_path: Path, job: JobFolder) -> None:
    train(job, tmp_path / "run", BACKEND)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert train(job, tmp_path / "run", BACKEND).step == STEPS
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def run_until_killed(job: JobFolder, run: Path, event: int) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(Path(__file__).with_name("kill_run.py")),
        str(job.folder),
        str(run),
        BACKEND,
        str(event),
    ]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


def test_killed_at_any_write_it_resumes_to_the_same_bits(tmp_path: Path, job: JobFolder, whole: RunFolder) -> None:
    """One run, killed again and again, each time a little later among its writes, syncs and renames."""
    died = 0
    for event in (1, 2, 4, 7, 11, 13, 14, 15, 16, 17, 18, 19, 9999):
        result = run_until_killed(job, tmp_path / "run", event)
        assert result.returncode in (0, -signal.SIGKILL), result.stderr
        died += result.returncode != 0
    assert died >= 8
    assert same(RunFolder(tmp_path / "run"), whole)


@pytest.mark.parametrize("event", [3, 14, 20, 27, 38, 51, 66, 84])
def test_killed_once_it_resumes_to_the_same_bits(tmp_path: Path, job: JobFolder, whole: RunFolder, event: int) -> None:
    assert run_until_killed(job, tmp_path / "run", event).returncode == -signal.SIGKILL
    train(job, tmp_path / "run", BACKEND, checkpoint_every=3)
    assert same(RunFolder(tmp_path / "run"), whole)


@pytest.mark.parametrize("name, cuts", [("roots.log", (1, 8, 47, 60)), ("metrics.log", (1, 8, 19, 30))])
def test_a_torn_tail_of_a_log_is_written_again(
    tmp_path: Path, job: JobFolder, whole: RunFolder, name: str, cuts: tuple[int, ...]
) -> None:
    for cut in cuts:
        folder = tmp_path / str(cut)
        train(job, folder, BACKEND, until=5, checkpoint_every=3)
        (folder / "checkpoints" / "000000000005.cbor").unlink()
        path = folder / name
        path.write_bytes(path.read_bytes()[:-cut])
        train(job, folder, BACKEND, checkpoint_every=3)
        assert same(RunFolder(folder), whole)


def test_a_log_damaged_before_the_checkpoint_is_named(tmp_path: Path, job: JobFolder) -> None:
    train(job, tmp_path / "run", BACKEND, until=6)
    path = tmp_path / "run" / "roots.log"
    data = bytearray(path.read_bytes())
    data[-3 * 48 + 10] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedLog, match="record 4 is damaged and 144 bytes follow"):
        RunFolder(tmp_path / "run").roots()
    with pytest.raises(DamagedLog, match="record 4, of step 4, is damaged or missing"):
        train(job, tmp_path / "run", BACKEND)
    assert path.read_bytes() == data


def test_a_root_that_a_resumed_run_does_not_give_again_is_named(tmp_path: Path, job: JobFolder) -> None:
    """The log says another root for step 5: a bit flipped in one of the two computations."""
    train(job, tmp_path / "run", BACKEND, until=5, checkpoint_every=3)
    run = RunFolder(tmp_path / "run")
    (run.folder / "checkpoints" / "000000000005.cbor").unlink()
    path, log = run.roots_log.path, run.roots_log
    path.write_bytes(path.read_bytes()[: -log.record_size] + log.encode(5, b"\x07" * 32))
    with pytest.raises(ValueError, match=r"an earlier run logged 0707.* for step 5, this one computes .* for step 5"):
        train(job, tmp_path / "run", BACKEND)


def test_refuses_the_run_of_another_job(tmp_path: Path, job: JobFolder) -> None:
    other = small_job(tmp_path / "other", seed=12)
    train(job, tmp_path / "run", BACKEND, until=2)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=f"is a run of job {job.id.hex()}, want {other.id.hex()}"):
        train(other, tmp_path / "run", BACKEND)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_refuses_the_checkpoint_of_another_job(tmp_path: Path, job: JobFolder) -> None:
    other = small_job(tmp_path / "other", seed=12)
    train(job, tmp_path / "run", BACKEND, until=2)
    train(other, tmp_path / "other_run", BACKEND, until=2)
    name = "checkpoints/000000000002.cbor"
    (tmp_path / "run" / name).write_bytes((tmp_path / "other_run" / name).read_bytes())
    with pytest.raises(ValueError, match=f"checkpoint 2: is of job {other.id.hex()}, want {job.id.hex()}"):
        train(job, tmp_path / "run", BACKEND)


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_names_the_damaged_chunk(tmp_path: Path, job: JobFolder, damage: str) -> None:
    train(job, tmp_path / "run", BACKEND, until=2)
    run = RunFolder(tmp_path / "run")
    manifest = run.store.read_manifest(2)
    key = manifest.chunks[1][0].hex()
    path = run.folder / "chunks" / key
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[:-1] if damage == "truncated" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match=rf"checkpoint 2: slot 'weight': store: chunk {key} (has|was|is)"):
        train(job, tmp_path / "run", BACKEND)


def test_refuses_a_folder_that_holds_something_else(tmp_path: Path, job: JobFolder) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"holds thesis.tex and is no run"):
        train(job, tmp_path / "run", BACKEND)


def test_refuses_a_second_writer(tmp_path: Path, job: JobFolder) -> None:
    train(job, tmp_path / "run", BACKEND, until=1)
    with open(tmp_path / "run" / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process is writing"):
            train(job, tmp_path / "run", BACKEND)


@pytest.mark.parametrize("arguments", [{"until": 13}, {"until": -1}, {"checkpoint_every": 0}])
def test_refuses_a_range_outside_the_job(tmp_path: Path, job: JobFolder, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="want 0 to 12 and 1 or more"):
        train(job, tmp_path / "run", BACKEND, **arguments)
    assert not (tmp_path / "run").exists()


def test_control_c_stops_after_the_step_with_a_checkpoint(tmp_path: Path, job: JobFolder, whole: RunFolder) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def interrupt(now: Progress) -> None:
        if now.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    done = train(job, tmp_path / "run", BACKEND, checkpoint_every=100, progress=interrupt)
    assert done.step == 4 and RunFolder(tmp_path / "run").checkpoints() == (4,)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    train(job, tmp_path / "run", BACKEND)
    assert same(RunFolder(tmp_path / "run"), whole)


def test_progress_tells_every_step(tmp_path: Path, job: JobFolder, whole: RunFolder) -> None:
    seen: list[Progress] = []
    train(job, tmp_path / "run", BACKEND, progress=seen.append)
    assert [now.step for now in seen] == list(range(1, STEPS + 1))
    assert [now.metrics for now in seen] == list(whole.metrics().values())
    assert [now.root for now in seen] == list(whole.roots().values())[1:]
    assert all(now.rate > 0 and now.left_s >= 0 for now in seen) and seen[-1].left_s == 0


def test_chunks_that_did_not_change_are_stored_once(tmp_path: Path, job: JobFolder, whole: RunFolder) -> None:
    keys = [whole.store.read_manifest(step).chunks for step in whole.checkpoints()]
    frozen = {slots[2] for slots in keys}
    assert len(keys) == 4 and len(frozen) == 1
    every = {key.hex() for slots in keys for slot in slots for key in slot}
    assert {path.name for path in (whole.folder / "chunks").iterdir()} == every


def test_a_fault_of_the_program_is_recorded_beside_the_state_before(tmp_path: Path) -> None:
    parts = small_parts()
    ids = parts["data_fields"]["ids"].copy()
    ids[4] = 200
    write_job(tmp_path / "job", **{**parts, "data_fields": {**parts["data_fields"], "ids": ids}})
    for _ in range(2):
        with pytest.raises(NodeFault, match=re.escape("take_rows")) as caught:
            train(tmp_path / "job", tmp_path / "run", BACKEND)
    run = RunFolder(tmp_path / "run")
    fault = run.fault()
    assert fault is not None and (fault["node"], fault["operator"]) == (caught.value.node, "take_rows")
    assert max(run.roots()) == fault["step"] and fault["step"] in (0, *run.checkpoints())


def test_check_finds_nothing_in_an_honest_run(job: JobFolder, whole: RunFolder) -> None:
    assert check(job, whole, 0, STEPS, BACKEND) is None
    assert check(job, whole, 4, 7, BACKEND) is None


def test_check_names_the_first_root_that_differs(tmp_path: Path, job: JobFolder, whole: RunFolder) -> None:
    """The liar's roots are wrong from step 5 on; its checkpoints are of its own states."""
    train(job, tmp_path / "run", BACKEND, checkpoint_every=3)
    run = RunFolder(tmp_path / "run")
    honest, log = run.roots(), run.roots_log
    lie = b"".join(log.encode(step, root if step < 5 else b"\1" * 32) for step, root in honest.items())
    log.path.write_bytes(log.header + lie)
    difference = check(job, run, 0, STEPS, BACKEND)
    assert difference is not None
    assert (difference.step, difference.got, difference.want) == (5, whole.roots()[5], b"\1" * 32)


def test_check_refuses_a_range_without_roots(job: JobFolder, whole: RunFolder) -> None:
    with pytest.raises(ValueError, match="no root from step 13 to 20"):
        check(job, whole, 13, 20, BACKEND)


def test_a_run_is_refused_as_a_run_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run: cannot read .*run.cbor"):
        RunFolder(tmp_path)


def test_a_run_saves_by_itself_about_twenty_times_and_within_one_percent_of_its_time() -> None:
    saving, saved = Saving.by_itself(1000, 1), []
    for step in range(1, 1001):
        if saving.is_due(step, elapsed_s=step * 1.0):
            saving.took(0.4)
            saved.append(step)
    assert saved == list(range(50, 1001, 50))
    saving, saved = Saving.by_itself(1000, 7), []
    for step in range(1, 1001):
        if saving.is_due(step, elapsed_s=step * 1.0):
            saving.took(3.0)
            saved.append(step)
            assert len(saved) == 1 or saving.spent_s <= 0.01 * step
    assert saved == [56, 616, 952]


def test_checkpoints_that_are_asked_for_are_written_whatever_they_take() -> None:
    saving = Saving(4)
    saving.took(1000.0)
    assert [step for step in range(1, 13) if saving.is_due(step, elapsed_s=1.0)] == [4, 8, 12]
