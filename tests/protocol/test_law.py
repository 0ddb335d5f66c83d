"""The referee judges any place of a real step from openings alone, and takes no other opening."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.canonical import from_canonical, to_canonical
from engine.data import fields_from_bytes
from engine.replay import Replay
from protocol.game.params import Point
from protocol.game.rows import Tree
from protocol.law import ProgramLaw, law_of
from protocol.players.answers import Answers
from protocol.players.trace import ProgramTrace
from protocol.referee.judge import judge, judge_bytes
from protocol.referee.openings import MAX_WITNESS_BYTES, Refusal
from protocol.referee.outcome import Burden, Outcome, Sum, Verdict
from protocol.referee.question import ITEM_BYTES, Question, question_from_bytes
from tests.engine.small_jobs import BACKEND, small_job

STEP = 4


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> ProgramTrace:
    return ProgramTrace(small_job(tmp_path_factory.mktemp("law") / "job"), backend=BACKEND)


@pytest.fixture(scope="module")
def law(trace: ProgramTrace) -> ProgramLaw:
    return trace.law


class Places:
    """What the trace says about the places of one step."""

    def __init__(self, trace: ProgramTrace, step: int) -> None:
        self.trace, self.law, self.step = trace, trace.law, step
        self.roots = trace.entry_roots(step)
        self.tree = Tree([self.law.leaf(entry, root) for entry, root in enumerate(self.roots)])

    def answers(self, entry: int) -> Answers:
        return Answers(self.trace, self.step, entry, self.tree)

    def truth(self, entry: int, element: int) -> int:
        if not self.law.leaf_bytes(entry, 0):
            return int.from_bytes(self.trace.slot_hashes(self.step)[element], "big")
        return self.trace.tensor(self.step, entry).bits(element, ITEM_BYTES[self.law.dtype(entry)])

    def elements(self, entry: int) -> range:
        type_ = self.law.table[entry].type
        return range(len(self.law.slots) if type_ is None else type_.size)

    def question(self, entry: int, element: int, **changes: object) -> Question:
        """The question where the challenger holds the truth and the solver something else."""
        truth = self.truth(entry, element)
        state = self.trace.state_root(self.step)
        point = Point(state, self.step, entry, self.tree.root, self.roots[entry], element, (truth ^ 1, truth), "open")
        return self.law.question(point).asked(**changes)

    def outcome(self, entry: int, question: Question) -> tuple[Outcome, bytes]:
        witness = self.answers(entry).witness(question)
        assert witness is not None
        return judge(question, witness), witness


@pytest.mark.parametrize("step", [0, STEP, 11])
def test_the_referee_judges_every_element_of_every_entry(trace: ProgramTrace, step: int) -> None:
    places = Places(trace, step)
    assert {entry.kind for entry in trace.law.table} == {"batch", "scale", "node", "state"}
    for entry in range(trace.law.entries):
        for element in places.elements(entry):
            question = places.question(entry, element)
            outcome, witness = places.outcome(entry, question)
            assert len(witness) <= MAX_WITNESS_BYTES
            assert judge_bytes(question.to_bytes(), witness) == outcome
            judged(places, entry, question, outcome)


def judged(places: Places, entry: int, question: Question, outcome: Outcome) -> None:
    """Whatever comes next, it ends with the solver's lie."""
    if isinstance(outcome, Sum):
        asked = question.asked(facts=outcome.facts)
        terms = places.answers(entry).terms(asked)
        for number, value in enumerate(terms):
            one = asked.asked(phase="term", term=number, claims=(value - 1, value))
            assert places.outcome(entry, one)[0] == Verdict((True, False), value)
    elif isinstance(outcome, Burden):
        if outcome.side == 1:
            proof = question.asked(phase="prove", prover=1)
            assert places.outcome(entry, proof)[0] == Verdict((True, False))
        else:
            assert places.answers(entry).witness(question.asked(phase="prove", prover=0)) is None
    else:
        assert outcome == Verdict((True, False), question.claims[1])


def test_a_question_is_the_same_after_its_bytes(trace: ProgramTrace) -> None:
    places = Places(trace, STEP)
    for entry in range(trace.law.entries):
        data = places.question(entry, 0).to_bytes()
        assert question_from_bytes(data).to_bytes() == data


def test_a_trace_is_that_of_the_engines_replay(trace: ProgramTrace) -> None:
    replay = Replay(trace.folder, None, BACKEND)
    assert tuple(trace.entry_roots(STEP)) == replay.step_trace(STEP).roots
    assert trace.entry_roots(STEP)[-1] == trace.state_root(STEP + 1)


def test_an_opening_with_one_byte_changed_is_refused(trace: ProgramTrace) -> None:
    places = Places(trace, STEP)
    for entry in range(trace.law.entries):
        question = places.question(entry, 0)
        choice, openings = from_canonical(places.outcome(entry, question)[1], "witness")
        for changed in one_byte_changed(openings):
            with pytest.raises(Refusal):
                judge(question, to_canonical([choice, changed]))


def one_byte_changed(content: object) -> list[object]:
    """The same content with the first byte of one byte string flipped, once for each of them."""
    if isinstance(content, bytes):
        return [bytes([content[0] ^ 1]) + content[1:]] if content else []
    if not isinstance(content, list):
        return []
    return [[*content[:i], new, *content[i + 1 :]] for i, item in enumerate(content) for new in one_byte_changed(item)]


def test_openings_too_many_too_few_or_elsewhere_are_refused(trace: ProgramTrace) -> None:
    places = Places(trace, STEP)
    for entry in range(trace.law.entries):
        question = places.question(entry, 0)
        choice, openings = from_canonical(places.outcome(entry, question)[1], "witness")
        wrong = [None, 7, openings, [choice], [choice, None], [choice, [*openings, [b"", []]]], [choice, openings, 0]]
        wrong += [[choice, openings[:-1]], [choice, openings[1:]]] if openings else []
        for other in wrong:
            with pytest.raises(Refusal):
                judge(question, to_canonical(other))


def test_openings_of_another_step_are_refused(trace: ProgramTrace) -> None:
    here, there = Places(trace, STEP), Places(trace, STEP + 1)
    for entry in range(trace.law.entries):
        witness = there.outcome(entry, there.question(entry, 0))[1]
        question = here.question(entry, 0)
        if witness != here.outcome(entry, question)[1]:
            with pytest.raises(Refusal):
                judge(question, witness)


def test_a_job_of_another_program_or_other_data_is_refused(trace: ProgramTrace, tmp_path: Path) -> None:
    other = ProgramTrace(small_job(tmp_path / "job", rows=9), backend=BACKEND)
    with pytest.raises(ValueError, match="program is"):
        law_of(trace.job, other.program_bytes, trace.data_bytes)
    fields = from_canonical(trace.data_bytes, "data")
    for wrong in (fields[:-1], fields[::-1], []):
        with pytest.raises(ValueError, match="data root is"):
            law_of(trace.job, trace.program_bytes, to_canonical(wrong))
    for raw in (b"", b"\xff", to_canonical({}), to_canonical([1]), to_canonical([[*fields[0][:6], b"short"]])):
        with pytest.raises(ValueError, match="data"):
            fields_from_bytes(raw)


CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**65) | st.binary(max_size=40) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def places(trace: ProgramTrace) -> Places:
    return Places(trace, STEP)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.binary(max_size=60) | CONTENT.map(to_canonical), entry=st.integers(0, 10**6))
def test_any_witness_gives_an_outcome_or_a_refusal(places: Places, data: bytes, entry: int) -> None:
    """D18: never another exception, whatever comes."""
    question = places.question(entry % places.law.entries, 0)
    assert isinstance(judge_bytes(question.to_bytes(), data), Outcome | Refusal)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(question=st.binary(max_size=60) | CONTENT.map(to_canonical), data=st.binary(max_size=60))
def test_any_question_gives_an_outcome_or_a_refusal(question: bytes, data: bytes) -> None:
    assert isinstance(judge_bytes(question, data), Outcome | Refusal)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(entry=st.integers(0, 10**6), place=st.integers(0, 10**6), new=CONTENT)
def test_a_question_with_anything_put_into_it_gives_an_outcome_or_a_refusal(
    places: Places, entry: int, place: int, new: object
) -> None:
    number = entry % places.law.entries
    question = places.question(number, 0)
    witness = places.outcome(number, question)[1]
    changed = put_into(from_canonical(question.to_bytes(), "question"), place, new)
    assert isinstance(judge_bytes(to_canonical(changed), witness), Outcome | Refusal)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(entry=st.integers(0, 10**6), place=st.integers(0, 10**6), new=CONTENT)
def test_a_right_witness_with_anything_put_into_it_gives_the_same_outcome_or_a_refusal(
    places: Places, entry: int, place: int, new: object
) -> None:
    number = entry % places.law.entries
    question = places.question(number, 0)
    outcome, witness = places.outcome(number, question)
    changed = put_into(from_canonical(witness, "witness"), place, new)
    assert judge_bytes(question.to_bytes(), to_canonical(changed)) == outcome or isinstance(
        judge_bytes(question.to_bytes(), to_canonical(changed)), Refusal
    )


@pytest.mark.parametrize("shift", [2**9, 2**33, -(2**33), 2**255])
def test_a_shift_that_no_scale_gives_is_refused_before_anything_is_shifted(places: Places, shift: int) -> None:
    """2^33 would be a number of a gigabyte."""
    for entry in range(places.law.entries):
        question = places.question(entry, 0)
        outcome, witness = places.outcome(entry, question)
        if isinstance(outcome, Sum):
            asked = question.asked(phase="term", facts=(outcome.facts[0], *(shift for _ in outcome.facts[1:])))
            refused = judge_bytes(asked.to_bytes(), witness)
            assert isinstance(refused, Refusal) and "a shift is malformed" in str(refused)


@pytest.mark.parametrize(
    ("op", "name", "value"),
    [("random_bits", "site", "text"), ("random_bits", "site", [0]), ("batch", "stride", [1]), ("batch", "seed", "0")],
)
def test_an_attribute_of_another_kind_is_refused(places: Places, op: str, name: str, value: object) -> None:
    """A text times 2^31 would be a text of gigabytes."""
    asked = [question for entry in range(places.law.entries) if (question := places.question(entry, 0)).op == op]
    assert asked
    for question in asked:
        content = from_canonical(question.to_bytes(), "question")
        content[3][name] = value
        refused = judge_bytes(to_canonical(content), places.answers(0).witness(places.question(0, 0)) or b"")
        assert isinstance(refused, Refusal) and f"{name} is malformed" in str(refused)


def put_into(content: list, place: int, new: object) -> list:
    """The content with one item, at some depth, replaced."""
    if not content:
        return [new]
    index, rest = place % len(content), place // len(content)
    inner = content[index]
    deeper = put_into(inner, rest // 2, new) if isinstance(inner, list) and rest % 2 else new
    return [*content[:index], deeper, *content[index + 1 :]]
