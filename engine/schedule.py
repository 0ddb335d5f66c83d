"""What the executor does in which order: calls in program order, and which values die after each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from engine.emission import Unit, group_of
from engine.fusion import read_outside, units_of
from engine.program import Node, Program
from kernels import spec
from kernels.attention import Attention
from kernels.backends import Backend
from kernels.group import Group


@dataclass(frozen=True, slots=True)
class Call:
    """One step of a schedule.

    members: the nodes that it computes; a layout operator or a single node is a call of one
    reads:   the values that it takes
    writes:  the values that it leaves
    frees:   the values that nothing reads afterwards
    group:   what a backend compiles to compute more than one node in one pass over memory
    attention: what it compiles to compute them without storing their scores
    """

    members: tuple[int, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    frees: tuple[int, ...] = ()
    group: Group | None = None
    attention: Attention | None = None


def needed_nodes(program: Program) -> frozenset[int]:
    """The nodes that an output depends on, and those that can fault with what they depend on.

    A node that can fault is never left out: its fault is a result of the program.
    """
    waiting = [output.value for output in program.outputs]
    waiting += [number for number, node in program.numbered_nodes() if spec.OPERATORS[node.op].can_fault]
    needed: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number >= program.first_node and number not in needed:
            needed.add(number)
            waiting.extend(node_of(program, number).operands)
    return frozenset(needed)


def node_of(program: Program, number: int) -> Node:
    """The node of a value number."""
    return program.nodes[number - program.first_node]


def single_calls(program: Program, nodes: Iterable[int]) -> list[Call]:
    """One call per node, in program order."""
    return [Call((number,), node_of(program, number).operands, (number,)) for number in sorted(nodes)]


def fused_calls(
    program: Program, nodes: Iterable[int], with_attention: bool = False, with_gather: bool = False
) -> list[Call]:
    """Groups of the nodes as calls of one pass each; a layout operator comes right before the first that reads it."""
    units, wanted = units_of(program, with_attention, with_gather), frozenset(nodes)
    outside = read_outside(program, units)
    calls: list[Call] = []
    known = set(range(program.first_node))

    def add(call: Call) -> None:
        for value in call.reads:
            if value not in known:
                add(Call((value,), node_of(program, value).operands, (value,)))
        calls.append(call)
        known.update(call.writes)

    for unit in units:
        if wanted.intersection(unit.members):
            add(_fused_call(program, unit, outside))
    for output in program.outputs:
        if output.value not in known:
            add(Call((output.value,), node_of(program, output.value).operands, (output.value,)))
    return calls


def _fused_call(program: Program, unit: Unit, outside: frozenset[int]) -> Call:
    if unit.block is not None:
        block = unit.block
        return Call(block.members, block.reads, block.writes, attention=block.attention)
    if len(unit.members) == 1:
        return Call(tuple(unit.members), node_of(program, unit.members[0]).operands, tuple(unit.members))
    group, reads, writes = group_of(program, unit, outside)
    return Call(tuple(unit.members), reads, writes, group=group)


def calls_of(program: Program, backend: Backend, fuse: bool = True) -> list[Call]:
    """The calls that compute a program's outputs on a backend: as much at once as it can, or operator by operator."""
    needed = needed_nodes(program)
    if not fuse or backend.compile_group is None:
        return single_calls(program, needed)
    return fused_calls(program, needed, backend.compile_attention is not None, backend.groups_gather)


def constant_layouts(program: Program) -> frozenset[int]:
    """The layout operators that only rearrange a constant: views that are the same in every step."""
    found = set(range(program.first_constant, program.first_node))
    for number, node in program.numbered_nodes():
        if spec.is_layout(node.op) and node.operands[0] in found:
            found.add(number)
    return frozenset(number for number in found if number >= program.first_node)


def with_frees(calls: Sequence[Call], kept: Iterable[int]) -> tuple[Call, ...]:
    """The calls, each with the values that die with it: read for the last time, or never read.

    kept: values that outlive the step (inputs, constants, outputs)
    """
    alive, planned = set(kept), []
    for call in reversed(calls):
        dies = tuple(dict.fromkeys(value for value in (*call.reads, *call.writes) if value not in alive))
        alive.update(dies)
        planned.append(replace(call, frees=dies))
    return tuple(reversed(planned))
