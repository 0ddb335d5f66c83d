"""Jobs without a gradient: every record is mapped once, every row committed to, and no row is lost."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from engine.job import JobFolder, store_traced, write_job
from engine.outputs import output_types, write_outputs
from engine.replay import check
from engine.run import RunFolder
from engine.trace import TraceError, trace_job
from engine.train import train
from tests.engine.small_jobs import BACKEND, BACKENDS, small_parts

RECORDS, B = 23, 4
STEPS = 6


def mapping_job(**changes: object) -> ModuleType:
    """Logits and classes of 23 records by 4, so that the last batch runs into the second epoch."""
    job = ModuleType("mapping")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    model[1].running_mean.uniform_(-1, 1)

    def outputs(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        logits = model(batch["x"])
        return {"logits": logits, "class": logits.argmax(1), "same": batch["x"], "largest": logits.max()}

    data = {"x": np.random.default_rng(1).standard_normal((RECORDS, 5)).astype(np.float32)}
    vars(job).update(model=model.eval(), outputs=outputs, data=data, batch_size=B, seed=5, width="strict")
    vars(job).update(changes)
    return job


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    return store_traced(tmp_path_factory.mktemp("outputs") / "job", trace_job(mapping_job()), BACKEND)


@pytest.fixture(scope="module")
def run(job: JobFolder) -> RunFolder:
    folder = job.folder.parent / "run"
    train(job, folder, BACKEND)
    return RunFolder(folder)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_record_has_its_row_on_every_backend(
    tmp_path: Path, job: JobFolder, run: RunFolder, backend: str
) -> None:
    train(job, tmp_path / "run", backend)
    assert RunFolder(tmp_path / "run").roots() == run.roots()
    assert write_outputs(job, RunFolder(tmp_path / "run"), tmp_path / "out", backend) == RECORDS
    made, wanted = load_file(tmp_path / "out"), mapping_job()
    x = torch.from_numpy(wanted.data["x"])
    with torch.no_grad():
        logits = wanted.model(x).numpy()
    assert set(made) == {"logits", "class", "same"} == set(output_types(job.program))
    assert np.allclose(made["logits"], logits, rtol=1e-5, atol=1e-6)
    assert made["class"].tolist() == logits.argmax(1).tolist() and made["class"].dtype == np.int64
    assert made["same"].tobytes() == wanted.data["x"].tobytes()


def test_a_job_that_maps_takes_one_epoch_and_changes_no_weight(job: JobFolder, run: RunFolder) -> None:
    assert (job.job.steps, job.job.interval) == (STEPS, 1)
    state = run.store.read_arrays(run.store.read_manifest(STEPS))
    start = job.start_state(BACKEND)
    kept = [name for name in start if name.startswith(("parameter.", "buffer."))]
    assert kept and all(state[name].tobytes() == start[name].tobytes() for name in kept)
    assert set(run.metrics()[0]) == {"largest"}


def test_an_interrupted_run_ends_in_the_same_rows(tmp_path: Path, job: JobFolder, run: RunFolder) -> None:
    train(job, tmp_path / "run", BACKEND, until=3)
    rows = tmp_path / "run" / "outputs" / "00.bin"
    rows.write_bytes(rows.read_bytes() + b"of a step that no checkpoint has")
    with pytest.raises(ValueError, match="has done 3 of 6 steps"):
        write_outputs(job, RunFolder(tmp_path / "run"), tmp_path / "out", BACKEND)
    train(job, tmp_path / "run", BACKEND)
    write_outputs(job, RunFolder(tmp_path / "run"), tmp_path / "out", BACKEND)
    write_outputs(job, run, tmp_path / "whole", BACKEND)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


def test_altered_or_missing_rows_are_refused(tmp_path: Path, job: JobFolder, run: RunFolder) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy, symlinks=True)
    rows = copy / "outputs" / "01.bin"
    data = bytearray(rows.read_bytes())
    data[B * 8 * 2 + 3] ^= 1
    rows.write_bytes(data)
    with pytest.raises(ValueError, match="the rows of step 2 are not those that the run committed to"):
        write_outputs(job, RunFolder(copy), tmp_path / "out", BACKEND)
    rows.write_bytes(data[:-1])
    with pytest.raises(ValueError, match="does not hold the rows of 6 steps"):
        write_outputs(job, RunFolder(copy), tmp_path / "out", BACKEND)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="holds fewer rows than the 6 steps"):
        train(job, copy, BACKEND)


def test_check_finds_a_wrong_row(tmp_path: Path, job: JobFolder, run: RunFolder) -> None:
    assert check(job, run, 0, STEPS, BACKENDS[-1]) is None
    other = trace_job(mapping_job(outputs=lambda model, batch: {"logits": model(batch["x"])}))
    assert store_traced(tmp_path / "other", other, BACKEND).id != job.id


def test_streams_are_mapped_by_windows(tmp_path: Path) -> None:
    """Token counts of each window: a preprocessing job without a parameter."""
    tokens = np.random.default_rng(0).integers(0, 9, 30).astype(np.uint8)
    module = mapping_job(
        model=torch.nn.Identity(),
        data={"tokens": tokens},
        window=6,
        window_stride=4,
        outputs=lambda model, batch: {"zeros": (batch["tokens"] == 0).sum(1), "doubled": batch["tokens"] * 2},
    )
    job = store_traced(tmp_path / "job", trace_job(module), BACKEND)
    train(job, tmp_path / "run", BACKEND)
    write_outputs(job, RunFolder(tmp_path / "run"), tmp_path / "out", BACKEND)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, 6)[::4]
    made = load_file(tmp_path / "out")
    assert made["zeros"].tolist() == (windows == 0).sum(1).tolist()
    assert made["doubled"].tolist() == (windows.astype(int) * 2).tolist()


REFUSED = {
    "a loss beside outputs": ({"loss": lambda model, batch: 0}, "either a job that trains or one that maps"),
    "an interval": ({"interval": 2}, "got outputs and interval"),
    "no rows": ({"outputs": lambda model, batch: {"mean": batch["x"].mean()}}, "want a tensor of 4 rows"),
    "other rows": ({"outputs": lambda model, batch: {"t": batch["x"].T}}, "want 4 rows, one a record"),
    "a tensor": ({"outputs": lambda model, batch: batch["x"]}, "want a dict of name -> tensor"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_refuses_a_job_file(wrong: str) -> None:
    changes, message = REFUSED[wrong]
    with pytest.raises(TraceError, match=message):
        trace_job(mapping_job(**changes))


def test_refuses_a_model_that_learns_while_it_maps() -> None:
    job = mapping_job()
    job.model.train()
    with pytest.raises(TraceError, match=r"outputs changes the buffer 1\.running_mean, want .*model\.eval\(\)"):
        trace_job(job)


def test_refuses_a_job_that_does_not_commit_to_every_row(tmp_path: Path) -> None:
    traced = trace_job(mapping_job())
    parts = {**small_parts(), "program": traced.program, "start_state": traced.start_state, "schedule": {}}
    parts |= {"data_fields": traced.fields, "steps": STEPS, "seed": 5, "batch_size": B, "interval": 2}
    with pytest.raises(ValueError, match=re.escape("got outputs and interval 2, want 1")):
        write_job(tmp_path / "job", **parts)
