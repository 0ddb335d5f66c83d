"""What the referee is asked: one place of one operator, where its operands are committed, what two sides claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.canonical import from_canonical, to_canonical
from protocol.referee.geometry import Layout, Shape

FORMAT = "isobit-question-1"
MAX_SHIFT = 2**9  # the law's scales are from -115 to 194
ITEM_BYTES = {"float32": 4, "int64": 8, "int32": 4, "uint32": 4, "bool": 1, "uint8": 1, "uint16": 2}
Kind = Literal["entry", "slot", "tensor", "number"]
Phase = Literal["open", "prove", "fault", "term"]
# What each attribute is. A record's stride is one number, a window's are two.
TEXTS = ("width", "dtype", "for")
NUMBERS = ("axis", "groups", "site", "descending", "at", "of", "record_size", "records", "seed", "position")
LISTS = ("axes", "shape", "size", "padding", "dilation", "kernel", "low", "high", "start", "stop", "step")
KINDS = ("entry", "slot", "tensor", "number")
PHASES = ("open", "prove", "fault", "term")


@dataclass(frozen=True, slots=True)
class Operand:
    """A committed tensor and the layouts through which an operator sees it.

    kind:   entry: leaf `index` of a step's trace; slot: leaf `index` of a state or schedule; tensor: by its own root;
            number: known to everyone, `bits` its pattern
    label:  what the leaf holds besides dtype, shape and root: an entry's [kind, number, operand], a slot's [name]
    anchor: the root of the trace, state or schedule of `size` leaves; of a tensor, its own root
    """

    kind: Kind
    dtype: str
    shape: Shape
    layouts: tuple[Layout, ...] = ()
    label: tuple[str | int, ...] = ()
    index: int = 0
    size: int = 0
    anchor: bytes = b""
    bits: int = 0

    @property
    def seen(self) -> Shape:
        """The shape behind the layouts."""
        return self.layouts[-1].after if self.layouts else self.shape

    def leaf(self, root: bytes) -> bytes:
        """The bytes of the leaf that commits to this tensor."""
        return to_canonical([*self.label, self.dtype, list(self.shape), root])


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    phase:    open: the disputed place itself; prove: one side was told to show what only it can show; fault: one side
              says that the operator has no value at all; term: one term of an exact sum
    op:       an operator of the law; scale: the maxima of operand `attributes["of"]` of `attributes["for"]`; batch: a
              loaded record; state: a slot of the state after the step; copy: an operand through its layouts
    dtype, shape: of the disputed tensor; element: the flat index in it
    scales:   the committed maxima, one tensor for each operand that is quantised
    output:   the disputed tensor up to `element`, by the root of the side that opens it
    claims:   what the solver and the challenger hold, as integers: bit patterns, hashes, or in a term sums
    facts:    what an earlier answer established; term: the number of the term; prover: the side that has to show
    """

    phase: Phase
    op: str
    attributes: Mapping[str, Any]
    dtype: str
    shape: Shape
    element: int
    operands: tuple[Operand, ...]
    scales: tuple[Operand, ...]
    output: Operand | None
    claims: tuple[int, int]
    facts: tuple[int, ...] = ()
    term: int = 0
    prover: int = 0
    before: Operand | None = None

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of the operands, behind their layouts."""
        return tuple(operand.seen for operand in self.operands)

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return to_canonical(
            [
                FORMAT,
                self.phase,
                self.op,
                {key: list(value) if isinstance(value, tuple) else value for key, value in self.attributes.items()},
                self.dtype,
                list(self.shape),
                self.element,
                [_operand_list(operand) for operand in self.operands],
                [_operand_list(operand) for operand in self.scales],
                None if self.output is None else _operand_list(self.output),
                list(self.claims),
                list(self.facts),
                self.term,
                self.prover,
                None if self.before is None else _operand_list(self.before),
            ]
        )

    def asked(self, **changes: Any) -> Question:
        """The same question with other fields."""
        return replace(self, **changes)


def question_from_bytes(data: bytes) -> Question:
    """The question of canonical bytes; a ValueError for anything else."""
    content = _list(from_canonical(data, "question"), 15)
    (
        form,
        phase,
        op,
        attributes,
        dtype,
        shape,
        element,
        operands,
        scales,
        output,
        claims,
        facts,
        term,
        prover,
        before,
    ) = content
    _want(form == FORMAT and phase in PHASES and isinstance(op, str) and dtype in ITEM_BYTES, "head")
    _want(isinstance(attributes, dict), "attributes")
    return Question(
        phase,
        op,
        {name: _attribute(op, name, value) for name, value in attributes.items()},
        dtype,
        _shape(shape),
        _count(element),
        tuple(_operand(item) for item in _list(operands)),
        tuple(_operand(item) for item in _list(scales)),
        None if output is None else _operand(output),
        (_integer(_list(claims, 2)[0]), _integer(claims[1])),
        _facts(facts),
        _count(term),
        _count(prover),
        None if before is None else _operand(before),
    )


def _operand_list(operand: Operand) -> list[Any]:
    layouts = [[x.op, list(x.before), list(x.after), list(x.numbers)] for x in operand.layouts]
    head = [operand.kind, operand.dtype, list(operand.shape), layouts, list(operand.label)]
    return [*head, operand.index, operand.size, operand.anchor, operand.bits]


def _attribute(op: str, name: str, value: Any) -> Any:
    """An attribute of its kind: in Python a number times a text or a list is as many of them."""
    if name in TEXTS:
        _want(isinstance(value, str), name)
    elif name in NUMBERS or (name == "stride" and op == "batch"):
        _want(isinstance(value, int) and abs(value) < 2**64, name)
    else:
        _want(name in LISTS or name == "stride", "an attribute")
        _want(all(type(item) is int and abs(item) < 2**64 for item in _list(value)), name)
    return value


def _operand(content: Any) -> Operand:
    kind, dtype, shape, layouts, label, index, size, anchor, bits = _list(content, 9)
    _want(kind in KINDS and dtype in ITEM_BYTES and isinstance(anchor, bytes), "an operand")
    _want(all(isinstance(item, str | int) for item in _list(label)), "a label")
    maps = tuple(_layout(item) for item in _list(layouts))
    return Operand(kind, dtype, _shape(shape), maps, tuple(label), _count(index), _count(size), anchor, _integer(bits))


def _layout(content: Any) -> Layout:
    op, before, after, numbers = _list(content, 4)
    _want(isinstance(op, str), "a layout")
    return Layout(op, _shape(before), _shape(after), _shape(numbers))


def _list(value: Any, length: int | None = None) -> list[Any]:
    _want(isinstance(value, list) and length in (None, len(value)), "a list")
    return list(value)


def _shape(value: Any) -> Shape:
    return tuple(_count(item) for item in _list(value))


def _count(value: Any) -> int:
    _want(type(value) is int and 0 <= value < 2**63, "a count")
    return int(value)


def _integer(value: Any) -> int:
    _want(type(value) is int and -(2**256) < value < 2**256, "an integer")
    return int(value)


def _facts(value: Any) -> tuple[int, ...]:
    """A sum's base and shifts, as an earlier answer gave them: no shift leaves the numbers of the law."""
    facts = tuple(_integer(fact) for fact in _list(value))
    _want(all(abs(shift) < MAX_SHIFT for shift in facts[1:]), "a shift")
    return facts


def _want(condition: object, what: str) -> None:
    if not condition:
        raise ValueError(f"question: {what} is malformed")
