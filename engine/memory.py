"""How much memory a run takes, before it starts, and whether this machine has it."""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.job import JobFolder, state_types
from engine.program import Program
from engine.schedule import Call, constant_layouts, fused_calls, needed_nodes, node_of, single_calls, with_frees
from engine.state import CHUNK_SIZE
from engine.store import WRITERS
from kernels import spec
from kernels.backends import load

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Memory:
    """The bytes that a run needs at its fullest, beside the interpreter and its libraries.

    state:     the state before a step; a second one where a commitment older than a step is kept
    step:      the most that a step's values take at one time, the next state included
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
    return Memory(
        state=state * (1 if job.job.interval == 1 else 2),
        step=largest_live_set(program, backend) + sum(value.type.bytes for value in program.inputs_of("batch")),
        constants=sum(constant.type.bytes for constant in program.constants),
        writing=min(state, WRITERS * CHUNK_SIZE),
        mapped=sum(array.nbytes for array in job.dataset.arrays.values()),
    )


def largest_live_set(program: Program, backend: str = "native") -> int:
    """The most bytes of nodes' results that are held at one time, as the backend's schedule computes and frees them.

    A layout operator is a view: it takes nothing, and holds what it looks at.
    """
    schedule = fused_calls if load(backend).compile_group else single_calls
    done = constant_layouts(program)
    left = [call for call in schedule(program, needed_nodes(program)) if call.members[0] not in done]
    calls = with_frees(left, [*done, *(output.value for output in program.outputs)])
    return _most_held(program, calls)


def _most_held(program: Program, calls: Sequence[Call]) -> int:
    held, most = 0, 0
    viewers: dict[int, int] = {}
    owners: dict[int, int] = {}
    for call in calls:
        for value in call.writes:
            owner = _owner(program, value, call, owners)
            owners[value] = owner
            viewers[owner] = viewers.get(owner, 0) + 1
            held += program.types[value].bytes if owner == value else 0
        most = max(most, held)
        for value in call.frees:
            held -= _released(program, value, owners, viewers)
    return most


def _owner(program: Program, value: int, call: Call, owners: Mapping[int, int]) -> int:
    """The value whose memory a value lies in."""
    node = node_of(program, value)
    if call.group is None and spec.is_layout(node.op):
        return owners.get(node.operands[0], node.operands[0])
    return value


def _released(program: Program, value: int, owners: Mapping[int, int], viewers: dict[int, int]) -> int:
    """The bytes that the death of a value gives back: its memory's, once nothing looks at it."""
    owner = owners.get(value, value)
    if owner < program.first_node or owner not in viewers:
        return 0
    viewers[owner] -= 1
    return 0 if viewers[owner] else program.types[owner].bytes


def require_fits(memory: Memory) -> Memory:
    """The same estimate; a ValueError with the numbers where this machine cannot hold it now."""
    free = available()
    if memory.total > free:
        raise ValueError(f"memory: the run needs {memory}, this machine has {size_text(free)} available")
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
