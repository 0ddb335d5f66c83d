"""The text of the kernels that compute attention: values of a domain [B, M, N] tile by tile, none of them stored.

The kernel of rows has R rows a program and goes through their columns as often as one result needs another: for maxima,
for sums, for products over the columns. The kernel of columns, where products over the rows are wanted, has C columns a
program and goes once through the rows: everything per row, and the maxima of columns, is in memory by then.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from kernels.attention import Attention, Product
from kernels.spec.matmul import qmax
from kernels.triton.group_text import Axes, Blocks, KernelText, Text, Value
from kernels.triton.member_text import REDUCTIONS
from kernels.triton.tilings import DIGITS

TERMS = 128  # rows of digits are padded to a multiple of this, and no tile is longer


def power_of_two(n: int, least: int) -> int:
    """The smallest power of two that is at least n and at least `least`."""
    return max(least, 1 << (n - 1).bit_length())


def padded(n: int) -> int:
    return -(-n // TERMS) * TERMS


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that a pass over the columns finds: of value `x`, for value or product `key`."""

    kind: str
    key: int
    x: int


class AttentionText(KernelText):
    """Both kernels' texts; `stored` are the values per row that the kernel of rows leaves in memory."""

    def __init__(self, attention: Attention, axes: tuple[Axes, ...]) -> None:
        """axes: of the group's inputs, the scores' empty"""
        self.attention, self.N = attention, attention.N
        super().__init__(attention.group, axes, Blocks(attention.group.size, attention.N, 1, 1))
        self.xs = [self.now[product.register] for product in attention.products]
        self.level: list[int] = []
        self.jobs: dict[int, list[Job]] = defaultdict(list)
        self.needs_maximum: set[int] = set()
        self._plan()
        self.stored = list(self.outputs)
        self.stored += [n for n in self._read_per_row() if n not in self.stored]

    @property
    def has_columns(self) -> bool:
        return any(product.over == "rows" for product in self.attention.products)

    # What is found in which pass.

    def _plan(self) -> None:
        for value in self.values:
            base = max((self.level[operand] for operand in value.operands), default=0)
            self.level.append(self._plan_reduction(value, base) if value.op in REDUCTIONS else base)
        for number, (product, x) in enumerate(zip(self.attention.products, self.xs, strict=True)):
            if product.over == "rows":
                self.jobs[self.level[x] + 1].append(Job("columns", number, x))
            else:
                self.jobs[self._plan_maximum(x) + 1].append(Job("product", number, x))

    def _plan_reduction(self, value: Value, base: int) -> int:
        """The pass after which a reduction is known."""
        x = value.operands[0]
        level = (self._plan_maximum(x) if value.op == "sum" else base) + 1
        self.jobs[level].append(Job(value.op, value.number, x))
        return level

    def _plan_maximum(self, x: int) -> int:
        """The pass after which the largest |x| of a row is known."""
        known = self._maximum_of(x) is not None
        if x not in self.needs_maximum and not known:
            self.jobs[self.level[x] + 1].append(Job("maximum", x, x))
        self.needs_maximum.add(x)
        return self.level[x] + (not known)

    def _maximum_of(self, x: int) -> str | None:
        """The largest |x| of rows as an expression of values per row; None where it takes a pass to find it."""
        value, values = self.values[x], self.values
        operands = [values[n] for n in value.operands]
        if value.op == "exp" and operands[0].op == "sub":
            left, right = (values[n] for n in operands[0].operands)
            if right.op == "amax" and right.operands == (left.number,):
                return f"tiles.softmax_maximum({right.name})"
        if value.op == "div" and self._is_even(operands[1]) and (maximum := self._maximum_of(value.operands[0])):
            return f"tiles.quotient_maximum({maximum}, {operands[1].name})"
        if value.op == "mul" and self._is_even(operands[1]) and (maximum := self._maximum_of(value.operands[0])):
            return f"tiles.product_maximum({maximum}, {operands[1].name})"
        if value.op == "select" and operands[0].per_row:
            parts = [self._maximum_of(n) for n in value.operands[1:]]
            if all(parts):
                return f"tl.where({operands[0].name}, {parts[0]}, {parts[1]})"
        return f"scale.magnitude({value.name})" if self._is_even(value) and value.dtype == "float32" else None

    def _is_even(self, value: Value) -> bool:
        """Whether a value is the same along each row."""
        return value.per_row or (not value.op and value.number >= len(self.attention.scores) and not self._axes(value))

    def _axes(self, value: Value) -> Axes:
        return tuple((size, stride) for size, stride in self.axes[value.number] if stride)

    def _read_per_row(self) -> list[int]:
        """The values per row that the kernel of columns reads and that are no inputs."""
        found: dict[int, None] = {}
        waiting = [x for x, p in zip(self.xs, self.attention.products, strict=True) if p.over == "rows"]
        seen: set[int] = set()
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            if self.values[number].per_row and self.values[number].op:
                found[number] = None
            else:
                waiting.extend(self.values[number].operands)
        return list(found)

    # The kernel of rows.

    def row_text(self) -> str:
        self.top, self.turned = Text(), False
        top, M = self.top, self.attention.M
        top.add(f"batch = (tl.program_id(0) // tl.cdiv({M}, R)).to(tl.int64)")
        top.add(f"row_at = tl.program_id(0) % tl.cdiv({M}, R) * R + tl.arange(0, R)")
        top.add(f"row = (batch * {M} + row_at).to({self.index})[:, None]")
        top.add(f"row_inside = (row_at < {M})[:, None]")
        last = max(self.jobs)
        for level in range(last + 1):
            if level:
                self._pass(level, self.jobs[level])
            for value in self.values:
                if value.per_row and self.level[value.number] == level and value.op not in REDUCTIONS:
                    self._need(top, [value.number])
            self._known_maxima(level)
        for number, product in enumerate(self.attention.products):
            if product.over == "columns":
                top.add(self._write(number, product, f"r{self.xs[number]}", "row_at", M))
        self._store_rows()
        return self._with_head("row_kernel", top)

    def _known_maxima(self, level: int) -> None:
        for x in sorted(self.needs_maximum):
            if self.level[x] == level and (maximum := self._maximum_of(x)):
                self._need(self.top, [n for n in self._even_inputs(x) if n not in self.top.known])
                self.top.add(f"r{x} = {maximum}")

    def _even_inputs(self, x: int) -> list[int]:
        value = self.values[x]
        if not value.op:
            return [x] if self._is_even(value) else []
        return [n for operand in value.operands if not value.per_row for n in self._even_inputs(operand)]

    def _pass(self, level: int, jobs: list[Job]) -> None:
        for job in jobs:
            self._begin(job)
        self.top.add(f"for start_{level} in range(0, {self.N}, C):")
        known = {n for n in self.top.known if self.values[n].per_row or self._is_even(self.values[n])}
        body = Text(self.top.lines, known, self.top.indent + 1)
        body.add(f"column_at = start_{level} + tl.arange(0, C)")
        self._columns(body, "column_at[None, :]")
        for job in jobs:
            self._need(body, [job.x])
            body.add(f"x = tl.broadcast_to(v{job.x}, (R, C))")
            body.add(self._found(job))
        for job in jobs:
            self._end(job)

    def _begin(self, job: Job) -> None:
        match job.kind:
            case "maximum":
                self.top.add(f"r{job.key} = tl.full((R, 1), 0, tl.int32)")
            case "sum":
                self.top.add(f"v{job.key}_total = tl.full((R, 1), 0, tl.int64)")
            case "amax" | "amin":
                stage = REDUCTIONS[job.kind].stages(f"v{job.key}")[0]
                self.top.add(f"{stage.name} = tl.full((R, 1), {stage.start}, {stage.kind})")
            case "product":
                size = power_of_two(self._depth(self.attention.products[job.key]), 16)
                self.top.add(f"t{job.key} = tl.zeros((R, {size}), tl.int64)")

    def _found(self, job: Job) -> str:
        match job.kind:
            case "maximum":
                return f"r{job.key} = tl.maximum(r{job.key}, members.group_maximum(x, inside))"
            case "sum":
                return f"v{job.key}_total += members.group_sum(x, inside, r{job.x})"
            case "columns":
                return f"tiles.highest_of_columns(x, inside, c{job.key} + batch * {self.N}, column_at, {self.N})"
            case "product":
                return self._product(job.key, f"r{job.x}", "column_at", self.N)
        stage = REDUCTIONS[job.kind].stages(f"v{job.key}")[0]
        return f"{stage.name} = {stage.joined}({stage.name}, {stage.part})"

    def _end(self, job: Job) -> None:
        if job.kind in REDUCTIONS:
            name = f"v{job.key}"
            found = (
                f"members.rounded_sum({name}_total, r{job.x})" if job.kind == "sum" else REDUCTIONS[job.kind].end(name)
            )
            self.top.add(f"{name} = {found}")
            self.top.known.add(job.key)

    def _store_rows(self) -> None:
        for place, number in enumerate(self.stored):
            value = self.values[number]
            kind = ".to(tl.int8)" if value.dtype == "bool" else ""
            self.top.add(f"tl.store(y{place} + row, tl.broadcast_to({value.name}, (R, 1)){kind}, row_inside)")

    # The kernel of columns.

    def column_text(self) -> str:
        self.top, self.turned = Text(), True
        top, M, N = self.top, self.attention.M, self.N
        top.add(f"batch = (tl.program_id(0) // tl.cdiv({N}, C)).to(tl.int64)")
        top.add(f"column_at = tl.program_id(0) % tl.cdiv({N}, C) * C + tl.arange(0, C)")
        top.add(f"column = column_at.to({self.index})[:, None]")
        top.add(f"column_inside = (column_at < {N})[:, None]")
        wanted = [(n, p, self.xs[n]) for n, p in enumerate(self.attention.products) if p.over == "rows"]
        for n, product, _ in wanted:
            top.add(f"r{n} = tl.load(c{n} + batch * {N} + column_at, column_at < {N}, 0)[:, None]")
            top.add(f"t{n} = tl.zeros((C, {power_of_two(self._depth(product), 16)}), tl.int64)")
        top.add(f"for start in range(0, {M}, R):")
        body = Text(top.lines, set(), top.indent + 1)
        body.add("row_at = start + tl.arange(0, R)")
        body.add(f"row = (batch * {M} + row_at).to({self.index})[None, :]")
        body.add(f"row_inside = (row_at < {M})[None, :]")
        body.add("inside = row_inside & column_inside")
        for place, number in enumerate(self.stored):
            if number in self._read_per_row():
                load = f"v{number} = tl.load(y{place} + row, row_inside, 0)"
                body.add(load + (" != 0" if self.values[number].dtype == "bool" else ""))
                body.known.add(number)
        for n, _, x in wanted:
            self._need(body, [x])
            body.add(f"x = tl.broadcast_to(v{x}, (C, R))")
            body.add(self._product(n, f"r{n}", "row_at", M))
        for n, product, _ in wanted:
            top.add(self._write(n, product, f"r{n}", "column_at", N))
        return self._with_head("column_kernel", top)

    # What both have.

    def _depth(self, product: Product) -> int:
        return product.type.shape[-2 if product.on_left else -1]

    def _limits(self, width: str, terms: int) -> str:
        limit = qmax(width, terms)
        return f"{DIGITS[width]}, {limit}, {limit.bit_length()}"

    def _load(self, text: Text, value: Value) -> None:
        """A score is computed where another input would be loaded."""
        if value.number >= len(self.attention.scores):
            super()._load(text, value)
            return
        n, score = value.number, self.attention.scores[value.number]
        sides = [(f"a{n}", f"ma{n}", "row_at", self.attention.M), (f"b{n}", f"mb{n}", "column_at", self.N)]
        (a, ma, i, size_i), (b, mb, j, size_j) = sides[::-1] if self.turned else sides
        sizes = f"{size_i}, {size_j}, {power_of_two(score.K, 32)}, {self._limits(score.width, score.K)}"
        text.add(f"{value.name} = tiles.scores({a}, {b}, {ma}, {mb}, batch, {i}, {j}, {sizes})")

    def _product(self, number: int, maximum: str, terms: str, count: int) -> str:
        product = self.attention.products[number]
        D = self._depth(product)
        sizes = f"{D}, {padded(count)}, {power_of_two(D, 16)}, {self._limits(product.width, count)}"
        return f"t{number} += tiles.product(x, inside, {maximum}, w{number}, batch, {terms}, {sizes})"

    def _write(self, number: int, product: Product, maximum: str, row: str, count: int) -> str:
        D = self._depth(product)
        strides = f"1, {count}" if product.on_left else f"{D}, 1"
        limit = qmax(product.width, self.N if product.over == "columns" else self.attention.M)
        sizes = f"{strides}, {count}, {D}, {power_of_two(D, 16)}, {limit}, {limit.bit_length()}"
        return f"tiles.write(o{number}, t{number}, {maximum}, mw{number}, batch, {row}, {sizes})"

    def names(self) -> list[str]:
        """The kernels' arguments, all pointers: digits, maxima, results, inputs, rows, what functions look up."""
        names = [f"{x}{n}" for n in range(len(self.attention.scores)) for x in ("a", "ma", "b", "mb")]
        for n, product in enumerate(self.attention.products):
            names += [f"w{n}", f"mw{n}", f"o{n}"] + ([f"c{n}"] if product.over == "rows" else [])
        names += [f"x{n}" for n in range(len(self.attention.scores), self.group.inputs)]
        return names + [f"y{n}" for n in range(len(self.stored))]

    def _with_head(self, name: str, text: Text) -> str:
        head = f"def {name}({', '.join(self.names())}, table, R: tl.constexpr, C: tl.constexpr):"
        return "\n".join([head, *text.lines, ""])
