"""A unit of nodes as the group that a backend compiles: registers, steps, what it reads and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.attention import Block
from engine.program import Program
from kernels import spec
from kernels.group import GATHER, ROW_REDUCTIONS, SPREAD, Group, Register, Step

TAKE_ROWS = ROW_REDUCTIONS | {GATHER}  # what gives one value of a whole row of elements


@dataclass
class Unit:
    """What runs in one call: one node, the members of a group in program order, or a block of attention."""

    members: list[int]
    size: int = 0
    columns: int | None = None
    rows: set[int] = field(default_factory=set)
    before: set[int] = field(default_factory=set)
    block: Block | None = None

    @property
    def is_group(self) -> bool:
        return self.size > 0


def source_of(program: Program, value: int) -> int:
    """The value behind a chain of layout operators."""
    while value >= program.first_node and spec.is_layout(program.nodes[value - program.first_node].op):
        value = program.nodes[value - program.first_node].operands[0]
    return value


def group_of(program: Program, unit: Unit, needed: frozenset[int]) -> tuple[Group, tuple[int, ...], tuple[int, ...]]:
    """What a backend runs for a unit.

    needed:  the values that something outside the unit reads
    returns: the group, the values that are its inputs, the values that are its outputs
    """
    return _Emission(program, unit).finish(needed)


class _Emission:
    """Registers and steps of one unit. An input is read as the view that a member's operand is."""

    def __init__(self, program: Program, unit: Unit) -> None:
        self.program, self.unit, self.types = program, unit, program.types
        self.members = set(unit.members)
        self.inputs: dict[tuple[int, bool], int] = {}
        self.steps: list[tuple[str, tuple[str, int, bool], list[tuple[str, int, bool]]]] = []
        self.spread: set[int] = set()
        for number in unit.members:
            self._emit(number)

    def _emit(self, number: int) -> None:
        node = self.program.nodes[number - self.program.first_node]
        per_row = number in self.unit.rows and node.op not in TAKE_ROWS
        of_row = [per_row or (node.op == GATHER and i == 1) for i in range(len(node.operands))]
        operands = [self._operand(*pair) for pair in zip(node.operands, of_row, strict=True)]
        self.steps.append((node.op, ("member", number, number in self.unit.rows), operands))

    def _operand(self, operand: int, per_row: bool) -> tuple[str, int, bool]:
        source = source_of(self.program, operand)
        if source not in self.members:
            self.inputs.setdefault((operand, per_row), len(self.inputs))
            return ("input", operand, per_row)
        if source in self.unit.rows and not per_row:
            if source not in self.spread:
                self.spread.add(source)
                self.steps.append((SPREAD, ("spread", source, False), [("member", source, True)]))
            return ("spread", source, False)
        return ("member", source, per_row)

    def finish(self, needed: frozenset[int]) -> tuple[Group, tuple[int, ...], tuple[int, ...]]:
        outputs = tuple(number for number in self.unit.members if number in needed)
        allocation = _Allocation(len(self.inputs), [Register(self.types[n].dtype, row) for n, row in self.inputs])
        places = {("input", n, row): place for (n, row), place in self.inputs.items()}
        last = {key: i for i, (_, _, operands) in enumerate(self.steps) for key in operands}
        steps = []
        for i, (op, result, operands) in enumerate(self.steps):
            kind, number, per_row = result
            keep = kind == "member" and number in outputs
            places[result] = allocation.take(Register(self.types[number].dtype, per_row), keep)
            steps.append(Step(op, places[result], tuple(places[key] for key in operands)))
            for key in {*operands, result}:
                if last.get(key, i) == i and key[0] != "input" and not (key[0] == "member" and key[1] in outputs):
                    allocation.release(places[key])
        group = Group(
            self.unit.size,
            self.unit.columns or 0,
            tuple(allocation.registers),
            len(self.inputs),
            tuple((places["member", n, n in self.unit.rows], self.types[n]) for n in outputs),
            tuple(steps),
        )
        return group, tuple(number for number, _ in self.inputs), outputs


class _Allocation:
    """Registers, handed out again once their value is dead, so that a tile's values stay in the first cache."""

    def __init__(self, inputs: int, registers: list[Register]) -> None:
        assert len(registers) == inputs
        self.registers = registers
        self.free: list[int] = []

    def take(self, register: Register, keep: bool) -> int:
        for place in [] if keep else self.free:
            if self.registers[place] == register:
                self.free.remove(place)
                return place
        self.registers.append(register)
        return len(self.registers) - 1

    def release(self, place: int) -> None:
        self.free.append(place)
