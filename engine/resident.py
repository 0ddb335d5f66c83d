"""A program whose state stays where it is: every step overwrites it, and nothing is allocated after the first.

Every value has its place before the first step: in the state's own memory where it replaces a slot that is read no
more, else in an arena. So layout operators cost nothing, and a call is the same call in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from engine import views
from engine.arena import Block, places_of
from engine.execute import Executor, constants_of, require_type
from engine.program import Program
from engine.schedule import Call, calls_of, constant_layouts, node_of
from engine.views import View
from kernels import spec
from kernels.backends import Backend, load
from kernels.group import ELEMENTWISE
from kernels.memory import Memory
from kernels.spec import is_layout
from kernels.types import Fault

Array = np.ndarray


class Resident:
    """Steps of a program on a state of its own.

    graphs: record the second step, and start every later one as a whole; a ValueError where the backend cannot
    """

    def __init__(self, program: Program, backend: str = "native", threads: int = 1, graphs: bool = False) -> None:
        self.program, self.backend, self.threads = program, load(backend), threads
        self.memory = self.backend.memory
        calls = _calls_of(program, self.backend)
        self._plan = _Plan(program, calls)
        self._sources = _sources_of(program, self._plan, self.backend)
        self._inputs = {v.name: self._sources[n].reshape(v.type.shape) for n, v in enumerate(program.inputs)}
        safe = self._plan.first_safe_call
        self._may_fault, self._safe = self._runs_of(calls[:safe]), self._runs_of(calls[safe:])
        if graphs and self.backend.record is None:
            raise ValueError(f"graphs: got backend {backend}, want triton or cuda: it records none")
        self._graphs, self._steps = graphs, 0
        self._recorded: list[Callable[[], None]] = []
        self._metrics = [(output.name, self._array(output.value)) for output in program.outputs_of("metric")]
        self._copies = self._last_copies()
        shown = self.memory.shown
        self._frozen = {program.inputs[n].name: shown(self._array(n)) for n in self._plan.slots if self._plan.stays(n)}

    def load(self, state: Mapping[str, Array]) -> None:
        """Takes a copy of a state; a slot that is its own memory already stays."""
        self._fill("state", state)

    @property
    def slots(self) -> dict[str, Array]:
        """The memory of the state where it is the host's, which may be filled before `load`."""
        if not self.memory.on_host:
            return {}
        return {value.name: self._inputs[value.name] for value in self.program.inputs_of("state")}

    @property
    def state(self) -> dict[str, Array]:
        """The state as it stands: arrays that the next step overwrites, not to be written to.

        A slot that no step changes is the same object each time, any other a new one.
        """
        names = [value.name for value in self.program.inputs_of("state")]
        shown = self.memory.shown
        return {name: self._frozen[name] if name in self._frozen else shown(self._inputs[name]) for name in names}

    def step(self, values: Mapping[str, Array], meanwhile: Callable[[], None] = lambda: None) -> dict[str, Array]:
        """One step; gives the metrics.

        values:    the inputs other than the state, by name
        meanwhile: done by the host once the step is under way

        A NodeFault where the program faults; the state is then the one before the step.
        """
        for role in ("batch", "schedule", "step", "seed", "micro_batch"):
            self._fill(role, values)
        try:
            self._run()
        except Fault:
            Executor(self.program, self.backend.name, self.threads).step(self._inputs)
            raise
        self._steps += 1
        meanwhile()
        memory = self.memory
        metrics = {name: memory.get(memory.clone(array)) for name, array in self._metrics}
        for to, value in [(to, memory.clone(value) if is_state else value) for to, value, is_state in self._copies]:
            memory.copy(to, value)
        return metrics

    def _run(self) -> None:
        """The calls; those that can fault are done, and have not faulted, before the first that overwrites a slot."""
        if self._graphs and self._steps and not self._recorded:
            assert self.backend.record is not None, "refused where it is None"
            self._recorded = [self.backend.record(calls) for calls in (self._may_fault, self._safe)]
        if self._recorded:
            may_fault, safe = self._recorded
            may_fault()
            self.memory.overwrite()
            safe()
            return
        with self.memory.deferred() as check:
            for _, run in self._may_fault:
                run()
            check()
        self.memory.overwrite()
        for _, run in self._safe:
            run()

    def _fill(self, role: str, values: Mapping[str, Array]) -> None:
        for value in self.program.inputs_of(role):
            array, to = values.get(value.name), self._inputs[value.name]
            require_type(value.name, value.type, array)
            if array is not to:
                self.memory.copy(to, array)

    def _array(self, value: int) -> Any:
        """The value as a view of the memory that it lies in."""
        view = self._plan.views[value]
        return self.memory.seen(self._sources[view.source], view.shape, view.strides, view.offset)

    def _runs_of(self, calls: Sequence[Call]) -> list[tuple[str, Callable[[], object]]]:
        """(what it is called, what it does) of the calls that do something."""
        names = [f"node %{call.members[0]} {node_of(self.program, call.members[0]).op}" for call in calls]
        runs = [self._run_of(call) for call in calls]
        return [(name, run) for name, run in zip(names, runs, strict=True) if run is not None]

    def _run_of(self, call: Call) -> Callable[[], object] | None:
        """What a call does in every step; None for a layout operator that is a view."""
        threads = self.threads
        if is_layout(node_of(self.program, call.members[0]).op) and not self._plan.is_copy(call.members[0]):
            return None
        operands, results = ([self._array(v) for v in values] for values in (call.reads, call.writes))
        if call.attention is not None:
            assert self.backend.compile_attention is not None, "attention is scheduled for backends that compile it"
            return partial(self.backend.compile_attention(call.attention), operands, threads, results)
        if call.group is not None:
            assert self.backend.compile_group is not None, "groups are scheduled for backends that compile them"
            return partial(self.backend.compile_group(call.group), operands, threads, results)
        node = node_of(self.program, call.members[0])
        if self.backend.prepare is not None:
            types = [self.program.types[operand] for operand in node.operands]
            return partial(self.backend.prepare(node.op, types, node.attributes), operands, threads, results[0])
        run, op, attributes, result = self.backend.run, node.op, node.attributes, results[0]
        return lambda: np.copyto(result, run(op, operands, attributes, threads=threads))

    def _last_copies(self) -> list[tuple[Any, Any, bool]]:
        """(slot, its next content, whether that lies in a slot) for the slots that no call overwrites."""
        copies = []
        for number, output in self._plan.slots.items():
            if self._plan.in_place.get(output) != number and not self._plan.stays(number):
                view = self._plan.views[output]
                to = self._sources[number].reshape(self.program.types[number].shape)
                copies.append((to, self._array(output), view.source < self.program.first_constant))
        return copies


class OnHost(Mapping[str, Array]):
    """A state's arrays by name, each brought to the host when it is asked for."""

    def __init__(self, state: Mapping[str, Any], memory: Memory) -> None:
        self._state, self._memory = state, memory

    def __getitem__(self, name: str) -> Array:
        return self._memory.get(self._state[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


def arena_bytes(program: Program, backend: str = "native") -> int:
    """The bytes of a step's values at their fullest, beside the inputs and constants; nothing is allocated."""
    plan = _Plan(program, _calls_of(program, load(backend)))
    return places_of([block for _, block in plan.own()])[1]


def scratch_bytes(program: Program, backend: str = "native") -> int:
    """The most bytes that one call takes beside its operands and its result."""
    memory, types = load(backend).memory, program.types

    def scratch(call: Call) -> int:
        if call.attention is not None:
            return memory.attention_scratch(call.attention)
        node = node_of(program, call.members[0])
        return memory.scratch(node.op, [types[value] for value in node.operands], node.attributes)

    return max((scratch(c) for c in _calls_of(program, load(backend)) if c.group is None), default=0)


def _calls_of(program: Program, backend: Backend) -> list[Call]:
    """The calls of a step, without those that only rearrange a constant."""
    done = constant_layouts(program)
    return [call for call in calls_of(program, backend) if call.members[0] not in done]


class _Plan:
    """Where values lie: the view of its source that each value is, and which results overwrite a slot.

    slots:    number of a state input -> its next content
    in_place: value -> the state input whose memory it is written to
    """

    def __init__(self, program: Program, calls: Sequence[Call]) -> None:
        self.program, self.calls, self.types = program, calls, program.types
        numbers = {value.name: number for number, value in enumerate(program.inputs)}
        self.slots = {numbers[output.name]: output.value for output in program.outputs_of("state")}
        self.views = self._views()
        self.first, self.last = self._lives()
        self.in_place: dict[int, int] = {}
        self.first_safe_call = self._first_safe_call()
        for number, output in self.slots.items():
            if output not in self.in_place and self._fits_in_place(number, output):
                self.in_place[output] = number

    def is_copy(self, value: int) -> bool:
        """Whether a layout operator's value has memory of its own, as no strides give it."""
        return self.views[value].source == value

    def stays(self, number: int) -> bool:
        """Whether a slot's next content is the slot as it is."""
        view = self.views[self.slots[number]]
        return view.source == number and views.is_flat(view, self.types[number].size)

    def _views(self) -> dict[int, View]:
        seen = {n: views.whole(n, type_.shape) for n, type_ in enumerate(self.types)}
        for number, node in self.program.numbered_nodes():
            if is_layout(node.op) and self.types[number].size:
                seen[number] = views.follow(seen[node.operands[0]], node.op, node.attributes) or seen[number]
        return seen

    def _lives(self) -> tuple[dict[int, int], dict[int, int]]:
        """The calls that write and last read each source; what an output needs lives to the end."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for place, call in enumerate(self.calls):
            if self._computes(call):
                last.update((self.views[value].source, place) for value in (*call.reads, *call.writes))
                first.update((value, place) for value in call.writes)
        last.update((self.views[output.value].source, len(self.calls)) for output in self.program.outputs)
        return first, last

    def _computes(self, call: Call) -> bool:
        return not is_layout(node_of(self.program, call.members[0]).op) or self.is_copy(call.members[0])

    def _first_safe_call(self) -> int:
        """The first call after which none can fault: a fault must find the state as it was."""
        faulting = [
            place
            for place, call in enumerate(self.calls)
            if any(spec.OPERATORS[node_of(self.program, member).op].can_fault for member in call.members)
        ]
        return max(faulting, default=-1) + 1

    def _fits_in_place(self, number: int, output: int) -> bool:
        """Whether a slot is read no more once its next content is written, or element by element as it is."""
        place, until = self.first.get(output, -1), self.last.get(number, -1)
        if place < self.first_safe_call or until > place:
            return False
        call = self.calls[place]
        by_element = call.group is not None or node_of(self.program, output).op in ELEMENTWISE
        is_elementwise = by_element and call.attention is None
        reads = [self.views[value] for value in call.reads if self.views[value].source == number]
        size = self.types[number].size
        return not reads or (is_elementwise and all(views.is_flat(view, size) for view in reads))

    def own(self) -> list[tuple[int, Block]]:
        """The values that need memory of the arena, and for how long."""
        return [
            (value, Block(self.types[value].bytes, place, self.last[value]))
            for value, place in self.first.items()
            if value not in self.in_place
        ]


def _sources_of(program: Program, plan: _Plan, backend: Backend) -> dict[int, Any]:
    """Source -> its elements in row-major order."""
    memory = backend.memory
    sources = {n: memory.typed(memory.allocate(v.type.bytes), 0, v.type) for n, v in enumerate(program.inputs)}
    for number, constant in enumerate(constants_of(program, backend), start=program.first_constant):
        if constant is not None and plan.views[number].source == number:
            sources[number] = (np.ascontiguousarray(constant) if memory.on_host else constant).reshape(-1)
    own = plan.own()
    places, size = places_of([block for _, block in own])
    arena = memory.allocate(size)
    for (value, _), place in zip(own, places, strict=True):
        sources[value] = memory.typed(arena, place, program.types[value])
    sources.update((value, sources[number]) for value, number in plan.in_place.items())
    return sources
