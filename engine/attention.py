"""Attention as calls that store no matrix of scores: the products of a domain (engine/domains.py), cut into blocks.

A block is one call. What an earlier block has per row is read; every other value of the domain is computed again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.domains import Domain, Finder
from engine.program import Program
from kernels.attention import Attention, Product, Score
from kernels.group import ROW_REDUCTIONS, Group, Register, Step


@dataclass(frozen=True, slots=True)
class Block:
    """One call.

    members: the nodes that it stands for; what it computes again belongs to an earlier block
    reads:   the values that are its operands
    writes:  the values that are its results
    """

    members: tuple[int, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    attention: Attention


@dataclass(frozen=True, slots=True)
class _Part:
    """A block before it is known which of its values per row others read.

    inside: the domain's values that it computes, in program order; outside: the values it reads beside matrices
    """

    products: tuple[int, ...]
    inside: tuple[int, ...]
    matrices: tuple[int, ...]
    outside: tuple[int, ...]
    members: frozenset[int]

    @property
    def reads(self) -> tuple[int, ...]:
        return (*self.matrices, *self.outside)


def blocks_of(program: Program) -> list[Block]:
    """The blocks of every domain that can be cut into calls."""
    finder = Finder(program)
    return [block for domain in finder.domains() for block in _Cutting(finder, domain).blocks()]


class _Cutting:
    def __init__(self, finder: Finder, domain: Domain) -> None:
        self.finder, self.domain, self.done = finder, domain, set[int]()

    def blocks(self) -> list[Block]:
        parts = self._parts()
        members = {n for part in parts for n in part.members}
        domain = self.domain
        reductions = {n for n in domain.rows if self.finder.node(n).op in ROW_REDUCTIONS}
        if not members >= {*domain.full, *domain.scores, *reductions}:
            return []  # a value that no product takes
        return [self._block(part, [other for other in parts if other is not part]) for part in parts]

    def _parts(self) -> list[_Part]:
        """As many products a part as can run together, in program order; none where one of them cannot run."""
        found: list[_Part] = []
        now: _Part | None = None
        for product in self.finder.products(self.domain):
            joined = self._part([*now.products, product]) if now else None
            if joined is None and now is not None:
                found.append(now)
                self.done |= now.members
            now = joined or self._part([product])
            if now is None:
                return []
        return [*found, now] if now else []

    def _part(self, products: Sequence[int]) -> _Part | None:
        """The part of some products; None where it would read what depends on it."""
        finder, domain = self.finder, self.domain
        inside, outside = self._cone(products)
        scores = [operand for n in inside if n in domain.scores for operand in finder.node(n).operands]
        others = [finder.node(n).operands[1 - finder.side(domain, n)] for n in products]
        members = frozenset(n for n in (*inside, *products) if n not in self.done)
        part = _Part(tuple(products), inside, tuple(dict.fromkeys((*scores, *others))), outside, members)
        return None if self._depends(part.reads, members) else part

    def _cone(self, products: Iterable[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What the products take: the domain's values, and the values that are read."""
        finder, domain = self.finder, self.domain
        inside: set[int] = set()
        outside: set[int] = set()
        waiting = [finder.node(n).operands[finder.side(domain, n)] for n in products]
        while waiting:
            operand = waiting.pop()
            source = finder.views[operand].source
            if source in domain.rows and source in self.done:
                outside.add(source)
            elif not domain.holds(source):
                outside.add(operand)
            elif source not in inside:
                inside.add(source)
                waiting.extend(() if source in domain.scores else finder.node(source).operands)
        return tuple(sorted(inside)), tuple(sorted(outside))

    def _depends(self, reads: Iterable[int], members: frozenset[int]) -> bool:
        """Whether a read value depends on a member."""
        finder, first, seen = self.finder, min(members), set[int]()
        waiting = list(reads)
        while waiting:
            number = waiting.pop()
            if number in members:
                return True
            if number > first and number not in seen:
                seen.add(number)
                waiting.extend(finder.node(number).operands)
        return False

    def _block(self, part: _Part, others: Sequence[_Part]) -> Block:
        finder, domain, types = self.finder, self.domain, self.finder.types
        scores = [n for n in part.inside if n in domain.scores]
        registers = [Register(types[n].dtype, False) for n in scores]
        place: dict[int, int] = {n: i for i, n in enumerate(scores)}
        for value in part.outside:
            place[value] = len(registers)
            registers.append(Register(types[value].dtype, types[value].size == domain.B * domain.M))
        inputs = len(registers)
        steps = []
        for number in (n for n in part.inside if n not in domain.scores):
            node = finder.node(number)
            operands = tuple(place[self._key(o, place)] for o in node.operands)
            place[number] = len(registers)
            registers.append(Register(types[number].dtype, number in domain.rows))
            steps.append(Step(node.op, place[number], operands))
        rows = [n for n in sorted(part.members) if n in domain.rows and self._is_read(n, part, others)]
        outputs = tuple((place[n], types[n]) for n in rows)
        group = Group(domain.size, domain.N, tuple(registers), inputs, outputs, tuple(steps))
        matrix = {value: i for i, value in enumerate(part.matrices)}
        attention = Attention(
            domain.B,
            domain.M,
            domain.N,
            len(part.matrices),
            tuple(self._score(n, matrix) for n in scores),
            group,
            tuple(self._product(n, place, matrix) for n in part.products),
        )
        return Block(tuple(sorted(part.members)), part.reads, (*rows, *part.products), attention)

    def _key(self, operand: int, place: dict[int, int]) -> int:
        """Under which value an operand is held: the one behind its layout, or itself where that is outside."""
        source = self.finder.views[operand].source
        return source if self.domain.holds(source) else operand

    def _is_read(self, row: int, part: _Part, others: Sequence[_Part]) -> bool:
        """Whether another call, or an output of the program, reads a value per row."""
        finder = self.finder
        is_output = row in {finder.views[output.value].source for output in finder.program.outputs}
        readers = (reader for reader, _ in finder.readers.get(row, ()))
        return is_output or any(row in o.outside for o in others) or any(n not in part.members for n in readers)

    def _score(self, number: int, matrix: dict[int, int]) -> Score:
        node = self.finder.node(number)
        left, right = node.operands
        return Score(matrix[left], matrix[right], self.finder.types[left].shape[-1], node.attributes["width"])

    def _product(self, number: int, place: dict[int, int], matrix: dict[int, int]) -> Product:
        finder, side = self.finder, self.finder.side(self.domain, number)
        node = finder.node(number)
        form = finder.product_of(self.domain, number, side)
        assert form is not None, "a product of the domain"
        over, on_left = form
        register = place[finder.views[node.operands[side]].source]
        w = matrix[node.operands[1 - side]]
        return Product(register, w, over, on_left, node.attributes["width"], finder.types[number])


def in_order(program: Program, blocks: Sequence[Block]) -> list[int | Block]:
    """The nodes, and each block in its members' place, after what it reads; no block where there is no such order."""
    owner: dict[int, int | Block] = {number: block for block in blocks for number in block.members}
    items: dict[int, int | Block] = {block.members[-1]: block for block in blocks}
    items.update((number, number) for number, _ in program.numbered_nodes() if number not in owner)
    last = {number: block.members[-1] for block in blocks for number in block.members}
    missing, readers = dict.fromkeys(items, 0), {key: list[int]() for key in items}
    for key, item in items.items():
        reads = item.reads if isinstance(item, Block) else program.nodes[item - program.first_node].operands
        for below in {last.get(value, value) for value in reads if value >= program.first_node}:
            readers[below].append(key)
            missing[key] += 1
    ready = [key for key, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order: list[int | Block] = []
    while ready:
        key = heapq.heappop(ready)
        order.append(items[key])
        for reader in readers[key]:
            missing[reader] -= 1
            if missing[reader] == 0:
                heapq.heappush(ready, reader)
    return order if len(order) == len(items) else [number for number, _ in program.numbered_nodes()]
