"""The folder of a job: the job itself, and all that its hashes are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.canonical import to_canonical
from engine.data import Dataset, Windows, dataset_of, fields_from_bytes, verify_arrays
from engine.encoding import program_from_bytes, program_hash, program_to_bytes
from engine.files import map_arrays, read_file, write_arrays, write_file, write_folder
from engine.job_id import Job, job_from_bytes, max_interval_of
from engine.outputs import require_mapping
from engine.program import RESERVED_SLOTS, SCALAR_INT64, Program, verify
from engine.state import Slot, StateHasher, commit, require_canonical
from engine.store import Checkpoint, Store
from kernels.types import NUMPY_DTYPE, TensorType, type_of

if TYPE_CHECKING:
    from engine.trace import TracedJob

Array = np.ndarray


@dataclass(frozen=True)
class JobFolder:
    """An opened and verified job.

    The folder holds `job.cbor program.cbor data.cbor data.safetensors schedule.safetensors checkpoints/ chunks/`.
    """

    folder: Path
    job: Job
    program: Program
    dataset: Dataset
    schedule: dict[str, Array]
    start: Checkpoint

    @cached_property
    def id(self) -> bytes:
        return self.job.id

    @cached_property
    def _batch_types(self) -> dict[str, TensorType]:
        return {value.name: value.type for value in self.program.inputs_of("batch")}

    def start_state(self, backend: str = "native", into: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """The state before step 0: every slot, `step` and `seed` last; each chunk is checked. into: slots to fill."""
        return Store(self.folder).read_arrays(self.start, backend, into)

    def step_inputs(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """The values of the program's inputs at a state: its slots, and what its step and seed decide."""
        slots = {value.name: state[value.name] for value in self.program.inputs_of("state")}
        return {**slots, **self.other_inputs(int(state["step"]), int(state["seed"]))}

    def other_inputs(self, step: int, seed: int) -> dict[str, Array]:
        """The values of the inputs that a step and a seed decide: all but the state."""
        if not 0 <= step < self.job.steps:
            raise ValueError(f"job: got step {step}, want 0 to {self.job.steps - 1}")
        values = self.dataset.load(self._batch_types, seed, step)
        for value in self.program.inputs:
            match value.role:
                case "schedule":
                    values[value.name] = self.schedule[value.name][step : step + 1].reshape(())
                case "step" | "seed":
                    values[value.name] = np.array(step if value.role == "step" else seed, np.int64)
                case "micro_batch":
                    values[value.name] = np.zeros((), np.int64)
        return values


def next_state(program: Program, state: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, Array]:
    """The state after a step: the program's state outputs, step + 1 and the same seed."""
    slots = {value.name: outputs[value.name] for value in program.outputs_of("state")}
    return {**slots, "step": np.array(int(state["step"]) + 1, np.int64), "seed": state["seed"]}


def state_types(program: Program) -> dict[str, TensorType]:
    """The slots of a program's state in order: its state inputs, then `step` and `seed`."""
    types = {value.name: value.type for value in program.inputs_of("state")}
    return {**types, **dict.fromkeys(RESERVED_SLOTS, SCALAR_INT64)}


def write_job(
    folder: str | Path,
    program: Program,
    start_state: Mapping[str, Array],
    data_fields: Mapping[str, Array | Windows],
    schedule: Mapping[str, Array],
    *,
    seed: int,
    steps: int,
    batch_size: int,
    interval: int | Literal["auto"] = "auto",
    max_interval: int | None = None,
    backend: str = "native",
    threads: int = 1,
) -> Job:
    """Write a job folder, whole or not at all, and give its job. start_state holds the program's state inputs only.

    interval: steps between commitments; "auto" leaves it to the solver, up to max_interval
    """
    verify(program)
    _require_metrics(program)
    state = {**start_state, "step": np.array(0, np.int64), "seed": np.array(seed, np.int64)}
    state = _require_types("start state", state, state_types(program))
    schedule = _require_types("schedule", schedule, _schedule_types(program, steps))
    dataset = dataset_of(data_fields, backend, threads)
    _require_batch(program, dataset, batch_size)
    start = StateHasher(backend, threads).commit(state)
    job = Job(
        program_hash(program),
        start.root,
        dataset.root,
        commit(schedule, backend, threads).root,
        dataset.records,
        batch_size,
        seed,
        steps,
        interval,
        max_interval_of(interval, steps) if max_interval is None else max_interval,
    )
    require_mapping(program, job)

    def fill(path: Path) -> None:
        write_file(path / "program.cbor", program_to_bytes(program))
        write_file(path / "data.cbor", to_canonical([field.to_list() for field in dataset.fields]))
        write_arrays(path / "data.safetensors", dataset.arrays)
        write_arrays(path / "schedule.safetensors", schedule)
        Store(path, create=True).write_checkpoint(Checkpoint(job.id, 0, start.slots, start.chunks), state)
        write_file(path / "job.cbor", job.to_bytes())

    write_folder(Path(folder), fill)
    return job


def store_traced(folder: str | Path, traced: TracedJob, backend: str = "native", threads: int = 1) -> JobFolder:
    """Write the job folder of a traced job, whole or not at all, and open it."""
    write_job(
        folder,
        traced.program,
        traced.start_state,
        traced.fields,
        traced.schedule,
        seed=traced.seed,
        steps=traced.steps,
        batch_size=traced.batch_size,
        interval=traced.interval,
        max_interval=traced.max_interval,
        backend=backend,
        threads=threads,
    )
    return open_job(folder, backend, threads)


def open_job(folder: str | Path, backend: str = "native", threads: int = 1) -> JobFolder:
    """A job folder with everything checked against the job's id: program, data, schedule, start state's manifest."""
    folder = Path(folder)
    job = job_from_bytes(read_file(folder / "job.cbor", "job"))
    program = program_from_bytes(read_file(folder / "program.cbor", "job"))
    _require_equal("program.cbor", program_hash(program), job.program)
    _require_metrics(program)
    require_mapping(program, job)
    dataset = _open_dataset(folder, job, backend, threads)
    _require_batch(program, dataset, job.batch_size)
    schedule = _require_types(
        "schedule", map_arrays(folder / "schedule.safetensors", "schedule"), _schedule_types(program, job.steps)
    )
    _require_equal("schedule.safetensors", commit(schedule, backend, threads).root, job.schedule)
    return JobFolder(folder, job, program, dataset, schedule, _open_start(folder, job, program))


def _open_dataset(folder: Path, job: Job, backend: str, threads: int) -> Dataset:
    described = fields_from_bytes(read_file(folder / "data.cbor", "job"))
    arrays = map_arrays(folder / "data.safetensors", "data")
    if set(arrays) != {field.name for field in described}:
        raise ValueError(f"data: got arrays {sorted(arrays)}, want {sorted(field.name for field in described)}")
    dataset = Dataset(described, arrays)
    _require_equal("data.cbor", dataset.root, job.data)
    if dataset.records != job.records:
        raise ValueError(f"data: got {dataset.records} records, want the job's {job.records}")
    return verify_arrays(dataset, backend, threads)


def _open_start(folder: Path, job: Job, program: Program) -> Checkpoint:
    start = Store(folder).read_manifest(0)
    _require_equal("start state", start.root, job.start)
    _require_equal("start state's job", start.job, job.id)
    require_slots("start state", start.slots, program)
    return start


def require_slots(what: str, slots: tuple[Slot, ...], program: Program) -> None:
    """A ValueError unless slots are those of a program's state, in its order."""
    got, want = [(slot.name, slot.type) for slot in slots], list(state_types(program).items())
    if got != want:
        differs = (i for i, pair in enumerate(zip(got, want, strict=False)) if pair[0] != pair[1])
        wrong = next(differs, min(len(got), len(want)))
        shown = [f"{pairs[wrong][0]} {pairs[wrong][1]}" if wrong < len(pairs) else "no slot" for pairs in (got, want)]
        raise ValueError(f"{what}: slot {wrong} is {shown[0]}, want {shown[1]}")


def _schedule_types(program: Program, steps: int) -> dict[str, TensorType]:
    return {value.name: TensorType(value.type.dtype, (steps,)) for value in program.inputs_of("schedule")}


def _require_types(what: str, arrays: Mapping[str, Array], types: Mapping[str, TensorType]) -> dict[str, Array]:
    """The arrays in the order of the types; a ValueError where a name, a type or a NaN is wrong."""
    if set(arrays) != set(types):
        missing, extra = sorted(set(types) - set(arrays)), sorted(set(arrays) - set(types))
        raise ValueError(f"{what}: missing {missing}, not wanted {extra}")
    for name, type_ in types.items():
        if arrays[name].dtype != NUMPY_DTYPE[type_.dtype] or type_of(arrays[name]) != type_:
            raise ValueError(f"{what}: {name!r} is {arrays[name].dtype}{list(arrays[name].shape)}, want {type_}")
        require_canonical(arrays[name], f"{what}: {name!r}")
    return {name: arrays[name] for name in types}


def _require_batch(program: Program, dataset: Dataset, batch_size: int) -> None:
    for value in program.inputs_of("batch"):
        dataset.require_loads_as(value.name, value.type, batch_size)


def _require_metrics(program: Program) -> None:
    for output in program.outputs_of("metric"):
        if program.types[output.value].shape != ():
            raise ValueError(f"job: metric {output.name!r} is {program.types[output.value]}, want rank 0")


def _require_equal(what: str, got: bytes, want: bytes) -> None:
    if got != want:
        raise ValueError(f"job: {what} was altered or is of another job: its hash is {got.hex()}, want {want.hex()}")
