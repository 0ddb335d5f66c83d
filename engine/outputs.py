"""The outputs of a job that maps a program over a data set: rows that a run appends, and the arrays they become.

An output is a slot of the state, `output.NAME`, that every step overwrites with the rows of its batch. The job commits
to the state after every step, so it commits to every row. Positions follow the order of the law, which in its first
epoch visits every record once: the row of a record is the one at the record's position.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.files import filled_arrays
from engine.program import Program
from engine.state import Slot, state_root, tensor_root
from kernels.types import NUMPY_DTYPE, TensorType, type_of

if TYPE_CHECKING:
    from engine.job import JobFolder
    from engine.job_id import Job
    from engine.run import RunFolder

Array = np.ndarray
PREFIX = "output."


def output_types(program: Program) -> dict[str, TensorType]:
    """The outputs of a program that maps: name -> type of the rows of a batch; empty for one that trains."""
    slots = program.inputs_of("state")
    return {slot.name.removeprefix(PREFIX): slot.type for slot in slots if slot.name.startswith(PREFIX)}


def require_mapping(program: Program, job: Job) -> None:
    """A ValueError where a job has outputs that are not one row a record, or that it does not commit to."""
    for name, type_ in output_types(program).items():
        if type_.shape[:1] != (job.batch_size,):
            raise ValueError(f"job: output {name!r} is {type_}, want {job.batch_size} rows, one a record of a batch")
        if job.intervals != (1, 1):
            raise ValueError(
                f"job: got outputs and interval {job.interval}, want 1: a state holds the outputs of its last step only"
            )


class OutputFiles:
    """The rows of a run in the order of positions, one file an output: `outputs/00.bin`, in program order."""

    def __init__(self, folder: Path, program: Program, step: int) -> None:
        """Open for the step that comes next; a ValueError where the rows of the steps before are not there."""
        self.types = output_types(program)
        paths = [rows_path(folder, place) for place in range(len(self.types))]
        sizes = [step * type_.bytes for type_ in self.types.values()]
        for path, size in zip(paths, sizes, strict=True):
            if (path.stat().st_size if path.exists() else 0) < size:
                raise ValueError(f"run: {path} holds fewer rows than the {step} steps of the checkpoint left")
            path.parent.mkdir(exist_ok=True)
        self._files = dict(zip(self.types, map(_open_at, paths, sizes), strict=True))

    def write(self, state: Mapping[str, Array]) -> None:
        """Append the rows of the step that led to a state."""
        for name, file in self._files.items():
            rows = memoryview(np.ascontiguousarray(state[PREFIX + name]).tobytes())
            while rows:
                rows = rows[file.write(rows) :]

    def sync(self) -> None:
        """Return once the rows are on the disk."""
        for file in self._files.values():
            os.fsync(file.fileno())

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def _open_at(path: Path, size: int) -> FileIO:
    """A file cut to a size, to be written from there."""
    file = FileIO(path, "r+" if path.exists() else "w+")
    file.truncate(size)
    file.seek(size)
    return file


def rows_path(folder: Path, place: int) -> Path:
    """The file of the output at a place of the program's."""
    return folder / "outputs" / f"{place:02}.bin"


def write_outputs(job: JobFolder, run: RunFolder, path: Path, backend: str = "native", threads: int = 1) -> int:
    """Write the outputs of a finished run as arrays in the order of records, each batch checked against its root.

    Gives the number of records. A ValueError where the run is not that far, or where rows were altered.
    """
    types, B, records = output_types(job.program), job.job.batch_size, job.job.records
    steps, roots = -(-records // B), run.roots()
    if not types or job.job.steps < steps:
        raise ValueError(f"outputs: the job has {len(types)} outputs and {job.job.steps} steps, want 1 and {steps}")
    if steps not in roots:
        raise ValueError(f"outputs: the run has done {max(roots)} of {steps} steps; `isobit resume` goes on")
    rows = [_map_rows(rows_path(run.folder, place), type_, steps) for place, type_ in enumerate(types.values())]
    shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
        name: (NUMPY_DTYPE[type_.dtype], (records, *type_.shape[1:])) for name, type_ in types.items()
    }
    with filled_arrays(path, shapes) as arrays:
        for step in range(steps):
            batch = {PREFIX + name: part[step] for name, part in zip(types, rows, strict=True)}
            _require_root(job, step, batch, roots[step + 1], backend, threads)
            samples = job.dataset.samples(job.job.seed, step, B)[: records - step * B]
            for name in types:
                arrays[name][samples] = batch[PREFIX + name][: len(samples)]
    return records


def _map_rows(path: Path, type_: TensorType, steps: int) -> Array:
    """[steps, B, ...]"""
    shape = (steps, *type_.shape)
    if type_.bytes == 0:
        return np.zeros(shape, NUMPY_DTYPE[type_.dtype])
    if not path.is_file() or path.stat().st_size < steps * type_.bytes:
        raise ValueError(f"outputs: {path} does not hold the rows of {steps} steps")
    return np.memmap(path, NUMPY_DTYPE[type_.dtype], "r", shape=shape)


def _require_root(
    job: JobFolder, step: int, batch: Mapping[str, Array], want: bytes, backend: str, threads: int
) -> None:
    """A ValueError unless the state after a step, with these rows in it, has the root that the run committed to."""
    changed = {**batch, "step": np.array(step + 1, np.int64)}
    slots: Sequence[Slot] = [
        Slot(slot.name, type_of(changed[slot.name]), tensor_root(changed[slot.name], backend, threads))
        if slot.name in changed
        else slot
        for slot in job.start.slots
    ]
    if state_root(slots) != want:
        raise ValueError(f"outputs: the rows of step {step} are not those that the run committed to")
