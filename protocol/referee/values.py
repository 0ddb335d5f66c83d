"""Places whose value follows from a few operands: elementwise operators, copies, look-ups, random words, records."""

from __future__ import annotations

from engine.merkle import leaf_hash
from protocol.referee import elementwise
from protocol.referee.fault import Fault
from protocol.referee.geometry import index_of, place_of, size_of
from protocol.referee.integers import signed
from protocol.referee.openings import Reader
from protocol.referee.question import Question
from protocol.referee.random import random_word, sample_at

LOOKUPS = ("take_rows", "gather")


def value(question: Question, read: Reader) -> int:
    """The bit pattern at the disputed place; Fault where the law gives none."""
    match question.op:
        case "copy":
            return read.bits(question.operands[0], question.attributes["at"])
        case "take_rows":
            return _take_rows(question, read)
        case "gather":
            return _gather(question, read)
        case "random_bits":
            seed, step, micro_batch = (signed("int64", read.bits(operand, 0)) for operand in question.operands)
            return random_word(seed, step, micro_batch, question.attributes["site"], question.element)
        case "batch":
            return _batch(question, read)
        case "state":
            return _slot(question, read)
    bits = [read.bits(operand, question.element) for operand in question.operands]
    return elementwise.value(question.op, question.operands[0].dtype, bits, question.attributes)


def _looked_up(question: Question, read: Reader, at: int, size: int) -> int:
    index = signed("int64", read.bits(question.operands[1], at))
    if not 0 <= index < size:
        raise Fault(f"{question.op}: got index {index}, want 0 to {size - 1}")
    return index


def _take_rows(question: Question, read: Reader) -> int:
    table, ids = question.shapes
    row = size_of(table[1:])
    number, within = divmod(question.element, row)
    assert number < size_of(ids), "the output has one row an id"
    return read.bits(question.operands[0], _looked_up(question, read, number, table[0]) * row + within)


def _gather(question: Question, read: Reader) -> int:
    x, index = question.shapes
    axis = question.attributes["axis"]
    place = list(place_of(question.element, index))
    place[axis] = _looked_up(question, read, question.element, x[axis])
    return read.bits(question.operands[0], index_of(place, x))


def _batch(question: Question, read: Reader) -> int:
    """An element of a loaded record: which record, the law's order says."""
    attributes = question.attributes
    record_size = attributes["record_size"]
    place, within = divmod(question.element, record_size)
    sample = sample_at(attributes["seed"], attributes["position"] + place, attributes["records"])
    bits = read.bits(question.operands[0], sample * attributes["stride"] + within)
    return loaded(question.operands[0].dtype, question.dtype, bits)


def loaded(stored: str, dtype: str, bits: int) -> int:
    """A stored element in the dtype that a batch input loads it in, where every value survives."""
    if stored in ("uint8", "uint16"):
        return bits if dtype != "float32" else elementwise.value("cast", "int64", [bits], {"dtype": "float32"})
    if stored == dtype:
        return bits
    return elementwise.value("cast", stored, [bits], {"dtype": dtype})


def _slot(question: Question, read: Reader) -> int:
    """The leaf hash of a slot of the state after the step."""
    operand = question.operands[0]
    if operand.kind == "number":
        root = leaf_hash(operand.bits.to_bytes(8, "little"))
    else:
        root = read.root(operand)
    assert question.output is not None, "a slot is asked with its own description"
    return int.from_bytes(leaf_hash(question.output.leaf(root)), "big")
