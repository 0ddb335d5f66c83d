"""The text of the kernel that runs a group: loads, one line per member, stores.

Short rows are held whole, [R, C] elements a program. Of longer rows a program holds R x C elements at a time: it goes
through them once for every maximum and every sum, and once for the outputs, and computes again what each needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kernels.group import SPREAD, Group
from kernels.triton.member_text import REDUCTIONS, member

Axes = tuple[tuple[int, int], ...]
FAR = 2**31 - 2**16  # indices of a last block may lie that far beyond the end


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a domain of `size` elements, in rows of `columns` (0: no rows), is cut: R x C elements a program."""

    size: int
    columns: int
    R: int
    C: int

    @property
    def rows(self) -> int:
        return self.size // self.columns if self.columns else 1

    @property
    def programs(self) -> int:
        return -(-self.rows // self.R) if self.columns else -(-self.size // self.C)

    @property
    def is_whole(self) -> bool:
        """Whether a program holds whole rows."""
        return self.C >= self.columns


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a group, each written once: an input (op is empty) or a member's result."""

    number: int
    op: str
    operands: tuple[int, ...]
    dtype: str
    per_row: bool

    @property
    def name(self) -> str:
        return f"v{self.number}"


@dataclass
class Text:
    """Lines, and the values that they have defined so far."""

    lines: list[str] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    indent: int = 1

    def add(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)


def kernel_text(group: Group, axes: tuple[Axes, ...], blocks: Blocks) -> str:
    """The kernel's text. Its arguments: the inputs, the outputs, what functions look up; R and C."""
    return KernelText(group, axes, blocks).text()


class KernelText:
    """Places, loads, members and stores of a group's values, line by line."""

    def __init__(self, group: Group, axes: tuple[Axes, ...], blocks: Blocks) -> None:
        self.group, self.axes, self.blocks = group, axes, blocks
        self.values, self.now = _values_of(group)
        self.outputs = [self.now[register] for register, _ in group.outputs]
        self.index = "tl.int64" if _reach(group.size, axes) >= FAR else "tl.int32"
        self.top = Text()

    def text(self) -> str:
        names = [f"x{n}" for n in range(self.group.inputs)] + [f"y{n}" for n in range(len(self.outputs))]
        head = f"def group_kernel({', '.join(names)}, table, R: tl.constexpr, C: tl.constexpr):"
        self._places()
        if self.blocks.is_whole:
            for value in self.values:
                self._define(self.top, value)
            self._store(self.top, self.outputs)
        else:
            self._in_passes()
        return "\n".join([head, *self.top.lines, ""])

    def _places(self) -> None:
        """Where a program's elements lie: i in a domain without rows, row and column in one with."""
        top, kind = self.top, self.index
        if not self.blocks.columns:
            top.add(f"i = tl.program_id(0).to({kind}) * C + tl.arange(0, C)")
            top.add(f"inside = i < {self.blocks.size}")
            return
        top.add(f"row = (tl.program_id(0).to({kind}) * R + tl.arange(0, R))[:, None]")
        top.add(f"row_inside = row < {self.blocks.rows}")
        if self.blocks.is_whole:
            self._columns(top, "tl.arange(0, C)[None, :]")

    def _columns(self, text: Text, column: str) -> None:
        text.add(f"column = ({column}).to({self.index})")
        text.add(f"column_inside = column < {self.blocks.columns}")
        text.add("inside = row_inside & column_inside")

    def _in_passes(self) -> None:
        for value in self.values:
            if value.per_row:
                self._row(value)
        full = [output for output in self.outputs if not self.values[output].per_row]
        if full:
            body = self._loop("last")
            self._need(body, full)
            self._store(body, full)
        self._store(self.top, [output for output in self.outputs if self.values[output].per_row])

    def _row(self, value: Value) -> None:
        """A value per row: from others per row, or a reduction in as many passes as it has stages."""
        if value.op not in REDUCTIONS:
            self._define(self.top, value)
            return
        self.top.known.add(value.number)
        for stage in REDUCTIONS[value.op].stages(value.name):
            self.top.add(f"{stage.name} = tl.full((R, 1), {stage.start}, {stage.kind})")
            body = self._loop(stage.name)
            self._need(body, [value.operands[0]])
            body.add(f"x = tl.broadcast_to(v{value.operands[0]}, (R, C))")
            body.add(f"{stage.name} = {stage.joined}({stage.name}, {stage.part})")
        self.top.add(f"{value.name} = {REDUCTIONS[value.op].end(value.name)}")

    def _loop(self, name: str) -> Text:
        """The body of one pass over the columns; what is known per row is known in it."""
        self.top.add(f"for start_{name} in range(0, {self.blocks.columns}, C):")
        body = Text(self.top.lines, {n for n in self.top.known if self.values[n].per_row}, self.top.indent + 1)
        self._columns(body, f"start_{name} + tl.arange(0, C)[None, :]")
        return body

    def _need(self, text: Text, numbers: list[int]) -> None:
        """Defines values and what they are made of."""
        for number in numbers:
            if number not in text.known:
                self._need(text, list(self.values[number].operands))
                self._define(text, self.values[number])

    def _define(self, text: Text, value: Value) -> None:
        text.known.add(value.number)
        if not value.op:
            self._load(text, value)
        elif value.op in REDUCTIONS:
            text.add(f"x = tl.broadcast_to(v{value.operands[0]}, (R, C))")
            for stage in REDUCTIONS[value.op].stages(value.name):
                text.add(f"{stage.name} = {stage.part}")
            text.add(f"{value.name} = {REDUCTIONS[value.op].end(value.name)}")
        else:
            operands = [self.values[number] for number in value.operands]
            line = member(value.op, [v.name for v in operands], operands[0].dtype, value.dtype)
            text.add(f"{value.name} = {line}")

    def _load(self, text: Text, value: Value) -> None:
        place, mask = self._place(value)
        pointer = f"x{value.number} + {place}" if place else f"x{value.number} + {self._zero()}"
        load = f"tl.load({pointer}, {mask}, 0)" if mask else f"tl.load({pointer})"
        text.add(f"{value.name} = {load}" + (" != 0" if value.dtype == "bool" else ""))

    def _zero(self) -> str:
        shape = "(1, 1)" if self.blocks.columns else "(1,)"
        return f"tl.zeros({shape}, tl.int32)"

    def _place(self, value: Value) -> tuple[str, str]:
        """The offset of an input's elements, empty where it is one element, and what masks it."""
        axes = self.axes[value.number]
        if not self.blocks.columns:
            place = _chain("i", axes)
            return place, "inside" if place else ""
        if value.per_row:
            place = _chain("row", axes)
            return place, "row_inside" if place else ""
        split = _split(axes, self.blocks.columns)
        if split is None:
            return _chain(f"(row * {self.blocks.columns} + column)", axes), "inside"
        parts = {"row_inside": _chain("row", split[0]), "column_inside": _chain("column", split[1])}
        used = [name for name, part in parts.items() if part]
        return " + ".join(parts[name] for name in used), "inside" if len(used) == 2 else "".join(used)

    def _store(self, text: Text, numbers: list[int]) -> None:
        """Stores, after every thread has loaded: an output may be an input's own memory."""
        text.add("tl.debug_barrier()")
        for number in numbers:
            value = self.values[number]
            place, mask, shape = "i", "inside", "(C,)"
            if self.blocks.columns:
                place, mask, shape = f"row * {self.blocks.columns} + column", "inside", "(R, C)"
                if value.per_row:
                    place, mask, shape = "row", "row_inside", "(R, 1)"
            stored = f"tl.broadcast_to({value.name}, {shape})" + (".to(tl.int8)" if value.dtype == "bool" else "")
            text.add(f"tl.store(y{self.outputs.index(number)} + {place}, {stored}, {mask})")


def _values_of(group: Group) -> tuple[list[Value], dict[int, int]]:
    """Every value under a number of its own, and the last of each register, which may be used more than once.

    A value repeated along its row is the value itself: operands of [R, 1] and [R, C] may meet.
    """
    values = [Value(n, "", (), r.dtype, r.per_row) for n, r in enumerate(group.registers[: group.inputs])]
    now = {register: register for register in range(group.inputs)}
    for step in group.steps:
        if step.op == SPREAD:
            now[step.result] = now[step.operands[0]]
            continue
        register = group.registers[step.result]
        operands = tuple(now[operand] for operand in step.operands)
        values.append(Value(len(values), step.op, operands, register.dtype, register.per_row))
        now[step.result] = values[-1].number
    return values, now


def _reach(size: int, axes: tuple[Axes, ...]) -> int:
    """The largest index that the kernel counts with."""
    return max([size, *(sum((n - 1) * stride for n, stride in one) for one in axes)])


def _chain(index: str, axes: Axes) -> str:
    """The offset of the element number `index` in row-major order; empty where every stride is 0."""
    return " + ".join(_terms(index, axes))


def _terms(index: str, axes: Axes) -> Iterator[str]:
    inner = 1
    for place, (size, stride) in reversed(list(enumerate(axes))):
        if stride:
            at = index if inner == 1 else f"{index} // {inner}"
            at = at if place == 0 else f"({at}) % {size}"
            yield at if stride == 1 else f"({at}) * {stride}"
        inner *= size


def _split(axes: Axes, columns: int) -> tuple[Axes, Axes] | None:
    """The axes along rows and along columns; None where no axis ends or can be cut there."""
    inner: list[tuple[int, int]] = []
    left, outer = columns, list(axes)
    while left > 1 and outer:
        size, stride = outer.pop()
        if left % size == 0:
            inner.insert(0, (size, stride))
            left //= size
        elif size % left == 0:
            inner.insert(0, (left, stride))
            outer.append((size // left, stride * left))
            left = 1
        else:
            return None
    return (tuple(outer), tuple(inner)) if left == 1 else None
