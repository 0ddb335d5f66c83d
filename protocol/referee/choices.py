"""Places where one of many elements is chosen: maxima, their positions, permutations. Two candidates decide them."""

from __future__ import annotations

from protocol.referee.elementwise import key
from protocol.referee.geometry import Groups, index_of, place_of, reduced, scale_groups
from protocol.referee.integers import signed
from protocol.referee.openings import Reader, refuse_unless
from protocol.referee.outcome import Burden, Outcome, Verdict, proven
from protocol.referee.question import Question

EXTREMES = ("amax", "amin", "scale")
POSITIONS = ("argmax", "max_pool_index", "argsort")
MAGNITUDE = 2**31 - 1


def groups_of(question: Question) -> Groups:
    """The groups of operand 0 of which the disputed tensor holds one extreme each."""
    shape, attributes = question.shapes[0], question.attributes
    if question.op == "scale":
        return scale_groups(attributes["for"], attributes["of"], shape, attributes)
    return reduced(shape, attributes["axes"])


def open_extreme(question: Question) -> Outcome:
    """Whoever claims the more extreme value has to show an element that attains it."""
    if groups_of(question).members == 0:
        return Verdict((question.claims[0] != 0, question.claims[1] != 0), 0)
    kind, dtype = ("amax", "uint32") if question.op == "scale" else (question.op, question.dtype)
    one, other = (key(kind, dtype, claim) for claim in question.claims)
    return Burden(0 if one > other else 1)


def prove_extreme(question: Question, read: Reader) -> Outcome:
    """The element that the side points at attains its claim."""
    groups = groups_of(question)
    refuse_unless(0 <= read.choice < groups.members, "the chosen element is not in the group")
    bits = read.bits(question.operands[0], groups.member(question.element, read.choice))
    shown = bits & MAGNITUDE if question.op == "scale" else bits
    refuse_unless(shown == question.claims[question.prover], "the chosen element does not attain the claim")
    return proven(question.prover)


def open_position(question: Question, read: Reader) -> Outcome:
    """Both claimed positions are opened; a position that does not exist is wrong without one."""
    kind = "argsort" if question.op == "argsort" else "argmax"
    claims = [signed("int64", claim) for claim in question.claims]
    places = [_candidate(question, claim) for claim in claims]
    if None in places:
        return Verdict((places[0] is None, places[1] is None))
    one, other = (
        (key(kind, question.operands[0].dtype, read.bits(question.operands[0], place or 0)), claim)
        for place, claim in zip(places, claims, strict=True)
    )
    first = 0 if _precedes(question, one, other) else 1
    # A sort's later candidate is right after all if the earlier one stands before this place already.
    return Burden(1 - first) if question.op == "argsort" else proven(first)


def _precedes(question: Question, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether candidate `one` (key, position) comes first: the larger key, or in a sort the order's; then the lower."""
    ascending = question.op == "argsort" and not question.attributes["descending"]
    if one[0] != other[0]:
        return (one[0] < other[0]) == ascending
    return one[1] < other[1]


def _candidate(question: Question, claim: int) -> int | None:
    """The flat index of the operand's element at a claimed position; None where there is none."""
    shape = question.shapes[0]
    if question.op == "max_pool_index":
        return _in_window(question, claim)
    axis = question.attributes["axis"]
    if not 0 <= claim < shape[axis]:
        return None
    place = place_of(question.element, question.shape)
    rest = place[axis + 1 :] if question.op == "argsort" else place[axis:]
    return index_of((*place[:axis], claim, *rest), shape)


def _in_window(question: Question, claim: int) -> int | None:
    channels, height, width = question.shapes[0][1:]
    if not 0 <= claim < height * width:
        return None
    sample, channel, *window = place_of(question.element, question.shape)
    for axis, at in enumerate(divmod(claim, width)):
        padding, stride = question.attributes["padding"][axis], question.attributes["stride"][axis]
        offset, dilation = at + padding - window[axis] * stride, question.attributes["dilation"][axis]
        if offset % dilation or not 0 <= offset // dilation < question.attributes["kernel"][axis]:
            return None
    return (sample * channels + channel) * height * width + claim


def prove_earlier(question: Question, read: Reader) -> Outcome:
    """The other side's position stands already before the disputed one in the row that both agree on."""
    assert question.output is not None, "a sort is asked with its own tensor"
    axis = question.attributes["axis"]
    place = place_of(question.element, question.shape)
    refuse_unless(0 <= read.choice < place[axis], "the chosen place is not before the disputed one")
    earlier = index_of((*place[:axis], read.choice, *place[axis + 1 :]), question.shape)
    refuse_unless(
        read.bits(question.output, earlier) == question.claims[1 - question.prover], "another position stands there"
    )
    return proven(question.prover)
