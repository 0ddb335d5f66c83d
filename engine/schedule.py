"""What the executor does in which order: calls in program order, and which values die after each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.program import Node, Program
from kernels import spec


@dataclass(frozen=True, slots=True)
class Call:
    """One step of a schedule.

    members: the nodes that it computes; a layout operator or a single node is a call of one
    reads:   the values that it takes
    writes:  the values that it leaves
    frees:   the values that nothing reads afterwards
    """

    members: tuple[int, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    frees: tuple[int, ...] = ()


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


def with_frees(calls: Sequence[Call], kept: Iterable[int]) -> tuple[Call, ...]:
    """The calls, each with the values that die with it: read for the last time, or never read.

    kept: values that outlive the step (inputs, constants, outputs)
    """
    alive, planned = set(kept), []
    for call in reversed(calls):
        dies = tuple(dict.fromkeys(value for value in (*call.reads, *call.writes) if value not in alive))
        alive.update(dies)
        planned.append(Call(call.members, call.reads, call.writes, dies))
    return tuple(reversed(planned))
