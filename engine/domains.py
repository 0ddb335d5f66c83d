"""Where a program holds attention: the domain of values around a product of scores, all of one shape [..., M, N].

Elementwise operators and reductions of rows, with a softmax among them, and further scores (the gradient's). All that
leaves a domain is per row, or a product with a matrix. Where a program reads one of its values in another way, there is
none, and the operators stay one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from engine import views
from engine.program import Node, Program
from engine.views import View
from kernels import spec
from kernels.group import ELEMENTWISE, MOST_COLUMNS, ROW_REDUCTIONS

DEEPEST = 256  # elements of a head: a tile holds all of them


@dataclass
class Domain:
    """The values around one product of scores.

    scores: products that are read tile by tile
    full:   elementwise members of every element; rows: members of one element per row
    """

    B: int
    M: int
    N: int
    scores: set[int] = field(default_factory=set)
    full: set[int] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        return self.B * self.M * self.N

    def holds(self, number: int) -> bool:
        return number in self.full or number in self.rows or number in self.scores


class Finder:
    """The attention of one program."""

    def __init__(self, program: Program) -> None:
        self.program, self.types = program, program.types
        self.views: list[View] = [views.whole(n, t.shape) for n, t in enumerate(self.types[: program.first_node])]
        self.readers: dict[int, list[tuple[int, int]]] = {}
        for number, node in program.numbered_nodes():
            self._add(number, node)

    def _add(self, number: int, node: Node) -> None:
        view = None
        if spec.is_layout(node.op):
            view = views.follow(self.views[node.operands[0]], node.op, node.attributes)
        self.views.append(view or views.whole(number, self.types[number].shape))
        if view is None:
            for place, operand in enumerate(node.operands):
                self.readers.setdefault(self.views[operand].source, []).append((number, place))

    def node(self, number: int) -> Node:
        assert number >= self.program.first_node, "inputs and constants are no nodes"
        return self.program.nodes[number - self.program.first_node]

    def operator(self, number: int) -> str:
        """The operator of a value; empty where it is an input or a constant."""
        return self.node(number).op if number >= self.program.first_node else ""

    def domains(self) -> list[Domain]:
        """Every domain that holds a softmax and whose values nothing else reads, in program order."""
        by_shape: dict[tuple[int, int, int], set[int]] = {}
        for number, node in self.program.numbered_nodes():
            if node.op == "matmul":
                *batch, M, N = self.types[number].shape
                depth = self.types[node.operands[0]].shape[-1]
                if 1 < N <= MOST_COLUMNS and prod(batch) * M > 0 and 0 < depth <= DEEPEST:
                    by_shape.setdefault((prod(batch), M, N), set()).add(number)
        found = [domain for shape, scores in by_shape.items() for domain in self._of_shape(shape, scores)]
        return sorted(found, key=lambda domain: min(domain.scores))

    def _of_shape(self, shape: tuple[int, int, int], scores: set[int]) -> list[Domain]:
        """The domains of a shape: a product that something else reads is none of their scores."""
        while True:
            domain = Domain(*shape, scores=set(scores))
            for number in range(min(scores) + 1, len(self.types)):
                node = self.node(number)
                if number not in scores and (node.op in ELEMENTWISE or node.op in ROW_REDUCTIONS):
                    self._join(domain, number, node)
            wrong = {n for n in scores if not self._is_inside(domain, n)}
            scores = scores - wrong
            if not wrong or not scores:
                return [part for part in self._apart(domain) if self._is_closed(part)] if scores else []

    def _apart(self, domain: Domain) -> list[Domain]:
        """The parts of a domain that do not read each other's values."""
        part_of: dict[int, Domain] = {}
        for number in sorted((*domain.scores, *domain.full, *domain.rows)):
            part = part_of[number] = Domain(domain.B, domain.M, domain.N)
            operands = () if number in domain.scores else self.node(number).operands
            for source in {self.views[operand].source for operand in operands} & part_of.keys():
                other = part_of[source]
                if other is not part:
                    part_of.update(dict.fromkeys((*other.scores, *other.full, *other.rows), part))
                    part.scores |= other.scores
                    part.full |= other.full
                    part.rows |= other.rows
            kind = next(k for k in ("scores", "full", "rows") if number in getattr(domain, k))
            getattr(part, kind).add(number)
        return list({id(part): part for part in part_of.values()}.values())

    def _is_full(self, domain: Domain, view: View) -> bool:
        inside = view.source in domain.full or view.source in domain.scores
        return inside and views.is_flat(view, domain.size)

    def _is_row(self, domain: Domain, view: View, spread: bool) -> bool:
        if view.source not in domain.rows:
            return False
        rows = domain.B * domain.M
        return views.is_row_wise(view, rows, domain.N) if spread else views.is_flat(view, rows)

    def _join(self, domain: Domain, number: int, node: Node) -> None:
        """Takes a node in where what it reads of the domain is read in the domain's order."""
        sources = [self.views[operand] for operand in node.operands]
        inside = [view for view in sources if domain.holds(view.source)]
        if not inside:
            return
        if node.op in ROW_REDUCTIONS:
            if self._is_full(domain, sources[0]) and self._reduces_rows(domain, node):
                domain.rows.add(number)
        elif self.types[number].size == domain.size:
            if all(self._is_full(domain, v) or self._is_row(domain, v, spread=True) for v in inside):
                domain.full.add(number)
        elif self.types[number].size == domain.B * domain.M:
            if all(self._is_row(domain, v, spread=False) for v in inside):
                domain.rows.add(number)

    def _reduces_rows(self, domain: Domain, node: Node) -> bool:
        type_, axes = self.types[node.operands[0]], node.attributes["axes"]
        trailing = tuple(range(len(type_.shape) - len(axes), len(type_.shape)))
        columns = prod(type_.shape[axis] for axis in axes)
        return axes == trailing and columns == domain.N and type_.dtype == "float32"

    def _is_inside(self, domain: Domain, number: int) -> bool:
        """Whether only the domain reads a value."""
        if number in {self.views[output.value].source for output in self.program.outputs}:
            return False
        return all(
            domain.holds(reader) or (number in domain.full and self.product_of(domain, reader, place))
            for reader, place in self.readers.get(number, ())
        )

    def _is_closed(self, domain: Domain) -> bool:
        """Whether the domain holds a softmax and products, and only they and its rows leave it."""
        if not self.products(domain) or not any(self._is_softmax(domain, number) for number in domain.full):
            return False
        return all(self._is_inside(domain, number) for number in (*domain.full, *domain.scores))

    def _is_softmax(self, domain: Domain, number: int) -> bool:
        """Whether a value is exp(x - amax x)."""
        below = self.views[self.node(number).operands[0]].source
        if self.operator(number) != "exp" or self.operator(below) != "sub":
            return False
        x, highest = (self.views[operand].source for operand in self.node(below).operands)
        is_highest = highest in domain.rows and self.operator(highest) == "amax"
        return is_highest and self.views[self.node(highest).operands[0]].source == x

    def products(self, domain: Domain) -> list[int]:
        """The products with a value of the domain, in program order."""
        readers = (reader for n in domain.full for reader in self.readers.get(n, ()))
        return sorted({number for number, place in readers if self.product_of(domain, number, place)})

    def product_of(self, domain: Domain, number: int, place: int) -> tuple[str, bool] | None:
        """(over, on_left) of a product whose operand at `place` is a full value; None where it is none that fits."""
        node = self.node(number)
        if node.op != "matmul":
            return None
        view, other = (self.views[node.operands[p]] for p in (place, 1 - place))
        depth = self.types[number].shape[-2 if place else -1]
        if other.source in domain.full or other.source in domain.scores or not 0 < depth <= DEEPEST:
            return None
        straight = view.shape[-2:] == (domain.M, domain.N) and views.is_flat(view, domain.size)
        turned = _turned(view)
        across = turned.shape[-2:] == (domain.M, domain.N) and views.is_flat(turned, domain.size)
        if straight:
            return ("rows", True) if place else ("columns", False)
        return (("columns", True) if place else ("rows", False)) if across else None

    def side(self, domain: Domain, product: int) -> int:
        """Which operand of a product is the domain's."""
        return next(p for p in (0, 1) if self.views[self.node(product).operands[p]].source in domain.full)


def _turned(view: View) -> View:
    """The view with its last two axes exchanged."""
    shape, strides = view.shape, view.strides
    return View(view.source, (*shape[:-2], *shape[:-3:-1]), (*strides[:-2], *strides[:-3:-1]), view.offset)
