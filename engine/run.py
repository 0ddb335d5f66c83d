"""The folder of a run (`run.cbor roots.log metrics.log checkpoints/ chunks/ job`), and who may write it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.canonical import from_canonical, to_canonical
from engine.files import read_file, sync, write_file
from engine.job import JobFolder, require_slots
from engine.log import RecordLog
from engine.merkle import HASH_SIZE
from engine.program import Program
from engine.store import Store
from kernels.types import DTYPES, NUMPY_DTYPE

Array = np.ndarray
FORMAT = "isobit-run-2"
FIELDS = {"format", "job", "interval", "metrics"}
LOCK = ".lock"
JOB_LINK = "job"


class RunFolder:
    """An existing run, for reading: its job, state roots, metrics and checkpoints. A ValueError where it is none."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        content = _content(read_file(self.folder / "run.cbor", "run"), f"run: {self.folder}/run.cbor")
        self.job_id: bytes = content["job"]
        self.interval: int = content["interval"]
        self.metric_dtypes: dict[str, np.dtype] = {name: NUMPY_DTYPE[dtype] for name, dtype in content["metrics"]}

    @property
    def job_folder(self) -> Path:
        """Where the job's folder was when the run began; a ValueError where it is gone."""
        link = self.folder / JOB_LINK
        if not link.is_dir():
            raise ValueError(f"run: {link} leads to no folder, want a link to the folder of job {self.job_id.hex()}")
        return link.resolve()

    @property
    def roots_log(self) -> RecordLog:
        return RecordLog(self.folder / "roots.log", self.job_id, HASH_SIZE)

    @property
    def metrics_log(self) -> RecordLog:
        size = sum(dtype.itemsize for dtype in self.metric_dtypes.values())
        return RecordLog(self.folder / "metrics.log", self.job_id, size)

    @cached_property
    def store(self) -> Store:
        return Store(self.folder, create=True)

    def roots(self) -> dict[int, bytes]:
        """Number of steps done -> state root, for every committed state so far, the start state included."""
        return dict(self.roots_log.read())

    def metrics(self) -> dict[int, dict[str, Any]]:
        """Step -> metric name -> number, exactly as the program gave it."""
        return {step: self._numbers(body) for step, body in self.metrics_log.read()}

    def _numbers(self, body: bytes) -> dict[str, Any]:
        numbers, start = {}, 0
        for name, dtype in self.metric_dtypes.items():
            numbers[name] = np.frombuffer(body, dtype, 1, start)[0].item()
            start += dtype.itemsize
        return numbers

    def checkpoints(self) -> tuple[int, ...]:
        """The numbers of steps done at which a checkpoint stands, ascending."""
        return self.store.checkpoint_steps()

    def fault(self) -> dict[str, Any] | None:
        """Where the program faulted (step, node, operator, element, reason); None where it has not."""
        path = self.folder / "fault.cbor"
        return from_canonical(read_file(path, "run"), "fault.cbor") if path.exists() else None

    def write_fault(self, fault: dict[str, Any]) -> None:
        """Record where the program faulted."""
        write_file(self.folder / "fault.cbor", to_canonical(fault))


def _content(data: bytes, what: str) -> dict[str, Any]:
    """The fields of a run's canonical bytes; a ValueError for anything else."""
    content = from_canonical(data, what)
    if not isinstance(content, dict) or set(content) != FIELDS or content["format"] != FORMAT:
        raise ValueError(f"{what} is no run's, want the fields {', '.join(sorted(FIELDS))}, format {FORMAT!r}")
    job, interval, metrics = content["job"], content["interval"], content["metrics"]
    if not isinstance(job, bytes) or len(job) != HASH_SIZE or type(interval) is not int or interval < 1:
        raise ValueError(f"{what}: want a job id of {HASH_SIZE} bytes and an interval of 1 or more")
    if not isinstance(metrics, list) or not all(map(_is_metric, metrics)):
        raise ValueError(f"{what}: want metrics of [name, dtype], of the dtypes {', '.join(DTYPES)}")
    return content


def _is_metric(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and entry[1] in DTYPES


def open_run(folder: str | Path, job: JobFolder) -> RunFolder:
    """A run of this job; a ValueError where the folder holds a run of another."""
    run = RunFolder(folder)
    if run.job_id != job.id:
        raise ValueError(f"run: {run.folder} is a run of job {run.job_id.hex()}, want {job.id.hex()}")
    job.job.require_interval(run.interval)
    return run


def read_state(
    job: JobFolder,
    run: RunFolder | None,
    step: int,
    backend: str = "native",
    into: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """The state of a checkpoint, or the start state for step 0; a ValueError that names what is wrong with it.

    into: arrays to fill, for the slots that it has
    """
    if step == 0 or run is None:
        return job.start_state(backend, into)
    checkpoint, what = run.store.read_manifest(step), f"checkpoint {step}"
    if checkpoint.job != job.id:
        raise ValueError(f"{what}: is of job {checkpoint.job.hex()}, want {job.id.hex()}")
    require_slots(what, checkpoint.slots, job.program)
    state = run.store.read_arrays(checkpoint, backend, into)
    if (int(state["step"]), int(state["seed"])) != (step, job.job.seed):
        raise ValueError(f"{what}: holds step {state['step']}, seed {state['seed']}, want {step}, {job.job.seed}")
    return state


@contextmanager
def writing(folder: str | Path, job: JobFolder, interval: Callable[[], int]) -> Iterator[RunFolder]:
    """The run folder, made if it is not there, for the one process that may write it.

    interval: gives the steps between two commitments of a run that begins; not called for one that goes on
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"run: another process is writing {folder}") from None
        if not (folder / "run.cbor").exists():
            _start(folder, job, interval)
        _link_job(folder, job)
        yield open_run(folder, job)
    finally:
        os.close(lock)


def _start(folder: Path, job: JobFolder, interval: Callable[[], int]) -> None:
    others = sorted(path.name for path in folder.iterdir() if path.name != LOCK and not path.name.endswith(".tmp"))
    if others:
        raise ValueError(f"run: {folder} holds {', '.join(others[:5])} and is no run, want a new or an empty folder")
    metrics = [[name, dtype] for name, dtype in metric_dtypes(job.program).items()]
    content = {"format": FORMAT, "job": job.id, "interval": job.job.require_interval(interval()), "metrics": metrics}
    write_file(folder / "run.cbor", to_canonical(content))
    sync(folder.parent)


def _link_job(folder: Path, job: JobFolder) -> None:
    link = folder / JOB_LINK
    if not link.is_dir():
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(job.folder.resolve(), folder.resolve()), target_is_directory=True)


def metric_dtypes(program: Program) -> dict[str, str]:
    """The dtype of each metric, in program order."""
    return {output.name: program.types[output.value].dtype for output in program.outputs_of("metric")}
