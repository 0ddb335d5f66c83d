"""What commitments and checkpoints cost: beside steps without them, and beside SHA-256 by itself."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, median_low
from time import perf_counter_ns, process_time_ns
from typing import Any

import numpy as np

from bench.case import Case, Competitors, Work, backend
from bench.suites.step import MODELS, ours_of, traced
from engine.interval import MEASURED_STEPS, PERCENT, Costs
from engine.job_id import MAX_INTERVAL
from engine.state import CHUNK_SIZE, StateHasher
from engine.store import Checkpoint, Store
from engine.train import CHECKPOINT_PERCENT
from kernels.hashing import as_bytes

TREE_BYTES = 2**26


@dataclass
class Spent:
    """Nanoseconds by name, on the clock and of the processor: other load lengthens the second less."""

    clock: dict[str, list[int]] = field(default_factory=dict)
    processor: dict[str, list[int]] = field(default_factory=dict)

    def on(self, name: str, work: Callable[[], Any]) -> Any:
        """What the work gives; its time is noted."""
        clock, processor = perf_counter_ns(), process_time_ns()
        result = work()
        self.processor.setdefault(name, []).append(process_time_ns() - processor)
        self.clock.setdefault(name, []).append(perf_counter_ns() - clock)
        return result

    def seconds(self, name: str) -> float:
        """The median on the clock."""
        return median(self.clock[name]) / 1e9

    def percent(self, name: str, of: str, times: int) -> dict[str, float]:
        """How many percent of so many of another a work takes, by both."""
        shares = {"percent": self.clock, "percent_of_processor": self.processor}
        return {what: 100 * median(spent[name]) / (times * median(spent[of])) for what, spent in shares.items()}


def committed_run(name: str, threads: int) -> Competitors:
    """The steps of an interval, found as a solver finds it, and their commitment; as many steps of the same arrays
    without one: of other arrays they take other time, for where these lie in memory."""
    job, batch = traced(MODELS[name], "default"), MODELS[name]()["data"]
    resident, step = ours_of(job, batch, threads)
    hasher, spent = StateHasher("native", threads), Spent()

    def commit() -> bytes:
        return spent.on("commit", lambda: hasher.commit(resident.state).root)

    step()
    hasher.commit(resident.state)  # what no step changes is hashed once in a run
    for _ in range(MEASURED_STEPS):
        spent.on("step", step)
        commit()
    interval = Costs(median_low(spent.clock["step"]), median_low(spent.clock["commit"])).interval(MAX_INTERVAL)

    def ours() -> bytes:
        for _ in range(interval):
            spent.on("step", step)
        return commit()

    def theirs() -> None:
        for _ in range(interval):
            step()

    def facts() -> dict[str, float]:
        times = {"step_s": spent.seconds("step"), "commit_s": spent.seconds("commit")}
        return {"interval": interval, **times, "aim_percent": PERCENT, **spent.percent("commit", "step", interval)}

    return Competitors(ours, {"uncommitted": theirs}, facts)


def hashed_state(name: str, threads: int) -> Competitors:
    """The commitment to what a step changes of a state, and OpenSSL over the same bytes, in 1 MiB a message."""
    job, batch = traced(MODELS[name], "default"), MODELS[name]()["data"]
    resident, _ = ours_of(job, batch, threads)
    hasher = StateHasher("native", threads)
    hasher.commit(before := resident.state)
    changed = {slot: array for slot, array in resident.state.items() if array is not before[slot]}
    size = sum(array.nbytes for array in changed.values())
    return Competitors(
        lambda: hasher.commit(resident.state).root,
        {"openssl": openssl(changed, threads)},
        lambda: {"bytes": size, "slots": len(changed)},
    )


def openssl(arrays: Mapping[str, np.ndarray], threads: int) -> Work:
    """SHA-256 as the machine's own library has it, over every MiB by itself, on so many threads."""
    views = [as_bytes(array) for array in arrays.values()]
    parts = [view[at : at + CHUNK_SIZE] for view in views for at in range(0, len(view), CHUNK_SIZE)]
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda part: hashlib.sha256(part).digest(), parts))


def checkpointed(name: str, threads: int) -> Competitors:
    """A step and a checkpoint of it, on the disk of the temporary folder; a step without one."""
    job, batch = traced(MODELS[name], "default"), MODELS[name]()["data"]
    resident, step = ours_of(job, batch, threads)
    _, uncommitted = ours_of(job, batch, threads)
    hasher, spent = StateHasher("native", threads), Spent()
    folder = Path(tempfile.mkdtemp(prefix="isobit-bench-"))

    def ours() -> None:
        spent.on("step", step)
        state, store = hasher.commit(resident.state), Store(folder, create=True)
        checkpoint = Checkpoint(bytes(32), 1, state.slots, state.chunks)
        spent.on("save", partial(store.write_checkpoint, checkpoint, resident.state))
        shutil.rmtree(folder)

    def facts() -> dict[str, float]:
        save_s, step_s = spent.seconds("save"), spent.seconds("step")
        return {"save_s": save_s, "step_s": step_s, "steps_between": 100 * save_s / (CHECKPOINT_PERCENT * step_s)}

    return Competitors(ours, {"uncommitted": uncommitted}, facts)


def tree(threads: int) -> Competitors:
    """The root over 1 KiB leaves, and OpenSSL over as many streams as there are threads: the machine's plain rate."""
    data = np.random.default_rng(0).bytes(TREE_BYTES)
    parts = [data[i * TREE_BYTES // threads : (i + 1) * TREE_BYTES // threads] for i in range(threads)]
    pool = ThreadPoolExecutor(threads)

    def streams() -> list[bytes]:
        return list(pool.map(lambda part: hashlib.sha256(part).digest(), parts))

    return Competitors(partial(backend().tree_root, data, threads=threads), {"openssl": streams})


def cases() -> list[Case]:
    """The bare tree, and the models of the step suite at default width."""
    kinds = {"auto": committed_run, "state": hashed_state, "checkpoint": checkpointed}
    models = [Case(f"{name} {kind}", partial(made, name), 0, "none") for kind, made in kinds.items() for name in MODELS]
    return [Case(f"tree root of {TREE_BYTES} bytes", tree, TREE_BYTES, "bytes"), *models]
