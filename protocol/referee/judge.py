"""The referee as one function: a question and a witness in, a verdict, a next step or a named refusal out."""

from __future__ import annotations

import hashlib

from engine.merkle import EMPTY_ROOT
from protocol.referee.choices import (
    EXTREMES,
    POSITIONS,
    open_extreme,
    open_position,
    prove_earlier,
    prove_extreme,
)
from protocol.referee.elementwise import OPERATORS as ELEMENTWISE
from protocol.referee.fault import Fault
from protocol.referee.float32 import NAN
from protocol.referee.geometry import SCATTERS, size_of
from protocol.referee.openings import Reader, Refusal, Witness, refuse_unless
from protocol.referee.outcome import Outcome, Verdict, against, proven
from protocol.referee.question import Question, question_from_bytes
from protocol.referee.sums import SUMS, index_at, open_sum, term
from protocol.referee.values import LOOKUPS, value

# What stands where the law gives no value: the root of nothing, since it is the hash of no leaf or node.
FAULT_ROOT = hashlib.sha256(b"isobit fault").digest()
VALUES = ("copy", *LOOKUPS, "random_bits", "batch", "state", *ELEMENTWISE)
# Every operator that a question may name, and the kind of leaf that a dispute about it ends in.
LEAF_KINDS = {
    **dict.fromkeys(VALUES, "value"),
    **dict.fromkeys(SUMS, "sum"),
    **dict.fromkeys(EXTREMES, "extreme"),
    **dict.fromkeys(POSITIONS, "position"),
}


def judge_bytes(question: bytes, witness: bytes) -> Outcome | Refusal:
    """judge, total: any bytes give an outcome or a refusal, never an exception."""
    try:
        return judge(question_from_bytes(question), witness)
    except Refusal as refusal:
        return refusal
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        return Refusal(f"the question has no meaning: {type(error).__name__}: {error}")


def judge(question: Question, witness: bytes) -> Outcome:
    """The outcome of a question that the rules of the game put together. Refusal where the witness shows nothing."""
    read = Witness(witness)
    outcome = answer(question, read)
    read.finish()
    return outcome


def answer(question: Question, read: Reader) -> Outcome:
    """The outcome, from whatever reads the operands: a witness, or a player's own tensors."""
    if question.phase == "fault":
        return _fault(question, read)
    try:
        return _answered(question, read)
    except Fault:
        # Agreed operands without a value under the law: whoever claims one is wrong.
        return Verdict((True, True))


def _answered(question: Question, read: Reader) -> Outcome:
    if question.op != "state" and size_of(question.shape) == 0:
        return against(int.from_bytes(EMPTY_ROOT, "big"), question.claims)
    kind = LEAF_KINDS[question.op]
    if kind == "sum":
        if question.phase == "term":
            return against(term(question, question.term, read), question.claims)
        return open_sum(question, read)
    if kind == "value":
        return against(value(question, read), question.claims)
    if question.phase == "prove":
        return prove_extreme(question, read) if kind == "extreme" else prove_earlier(question, read)
    sound = [is_canonical(question.dtype, claim) for claim in question.claims]
    if not all(sound):
        return Verdict((not sound[0], not sound[1]))
    return open_extreme(question) if kind == "extreme" else open_position(question, read)


def is_canonical(dtype: str, bits: int) -> bool:
    """Whether a bit pattern is one that an operator can give."""
    if dtype == "bool":
        return bits <= 1
    return dtype != "float32" or bits & 0x7FFFFFFF <= 0x7F800000 or bits == NAN


def _fault(question: Question, read: Reader) -> Outcome:
    """A side shows why there is no value: something before has none (choice -1), or an element that the law forbids."""
    if read.choice == -1:
        before = question.before
        refuse_unless(before is not None, "nothing stands before the first entry")
        assert before is not None, "refused above"
        known = before.anchor if before.kind == "tensor" else read.root(before)
        refuse_unless(known == FAULT_ROOT, "what stands before has a value")
        return proven(question.prover)
    refuse_unless(question.op != "state" and read.choice >= 0, "want an element")
    try:
        _forbidden(question, read)
    except Fault:
        return proven(question.prover)
    raise Refusal("the chosen element has a value")


def _forbidden(question: Question, read: Reader) -> None:
    """Compute the chosen place; of what reads indices, read the chosen index: it faults where no element reads it."""
    if question.op in (*SCATTERS, *LOOKUPS):
        refuse_unless(read.choice < size_of(question.shapes[1]), "the chosen index is outside")
        index_at(question, read.choice, read)
    elif question.op == "random_bits":
        refuse_unless(read.choice == 0, "the words of a call fault together, want element 0")
        value(question.asked(element=0), read)
    elif LEAF_KINDS[question.op] == "value":
        refuse_unless(read.choice < size_of(question.shape), "the chosen element is outside")
        value(question.asked(element=read.choice), read)
