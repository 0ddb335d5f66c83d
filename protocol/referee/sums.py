"""Elements that are exact sums of integers: their scales, how many terms, what one term is, how the sum rounds."""

from __future__ import annotations

from protocol.referee import elementwise
from protocol.referee.fault import Fault
from protocol.referee.float32 import NAN
from protocol.referee.geometry import (
    PRODUCTS,
    SCATTERS,
    index_of,
    place_of,
    product_term,
    product_terms,
    reduced,
    scale_index,
    size_of,
)
from protocol.referee.integers import signed, wrapped
from protocol.referee.openings import Reader
from protocol.referee.outcome import Outcome, Sum, against
from protocol.referee.question import Question
from protocol.referee.rounding import product_scale, qmax, quantise, scatter_scale, store, sum_scale

SUMS = ("sum", "cumsum", *PRODUCTS, *SCATTERS)
INFINITY = 0x7F800000
MAX_SUM = 2**127


def terms_of(question: Question) -> int:
    """The number of terms of the disputed element."""
    shapes, attributes = question.shapes, question.attributes
    match question.op:
        case "sum":
            return reduced(shapes[0], attributes["axes"]).members
        case "cumsum":
            return place_of(question.element, question.shape)[attributes["axis"]] + 1
        case "add_rows":
            return size_of(shapes[1])
        case "scatter_add":
            return shapes[1][attributes["axis"]]
    return product_terms(question.op, shapes, question.shape, attributes)


def open_sum(question: Question, read: Reader) -> Outcome:
    """The scales are opened. A value that follows from them alone is judged; otherwise both sides part the sum.

    The facts of a sum: its base (added to it in the end; +0 where there is none), then one shift for each scale.
    """
    base = read.bits(question.operands[0], question.element) if question.op in SCATTERS else 0
    terms, maxima = terms_of(question), _maxima(question, read)
    if any(maximum >= INFINITY for maximum in maxima):
        return against(NAN, question.claims)
    if terms == 0 or 0 in maxima:
        return against(_with_base(question, 0, base), question.claims)
    return Sum(terms, (base, *(_shift(question, maximum) for maximum in maxima)))


def _maxima(question: Question, read: Reader) -> list[int]:
    def at(operand: int) -> int:
        where = question.element, question.shapes, question.shape
        return scale_index(question.op, operand, *where, question.attributes)

    return [read.bits(scale, at(int(scale.label[2]))) for scale in question.scales]


def _shift(question: Question, maximum: int) -> int:
    match question.op:
        case "sum" | "cumsum":
            return sum_scale(maximum)
        case "add_rows":
            return scatter_scale(maximum, size_of(question.shapes[1]))
        case "scatter_add":
            return scatter_scale(maximum, question.shapes[1][question.attributes["axis"]])
    return product_scale(maximum, qmax(question.attributes["width"], terms_of(question)))


def _with_base(question: Question, total: int, base: int) -> int:
    return elementwise.value("add", question.dtype, [base, total], {}) if question.op in SCATTERS else total


def rounded(question: Question, total: int) -> int:
    """The bit pattern that an exact sum becomes."""
    base, *shifts = question.facts
    if question.dtype != "float32":
        return _with_base(question, wrapped(question.dtype, total), base)
    return _with_base(question, store(total, sum(shifts)), base)


def term(question: Question, number: int, read: Reader) -> int:
    """One term of the sum, an integer."""
    if question.op in PRODUCTS:
        return _product(question, number, read)
    match question.op:
        case "sum":
            at = reduced(question.shapes[0], question.attributes["axes"]).member(question.element, number)
            return _quantised(question, 0, at, read)
        case "cumsum":
            return _quantised(question, 0, _along(question, number, question.shape), read)
        case "add_rows":
            row = size_of(question.shapes[0][1:])
            return _scattered(question, number, number * row + question.element % row, question.element // row, read)
    at = _along(question, number, question.shapes[1])
    target = place_of(question.element, question.shape)[question.attributes["axis"]]
    return _scattered(question, at, at, target, read)


def _along(question: Question, number: int, shape: tuple[int, ...]) -> int:
    """The flat index, in a tensor of `shape`, of the disputed element's place with another number along the axis."""
    place, axis = place_of(question.element, question.shape), question.attributes["axis"]
    return index_of((*place[:axis], number, *place[axis + 1 :]), shape)


def _quantised(question: Question, operand: int, at: int, read: Reader) -> int:
    source = question.operands[operand]
    bits = read.bits(source, at)
    return quantise(bits, question.facts[1]) if source.dtype == "float32" else signed(source.dtype, bits)


def _scattered(question: Question, number: int, at: int, target: int, read: Reader) -> int:
    """A source's element where its index is the target, otherwise nothing."""
    return _quantised(question, 2, at, read) if index_at(question, number, read) == target else 0


def index_at(question: Question, number: int, read: Reader) -> int:
    """One index of a scatter; Fault where it lies outside."""
    axis = question.attributes.get("axis", 0)
    index, size = signed("int64", read.bits(question.operands[1], number)), question.shapes[0][axis]
    if not 0 <= index < size:
        raise Fault(f"{question.op}: got index {index}, want 0 to {size - 1}")
    return index


def _product(question: Question, number: int, read: Reader) -> int:
    at = product_term(question.op, question.element, number, question.shapes, question.shape, question.attributes)
    if at is None:
        return 0
    pairs = zip(question.operands, at, question.facts[1:], strict=True)
    a, b = (quantise(read.bits(operand, index), shift) for operand, index, shift in pairs)
    return a * b
