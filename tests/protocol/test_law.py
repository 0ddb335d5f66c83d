"""The referee computes any entry of a real step again, from openings alone, and takes no other opening."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.canonical import from_canonical, to_canonical
from engine.encoding import program_to_bytes
from engine.replay import Replay
from kernels.backends import available
from protocol.game.params import Point
from protocol.game.rows import Tree
from protocol.game.rules import Refused, Rule
from protocol.law import ProgramLaw, law_of
from protocol.players.trace import ProgramTrace
from tests.engine.small_jobs import BACKEND, small_job

STEP = 4


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> ProgramTrace:
    return ProgramTrace(small_job(tmp_path_factory.mktemp("law") / "job"), backend=BACKEND)


@pytest.fixture(scope="module")
def law(trace: ProgramTrace) -> ProgramLaw:
    return law_of(trace.job, program_to_bytes(trace.program))


def tree_of(trace: ProgramTrace, law: ProgramLaw, step: int) -> Tree:
    return Tree([law.leaf(entry, root) for entry, root in enumerate(trace.entry_roots(step))])


def point(trace: ProgramTrace, law: ProgramLaw, entry: int, step: int = STEP) -> Point:
    return Point(trace.state_root(step), step, entry, tree_of(trace, law, step).root)


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("step", [0, STEP, 11])
def test_the_referee_gives_the_root_of_every_entry_on_every_backend(
    trace: ProgramTrace, backend: str, step: int
) -> None:
    law = law_of(trace.job, program_to_bytes(trace.program), backend)
    tree, roots = tree_of(trace, law, step), trace.entry_roots(step)
    assert {entry.kind for entry in law.table} == {"batch", "scale", "node", "state"}
    for entry, root in enumerate(roots):
        witness = trace.witness(step, entry, tree)
        assert law.decide(point(trace, law, entry, step), witness) == root, law.name(entry)
        assert len(witness) <= law._witness_bytes(law.table[entry]) <= law.witness_bytes


def test_a_trace_is_that_of_the_engines_replay(trace: ProgramTrace) -> None:
    replay = Replay(trace.folder, None, BACKEND)
    assert tuple(trace.entry_roots(STEP)) == replay.step_trace(STEP).roots
    assert trace.entry_roots(STEP)[-1] == trace.state_root(STEP + 1)


def test_an_opening_with_one_byte_changed_is_refused(trace: ProgramTrace, law: ProgramLaw) -> None:
    tree = tree_of(trace, law, STEP)
    for entry in range(law.entries):
        content = from_canonical(trace.witness(STEP, entry, tree), "witness")
        for changed in one_byte_changed(content):
            with pytest.raises(Refused) as refused:
                law.decide(point(trace, law, entry), to_canonical(changed))
            assert refused.value.rule in (Rule.OPENING, Rule.WITNESS), law.name(entry)


def one_byte_changed(content: object) -> list[object]:
    """The same content with the first byte of one byte string flipped, once for each of them."""
    if isinstance(content, bytes):
        return [bytes([content[0] ^ 1]) + content[1:]] if content else []
    if not isinstance(content, list):
        return []
    return [[*content[:i], new, *content[i + 1 :]] for i, item in enumerate(content) for new in one_byte_changed(item)]


def test_an_opening_too_many_too_few_or_elsewhere_is_refused(trace: ProgramTrace, law: ProgramLaw) -> None:
    tree = tree_of(trace, law, STEP)
    for entry in range(law.entries):
        content = from_canonical(trace.witness(STEP, entry, tree), "witness")
        for other in (
            [*content, [b"", []]],
            content[:-1] if content else [0],
            [content],
            None,
            7,
            [None] * len(content),
        ):
            if other != content:
                with pytest.raises(Refused):
                    law.decide(point(trace, law, entry), to_canonical(other))


def test_openings_of_another_step_are_refused(trace: ProgramTrace, law: ProgramLaw) -> None:
    other = tree_of(trace, law, STEP + 1)
    for entry in range(law.entries):
        witness = trace.witness(STEP + 1, entry, other)
        if witness != trace.witness(STEP, entry, tree_of(trace, law, STEP)):
            with pytest.raises(Refused):
                law.decide(point(trace, law, entry), witness)


def test_bytes_that_are_no_witness_are_refused_by_name(trace: ProgramTrace, law: ProgramLaw) -> None:
    for data in (b"", b"\x00", b"\xff" * 40, b"\x9f\xff", b"\x81\x18\x01", to_canonical({"a": 1})):
        for entry in range(law.entries):
            with pytest.raises(Refused) as refused:
                law.decide(point(trace, law, entry), data)
            assert refused.value.rule is Rule.WITNESS


def test_a_job_of_another_program_is_refused(trace: ProgramTrace, tmp_path: Path) -> None:
    other = small_job(tmp_path / "job", rows=9)
    with pytest.raises(ValueError, match="program is"):
        law_of(trace.job, program_to_bytes(other.program))


CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**65) | st.binary(max_size=40) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.binary(max_size=60) | CONTENT.map(to_canonical), entry=st.integers(0, 10**6))
def test_any_bytes_give_a_root_or_a_named_refusal(
    made: tuple[ProgramTrace, ProgramLaw], data: bytes, entry: int
) -> None:
    """D18: never another exception, whatever comes."""
    trace, law = made
    place = entry % law.entries
    try:
        assert len(law.decide(Point(trace.state_root(STEP), STEP, place, bytes(32)), data)) == 32
    except Refused as refused:
        assert refused.rule in (Rule.WITNESS, Rule.OPENING)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(entry=st.integers(0, 10**6), place=st.integers(0, 10**6), new=CONTENT)
def test_a_right_witness_with_anything_put_into_it_gives_the_same_root_or_a_refusal(
    made: tuple[ProgramTrace, ProgramLaw], entry: int, place: int, new: object
) -> None:
    trace, law = made
    number, tree = entry % law.entries, tree_of(trace, law, STEP)
    content = from_canonical(trace.witness(STEP, number, tree), "witness")
    try:
        changed = put_into(content, place, new)
        assert law.decide(point(trace, law, number), to_canonical(changed)) == trace.entry_roots(STEP)[number]
    except Refused as refused:
        assert refused.rule in (Rule.WITNESS, Rule.OPENING)


def put_into(content: list, place: int, new: object) -> list:
    """The content with one item, at some depth, replaced."""
    if not content:
        return [new]
    index, rest = place % len(content), place // len(content)
    inner = content[index]
    deeper = put_into(inner, rest // 2, new) if isinstance(inner, list) and rest % 2 else new
    return [*content[:index], deeper, *content[index + 1 :]]


@pytest.fixture(scope="module")
def made(trace: ProgramTrace, law: ProgramLaw) -> tuple[ProgramTrace, ProgramLaw]:
    return trace, law
