"""One step of a program on one backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from engine.layouts import Run, view_of
from engine.program import Constant, Program
from engine.schedule import Call, calls_of, constant_layouts, node_of, single_calls, with_frees
from kernels.backends import Backend, load
from kernels.spec import is_layout
from kernels.types import NUMPY_DTYPE, Fault, TensorType, type_of

Array = np.ndarray
Watch = Callable[[int, Sequence[Array], Array], None]


class NodeFault(Fault):
    """A fault of the program: the lowest faulting node in program order, its operands, the fault of its operator."""

    def __init__(self, node: int, fault: Fault, operands: Sequence[Array] = ()) -> None:
        super().__init__(fault.operator, fault.element, fault.reason)
        self.node, self.operands = node, operands
        self.args = (f"node %{node}: {fault}",)


class Executor:
    """Runs a program's step again and again: everything that does not change is prepared once."""

    def __init__(self, program: Program, backend: str = "native", threads: int = 1, fuse: bool = True) -> None:
        self.program, self.backend, self.threads = program, load(backend), threads
        self.memory = self.backend.memory
        self._constants = constants_of(program, self.backend)
        self._calls = self._prepare(calls_of(program, self.backend, fuse))

    @cached_property
    def _every_call(self) -> list[tuple[Call, Run]]:
        """One call per node, the unneeded ones too: what a trace and the search for a fault's node go through."""
        return self._prepare(single_calls(self.program, (number for number, _ in self.program.numbered_nodes())))

    def _prepare(self, calls: Sequence[Call]) -> list[tuple[Call, Run]]:
        """The calls with the values that die after each and the function that does it; views of constants left out."""
        done = constant_layouts(self.program)
        kept = [*done, *(output.value for output in self.program.outputs)]
        left = [call for call in calls if call.members[0] not in done]
        return [(call, self._run_of(call)) for call in with_frees(left, kept)]

    def _run_of(self, call: Call) -> Run:
        threads = self.threads
        if call.attention is not None:
            assert self.backend.compile_attention is not None, "attention is scheduled for backends that compile it"
            run_attention = self.backend.compile_attention(call.attention)
            return lambda operands: run_attention(operands, threads)
        if call.group is not None:
            assert self.backend.compile_group is not None, "groups are scheduled for backends that compile them"
            run_group = self.backend.compile_group(call.group)
            return lambda operands: run_group(operands, threads)
        node = node_of(self.program, call.members[0])
        types = [self.program.types[operand] for operand in node.operands]
        if is_layout(node.op) and self.memory.on_host:
            return view_of(node, types[0], self.backend)
        if self.backend.prepare is not None:
            prepared = self.backend.prepare(node.op, types, node.attributes)
            return lambda operands: (prepared(operands, threads),)
        run, op, attributes = self.backend.run, node.op, dict(node.attributes)
        return lambda operands: (run(op, operands, attributes, threads=threads),)

    def step(self, values: Mapping[str, Array], watch: Watch | None = None) -> dict[str, Array]:
        """The outputs of one step.

        values: input name -> array of the input's type, without other NaNs than the law's
        watch:  called as (node, operands, result) for every node but the layout operators, in program order

        A NodeFault where the program faults. An array that comes out may be one that went in: change neither.
        """
        outputs = self.advance(values, watch)
        return {name: self.memory.get(array) for name, array in outputs.items()}

    def advance(self, values: Mapping[str, Any], watch: Watch | None = None) -> dict[str, Any]:
        """As `step`, on arrays of the backend's memory: values may be some, outputs are. `watch` gets NumPy arrays."""
        inputs = self._take_inputs(values)
        try:
            held = self._run(self._calls if watch is None else self._every_call, inputs, watch)
        except Fault:
            self._run(self._every_call, inputs, None)
            raise
        return {output.name: self._row_major(held[output.value]) for output in self.program.outputs}

    def _take_inputs(self, values: Mapping[str, Any]) -> list[Any]:
        taken = []
        for value in self.program.inputs:
            require_type(value.name, value.type, values.get(value.name))
            taken.append(self.memory.put(values[value.name]))
        if len(values) != len(taken):
            unknown = sorted(set(values) - {value.name for value in self.program.inputs})
            raise ValueError(f"step: got inputs {unknown} that the program has not")
        return taken

    def _row_major(self, array: Any) -> Any:
        """The array itself where it is contiguous, else a contiguous copy."""
        assert array is not None, "an output is never freed"
        if not self.memory.on_host:
            return array.contiguous()
        return array if array.flags.c_contiguous else array.copy(order="C")

    def _run(self, calls: Sequence[tuple[Call, Run]], inputs: list[Array], watch: Watch | None) -> list[Array | None]:
        """The values at the end of the calls: the outputs', those before them are gone. The first fault is raised."""
        held: list[Any] = [*inputs, *self._constants]
        for call, run in calls:
            operands = [held[value] for value in call.reads]
            try:
                results = run(operands)
            except Fault as fault:
                raise NodeFault(call.members[0], fault, operands) from fault
            for value, result in zip(call.writes, results, strict=True):
                held[value] = result
            if watch is not None and not is_layout(node_of(self.program, call.members[0]).op):
                self._show(watch, call.members[0], operands, results[0])
            for value in call.frees:
                held[value] = None
        return held

    def _show(self, watch: Watch, node: int, operands: Sequence[Any], result: Any) -> None:
        """Lets a watcher see a node's arrays; what it changes in the result stays changed on a device too."""
        get = self.memory.get
        shown = get(result)
        watch(node, [get(operand) for operand in operands], shown)
        if not self.memory.on_host:
            self.memory.copy(result, shown)


def require_type(name: str, type_: TensorType, array: Any) -> None:
    """A ValueError where an input is not there or of another type than the program's."""
    is_right = array is not None and (
        array.dtype == NUMPY_DTYPE[type_.dtype] and array.shape == type_.shape
        if isinstance(array, np.ndarray)
        else type_of(array) == type_
    )
    if not is_right:
        got = "nothing" if array is None else f"{array.dtype}{list(array.shape)}"
        raise ValueError(f"step: input {name!r} is {got}, want {type_}")


def constants_of(program: Program, backend: Backend) -> list[Any]:
    """Per value behind the inputs: a constant or a view of one, the same in every step; None for every other node."""
    held: list[Any] = [None] * program.first_constant
    held += [backend.memory.put(_constant(constant)) for constant in program.constants]
    held += [None] * len(program.nodes)
    for number in sorted(constant_layouts(program)):
        node = node_of(program, number)
        if backend.memory.on_host:
            held[number] = backend.run(node.op, [held[node.operands[0]]], node.attributes)
        else:
            assert backend.prepare is not None, "a device runs what is prepared"
            types = [program.types[operand] for operand in node.operands]
            held[number] = backend.prepare(node.op, types, node.attributes)([held[node.operands[0]]], 1)
    return held[program.first_constant :]


def _constant(constant: Constant) -> Array:
    """The array of a constant, not writable."""
    return np.frombuffer(constant.data, NUMPY_DTYPE[constant.type.dtype]).reshape(constant.type.shape)
