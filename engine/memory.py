"""How much memory a run takes, before it starts, and whether this machine has it."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

from engine.job import JobFolder, state_types
from engine.resident import arena_bytes, scratch_bytes
from engine.state import CHUNK_SIZE
from engine.store import WRITERS
from kernels.backends import load

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Memory:
    """The bytes that a run needs at its fullest, beside the interpreter and its libraries.

    Where the backend has memory of its own, state, step and constants lie there, and the host holds the state as well
    while it is read or a checkpoint is written.

    state:     the state, which steps overwrite in place
    step:      a batch, the values of a step where they take the most, and what one operator takes beside them
    constants: of the program
    writing:   chunks of a checkpoint on their way to the disk
    mapped:    the data set, which the system reads and drops as it likes; not in `total`
    """

    state: int
    step: int
    constants: int
    writing: int
    mapped: int

    @property
    def total(self) -> int:
        return self.state + self.step + self.constants + self.writing

    def __str__(self) -> str:
        parts = ("state", "step", "constants", "writing")
        shown = ", ".join(f"{name} {size_text(getattr(self, name))}" for name in parts)
        return f"{size_text(self.total)} ({shown}), data {size_text(self.mapped)} mapped"


def estimate(job: JobFolder, backend: str = "native") -> Memory:
    """What a run of a job takes on a backend."""
    program = job.program
    state = sum(type_.bytes for type_ in state_types(program).values())
    batch = sum(value.type.bytes for value in program.inputs_of("batch"))
    return Memory(
        state=state,
        # A batch is loaded, then copied to its place.
        step=2 * batch + arena_bytes(program, backend) + scratch_bytes(program, backend),
        constants=sum(constant.type.bytes for constant in program.constants),
        writing=min(state, WRITERS * CHUNK_SIZE),
        mapped=sum(array.nbytes for array in job.dataset.arrays.values()),
    )


def require_fits(memory: Memory, backend: str = "native") -> Memory:
    """The same estimate; a ValueError with the numbers where this machine, or the backend's device, cannot hold it."""
    host, device = available(), load(backend).memory.free()
    if device is not None and memory.total > device:
        raise ValueError(f"memory: the run needs {memory}, the device has {size_text(device)} available")
    if (memory.total if device is None else memory.state + memory.writing) > host:
        raise ValueError(f"memory: the run needs {memory}, this machine has {size_text(host)} available")
    return memory


def available() -> int:
    """The bytes that this process may still take: of the machine, its control group and its own limits."""
    limits = [_machine_available(), *_group_available()]
    for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit = resource.getrlimit(which)[0]
        if limit != resource.RLIM_INFINITY:
            limits.append(limit - _used(which))
    return max(0, min(limits))


def _machine_available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _group_available() -> list[int]:
    """What the control group leaves, where there is one with a limit; its page cache can be dropped."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return []
    if limit == "max":
        return []
    cached = int(statistics["active_file"]) + int(statistics["inactive_file"])
    return [int(limit) - int(used) + cached]


def _used(which: int) -> int:
    name = "VmSize:" if which == resource.RLIMIT_AS else "VmData:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def size_text(size: int) -> str:
    """A size for a reader: 1.5 GiB."""
    for unit, name in ((GIB, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
