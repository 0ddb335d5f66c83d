"""The run: steps, roots, metrics, checkpoints; it may be killed at any moment and resumed to the same bits."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from engine.ahead import Ahead
from engine.execute import NodeFault
from engine.interval import resolve
from engine.job import JobFolder, next_state, open_job
from engine.memory import estimate, require_fits
from engine.outputs import OutputFiles
from engine.replay import check
from engine.resident import OnHost, Resident
from engine.run import RunFolder, read_state, writing
from engine.state import StateCommitment, StateHasher
from engine.store import Checkpoint

__all__ = ["Progress", "RunFolder", "check", "train"]

CHECKPOINTS_PER_RUN, CHECKPOINT_PERCENT = 20, 1
# Roots lost with the machine's power are computed again from the checkpoint, so not every one waits for the disk.
SYNC_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a step.

    step:    steps done; steps: of the job
    metrics: of the last step, empty where this call did none
    root:    of the state, None where this step commits to none
    rate:    steps a second in this call; left_s: seconds to the end at this rate
    """

    step: int
    steps: int
    metrics: Mapping[str, Any]
    root: bytes | None
    rate: float
    left_s: float


def train(
    job_folder: JobFolder | str | Path,
    run_folder: str | Path,
    backend: str = "native",
    threads: int = 1,
    until: int | None = None,
    checkpoint_every: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    interval: int | None = None,
    graphs: bool = False,
) -> Progress:
    """Start or resume a run and go on until all steps, or `until` of them, are done; gives where it stands.

    Ctrl-C and SIGTERM stop it after the step with a checkpoint. A NodeFault ends it: the fault is recorded beside
    the checkpoint of the state before. A ValueError with the numbers where this machine has too little memory.

    interval: steps between commitments, as in an accepted bid; None: as the run began, or as the job has it, measured
              here where a run begins and the job leaves it open
    graphs:   start whole steps as CUDA graphs; a ValueError where the backend or this machine cannot
    """
    job = job_folder if isinstance(job_folder, JobFolder) else open_job(job_folder, backend, threads)
    last = job.job.steps if until is None else until
    if not 0 <= last <= job.job.steps or (checkpoint_every is not None and checkpoint_every < 1):
        wanted = f"0 to {job.job.steps} and 1 or more"
        raise ValueError(f"train: got until {last} and checkpoint_every {checkpoint_every}, want {wanted}")
    require_fits(estimate(job, backend), backend)
    with writing(run_folder, job, lambda: resolve(job, backend, threads) if interval is None else interval) as run:
        if interval not in (None, run.interval):
            raise ValueError(f"train: got interval {interval}, want the run's own {run.interval}")
        saving = Saving.by_itself(job.job.steps, run.interval) if checkpoint_every is None else Saving(checkpoint_every)
        with closing(_Run(job, run, backend, threads, graphs)) as going, _stop_signals() as stop:
            return going.advance(last, saving, stop, progress or (lambda _: None))


@dataclass(slots=True)
class Saving:
    """When a run saves its state. every: steps between; percent: of the run's time that saving may take, if limited."""

    every: int
    percent: int | None = None
    spent_s: float = 0.0
    longest_s: float = 0.0

    @staticmethod
    def by_itself(steps: int, interval: int) -> Saving:
        """About 20 checkpoints a run, at committed states; fewer where they would take more than 1 % of its time."""
        every = -(-steps // CHECKPOINTS_PER_RUN // interval) * interval or interval
        return Saving(every, CHECKPOINT_PERCENT)

    def is_due(self, step: int, elapsed_s: float) -> bool:
        """Whether to save now. The first checkpoint, whose time nobody knows, is always due."""
        dear = self.percent is not None and 100 * (self.spent_s + self.longest_s) > self.percent * elapsed_s
        return step % self.every == 0 and not dear

    def took(self, seconds: float) -> None:
        """Note a checkpoint."""
        self.spent_s += seconds
        self.longest_s = max(self.longest_s, seconds)


@dataclass(slots=True)
class _Pending:
    """A step that is done but for its root and its report."""

    step: int
    metrics: dict[str, Any]
    commitment: Callable[[], StateCommitment] | None
    root: bytes | None = None


class _Run:
    """A run being written: the state after its last step, and the open logs."""

    def __init__(self, job: JobFolder, run: RunFolder, backend: str, threads: int, graphs: bool) -> None:
        self.job, self.run = job, run
        self.hasher = StateHasher(backend, threads)
        self.resident = Resident(job.program, backend, threads, graphs)
        self.saved = max(run.checkpoints(), default=0)
        self.state: dict[str, Any] = read_state(job, run, self.saved, backend, self.resident.slots)
        self.resident.load(self.state)
        self.state.update(self.resident.state)
        self.step = self.saved
        self.roots = run.roots_log.open(range(0, self.step, run.interval))
        self.metrics = run.metrics_log.open(range(self.step))
        self.outputs = OutputFiles(run.folder, job.program, self.step)
        self.synced = time.monotonic()
        self.ahead = None if self.resident.memory.on_host else Ahead(job)
        self.pending: _Pending | None = None
        self.now = Progress(self.step, job.job.steps, {}, None, 0.0, 0.0)

    def advance(self, last: int, saving: Saving, stop: threading.Event, report: Callable[[Progress], None]) -> Progress:
        """Steps until `last`, or until stopped; checkpoints on the way, and at the end."""
        self.first, self.started, self.report = self.step, time.monotonic(), report
        on_host = self.resident.memory.on_host
        self._begin_commit({})
        if on_host:
            self._finish()
        while self.step < last and not stop.is_set():
            self._begin_commit(self._one_step())
            if saving.is_due(self.step, (begun := time.monotonic()) - self.started):
                self._save()
                saving.took(time.monotonic() - begun)
            if on_host:
                self._finish()
        self._save()
        self._finish()
        return self.now

    def _one_step(self) -> dict[str, Any]:
        try:
            metrics = self.resident.step(self._inputs(), self._finish)
        except NodeFault as fault:
            self._finish()
            self._save()
            where = {"step": self.step, "node": fault.node, "operator": fault.operator, "element": fault.element}
            self.run.write_fault({**where, "reason": fault.reason})
            raise
        numbers = [metrics[output.name] for output in self.job.program.outputs_of("metric")]
        self.metrics.write(self.step, b"".join(number.tobytes() for number in numbers))
        self.state = next_state(self.job.program, self.state, self.resident.state)
        self.outputs.write(OnHost(self.state, self.resident.memory))
        self.step += 1
        return {name: number.item() for name, number in zip(self.run.metric_dtypes, numbers, strict=True)}

    def _inputs(self) -> dict[str, Any]:
        """What the step takes beside the state; of a device's next step too, while it computes this one."""
        seed = int(self.state["seed"])
        return self.job.other_inputs(self.step, seed) if self.ahead is None else self.ahead.inputs(self.step, seed)

    def _begin_commit(self, numbers: dict[str, Any]) -> None:
        """Begins to hash the state where the run commits to it; on a device, the next step begins before it is over."""
        is_committed = self.step % self.run.interval == 0 or self.step == self.job.job.steps
        self.pending = _Pending(self.step, numbers, self.hasher.begin(self.state) if is_committed else None)

    def _write_root(self) -> None:
        """Append the root of the last step's state to the log."""
        pending = self.pending
        if pending is None or pending.commitment is None:
            return
        pending.root = pending.commitment().root
        pending.commitment = None
        self.roots.write(pending.step, pending.root)
        if time.monotonic() - self.synced > SYNC_EVERY_S:
            self._sync()

    def _finish(self) -> None:
        """What is left to do of the last step: its root and its report."""
        self._write_root()
        pending, self.pending = self.pending, None
        if pending is None:
            return
        rate = (pending.step - self.first) / max(time.monotonic() - self.started, 1e-9)
        self.now = self._progress(pending, rate)
        if pending.step > self.first:
            self.report(self.now)

    def _sync(self) -> None:
        self.roots.sync()
        self.metrics.sync()
        self.synced = time.monotonic()

    def _save(self) -> None:
        """A checkpoint of the state. Logs and outputs reach the disk before it does: it never outruns them."""
        if self.step == self.saved:
            return
        self._write_root()
        self._sync()
        self.outputs.sync()
        state = self.hasher.commit(self.state)
        checkpoint = Checkpoint(self.job.id, self.step, state.slots, state.chunks)
        self.run.store.write_checkpoint(checkpoint, OnHost(self.state, self.resident.memory))
        self.saved = self.step

    def _progress(self, done: _Pending, rate: float) -> Progress:
        steps = self.job.job.steps
        return Progress(done.step, steps, done.metrics, done.root, rate, (steps - done.step) / rate if rate else 0.0)

    def close(self) -> None:
        """Give the logs back."""
        self.roots.close()
        self.metrics.close()
        self.outputs.close()
        if self.ahead is not None:
            self.ahead.close()


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; the second one acts as usual. Outside the main thread it is never set."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
