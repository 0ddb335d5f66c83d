"""Groups of elementwise nodes, and of sums and maxima over rows, that run as one pass over memory.

Every operator rounds by itself, so a fused group gives the bits of its members. A group has a domain of `size` elements
in row-major order, cut into rows of `columns` elements where a member reduces rows; a member's value is either `full`
(one element per element of the domain) or one per `row`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from math import prod

from engine import views
from engine.attention import Block, blocks_of, in_order
from engine.emission import TAKE_ROWS, Unit, source_of
from engine.program import Node, Program
from engine.views import View
from kernels import spec
from kernels.group import ELEMENTWISE, GATHER, MOST_COLUMNS, ROW_REDUCTIONS

MOST_MEMBERS = 96


def units_of(program: Program, with_attention: bool = False, with_gather: bool = False) -> list[Unit]:
    """Every node but the layout operators, in groups as large as their order allows, in an order to run them.

    with_gather: a gather of one element of each row joins the group that computes the rows
    """
    grouping = _Grouping(program, with_gather)
    blocks = blocks_of(program) if with_attention else []
    for item in in_order(program, blocks):
        if isinstance(item, Block):
            grouping.add_block(item)
        else:
            grouping.add(item, program.nodes[item - program.first_node])
    return grouping.in_order()


class _Grouping:
    """The units so far. A unit's `before` are the units that it reads; merged units forward to the one that is left."""

    def __init__(self, program: Program, with_gather: bool) -> None:
        self.program, self.types, self.with_gather = program, program.types, with_gather
        self.views: dict[int, View] = {
            n: views.whole(n, t.shape) for n, t in enumerate(self.types[: program.first_node])
        }
        self.units: list[Unit] = []
        self.unit_of: dict[int, int] = {}
        self.forward: dict[int, int] = {}

    def add(self, number: int, node: Node) -> None:
        if spec.is_layout(node.op):
            view = views.follow(self.views[node.operands[0]], node.op, node.attributes)
            self.views[number] = view or views.whole(number, self.types[number].shape)
            self._note_copy(number, node, view)
            return
        self.views[number] = views.whole(number, self.types[number].shape)
        sources = [self.views[operand] for operand in node.operands]
        if not self._join(number, node, sources):
            self._start(number, node, sources)

    def add_block(self, block: Block) -> None:
        """A block of attention is a unit that nothing joins."""
        self.views.update((number, views.whole(number, self.types[number].shape)) for number in block.members)
        unit = Unit(list(block.members), before=self._units_of(self.views[value] for value in block.reads), block=block)
        self.unit_of.update(dict.fromkeys(block.members, len(self.units)))
        self.units.append(unit)

    def _note_copy(self, number: int, node: Node, view: View | None) -> None:
        """A layout without strides is copied when it is read: its readers then come after what it reads."""
        if view is None:
            source = self.views[node.operands[0]].source
            if source in self.unit_of:
                self.unit_of[number] = self.unit_of[source]
                self.views[number] = View(source, self.types[number].shape, (-1,) * len(self.types[number].shape))

    def _start(self, number: int, node: Node, sources: list[View]) -> None:
        unit = Unit([number])
        if node.op in ELEMENTWISE:
            unit.size = self.types[number].size
        elif node.op in ROW_REDUCTIONS and (columns := self._row_columns(node)):
            unit.size, unit.columns = self.types[node.operands[0]].size, columns
            unit.rows.add(number)
        self.unit_of[number] = len(self.units)
        self.units.append(unit)
        unit.before |= self._units_of(sources)

    def _row_columns(self, node: Node) -> int | None:
        """The length of the rows that a node reduces, or gathers one element of, where it takes whole rows."""
        if node.op == GATHER and self.with_gather:
            return self._gathered_columns(node)
        if node.op not in ROW_REDUCTIONS:
            return None
        operand = self.types[node.operands[0]]
        axes = node.attributes["axes"]
        trailing = tuple(range(len(operand.shape) - len(axes), len(operand.shape)))
        columns = prod(operand.shape[axis] for axis in axes)
        fits = axes == trailing and operand.size > 0 and 1 < columns <= MOST_COLUMNS and operand.dtype == "float32"
        return columns if fits else None

    def _gathered_columns(self, node: Node) -> int | None:
        x, index = (self.types[operand] for operand in node.operands)
        by_row = node.attributes["axis"] == len(x.shape) - 1 and index.shape[-1] == 1
        fits = by_row and x.size > 0 and 1 < x.shape[-1] <= MOST_COLUMNS and x.dtype == "float32"
        return x.shape[-1] if fits else None

    def _units_of(self, sources: Iterable[View]) -> set[int]:
        return {self._find(self.unit_of[view.source]) for view in sources if view.source in self.unit_of}

    def _find(self, unit: int) -> int:
        while unit in self.forward:
            unit = self.forward[unit]
        return unit

    def _join(self, number: int, node: Node, sources: list[View]) -> bool:
        """Adds the node to the latest group that it can join, and then joins its other groups to that one."""
        columns = self._row_columns(node)
        if node.op not in ELEMENTWISE and columns is None:
            return False
        candidates = sorted(self._units_of(sources), key=lambda u: self.units[u].members[-1], reverse=True)
        for position, unit in enumerate(candidates):
            if self._accept(unit, number, node, sources, columns):
                for other in candidates[position + 1 :]:
                    self._merge(other, self._find(unit))
                return True
        return False

    def _accept(self, number_of_unit: int, number: int, node: Node, sources: list[View], columns: int | None) -> bool:
        unit = self.units[number_of_unit]
        if not unit.is_group or len(unit.members) >= MOST_MEMBERS:
            return False
        kind = self._kind(unit, number, sources, columns)
        if kind is None or self._depends(self._units_of(sources) - {number_of_unit}, number_of_unit):
            return False
        if columns is not None:
            unit.columns = columns
        if kind == "row":
            unit.rows.add(number)
        unit.members.append(number)
        unit.before |= self._units_of(sources) - {number_of_unit}
        self.unit_of[number] = number_of_unit
        return True

    def _kind(self, unit: Unit, number: int, sources: list[View], columns: int | None) -> str | None:
        """Whether the node's value is full or per row in the unit's domain; None where the two do not fit."""
        inside = [view for view in sources if view.source in unit.members]
        if not self._index_is_outside(number, unit.members):
            return None
        if columns is not None:
            fits = unit.columns in (None, columns) and sources[0].size == unit.size
            return "row" if fits and not unit.rows.intersection([sources[0].source]) and self._flat(inside) else None
        size = self.types[number].size
        if size == unit.size:
            return "full" if all(self._fits_full(unit, view) for view in inside) else None
        if unit.columns and size * unit.columns == unit.size:
            return "row" if all(view.source in unit.rows for view in inside) and self._flat(inside) else None
        return None

    def _index_is_outside(self, number: int, members: Sequence[int]) -> bool:
        """Whether a gather takes rows of the members by an index that is none of them; True for another node."""
        if self.program.nodes[number - self.program.first_node].op != GATHER:
            return True
        x, index = self._sources(number)
        return x.source in members and index.source not in members

    def _flat(self, inside: list[View]) -> bool:
        return all(views.is_flat(view, self.types[view.source].size) for view in inside)

    def _fits_full(self, unit: Unit, view: View) -> bool:
        if view.source not in unit.rows:
            return views.is_flat(view, unit.size)
        assert unit.columns is not None
        return views.is_row_wise(view, unit.size // unit.columns, unit.columns)

    def _merge(self, other: int, unit: int) -> None:
        """Joins a group to another where the domains agree and no path leads from one to the other around them."""
        a, b = self.units[other], self.units[unit]
        fits = a.is_group and a.size == b.size and (a.columns or b.columns) == (b.columns or a.columns)
        if not fits or other == unit or len(a.members) + len(b.members) > MOST_MEMBERS or not self._reads_fit(a, b):
            return
        a_before = {self._find(u) for u in a.before} - {other, unit}
        b_before = {self._find(u) for u in b.before} - {other, unit}
        if self._depends(a_before, unit) or self._depends(b_before, other):
            return
        b.members = sorted(a.members + b.members)
        b.rows |= a.rows
        b.columns = a.columns or b.columns
        b.before = a_before | b_before
        self.forward[other] = unit

    def _reads_fit(self, a: Unit, b: Unit) -> bool:
        """Whether every read of one group's value by the other's members can stay inside the joined group."""
        joined = Unit(a.members + b.members, a.size, a.columns or b.columns, a.rows | b.rows)
        for number in joined.members:
            inside = [v for v in self._sources(number) if v.source in joined.members]
            node = self.program.nodes[number - self.program.first_node]
            per_row = number in joined.rows and node.op not in TAKE_ROWS
            if not self._index_is_outside(number, joined.members):
                return False
            if per_row and not all(v.source in joined.rows for v in inside):
                return False
            if per_row or node.op in TAKE_ROWS:
                fits = self._flat(inside)
            else:
                fits = all(self._fits_full(joined, view) for view in inside)
            if not fits:
                return False
        return True

    def _sources(self, number: int) -> list[View]:
        return [self.views[operand] for operand in self.program.nodes[number - self.program.first_node].operands]

    def _depends(self, units: Iterable[int], on: int) -> bool:
        """Whether one of the units reads another's values, directly or through others."""
        seen: set[int] = set()
        waiting = [self._find(unit) for unit in units]
        while waiting:
            current = waiting.pop()
            if current == on:
                return True
            if current in seen:
                continue
            seen.add(current)
            waiting.extend(self._find(u) for u in self.units[current].before)
        return False

    def in_order(self) -> list[Unit]:
        """The units that are left, each after what it reads, otherwise by their last member."""
        alive = [u for u in range(len(self.units)) if u not in self.forward]
        readers: dict[int, list[int]] = {u: [] for u in alive}
        missing: dict[int, int] = {}
        for u in alive:
            before = {self._find(b) for b in self.units[u].before} - {u}
            missing[u] = len(before)
            for b in before:
                readers[b].append(u)
        ready = [(self.units[u].members[-1], u) for u in alive if missing[u] == 0]
        heapq.heapify(ready)
        order: list[Unit] = []
        while ready:
            _, u = heapq.heappop(ready)
            order.append(self.units[u])
            for reader in readers[u]:
                missing[reader] -= 1
                if missing[reader] == 0:
                    heapq.heappush(ready, (self.units[reader].members[-1], reader))
        assert len(order) == len(alive), "grouping made a cycle"
        return order


def read_outside(program: Program, units: Sequence[Unit]) -> frozenset[int]:
    """The values that another unit, or an output of the program, reads directly or through layout operators."""
    unit_of = {number: unit.members[0] for unit in units for number in unit.members}
    needed = {source_of(program, output.value) for output in program.outputs}
    for unit in units:
        for operand in _operands_of(program, unit):
            source = source_of(program, operand)
            if unit_of.get(source) != unit.members[0]:
                needed.add(source)
    return frozenset(needed)


def _operands_of(program: Program, unit: Unit) -> Iterable[int]:
    if unit.block is not None:
        return unit.block.reads
    return (operand for number in unit.members for operand in program.nodes[number - program.first_node].operands)
