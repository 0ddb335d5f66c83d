"""Rules of a game: whose move, and what it may say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.canonical import from_canonical, to_canonical
from protocol.game.levels import number_of, word
from protocol.game.messages import NOTHING, Enter, Message, Open, PostJob, Row, Show, message_from_bytes
from protocol.game.rules import Rule
from protocol.game.types import ELEMENT, INTERVAL, NODE, STEP, Stage
from protocol.identity import Identity
from protocol.players.dishonest import Forger
from protocol.referee.judge import FAULT_ROOT
from protocol.referee.openings import MAX_WITNESS_BYTES
from protocol.referee.sums import MAX_SUM
from tests.protocol.rules.playing import (
    LAW,
    LIE,
    challenged,
    claimed,
    commit_to,
    honest,
    liar,
    objection,
    own_move,
    player_of,
    refuses,
    send_in,
    until,
)
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, SOLVER, SUBMITTER, TERMS, VERIFIER, WIDTH, ToyTrace, digest


def test_refuses_party(scene: Scene) -> None:
    challenged(scene)
    body = own_move(scene, honest(scene))
    refuses(Rule.PARTY, send_in(scene, OTHER, body), scene)
    until(scene, Stage.NARROW, INTERVAL)
    refuses(Rule.PARTY, send_in(scene, OTHER, Row(OTHER.address, ())), scene)
    until(scene, Stage.SHOW, NODE)
    refuses(Rule.PARTY, send_in(scene, VERIFIER, Show(OTHER.address, b"")), scene)
    until(scene, Stage.OPEN, NODE)
    refuses(Rule.PARTY, send_in(scene, VERIFIER, Open(OTHER.address, b"")), scene)


def test_refuses_stage(scene: Scene) -> None:
    challenged(scene)
    enter = own_move(scene, honest(scene))
    for body in (Row(VERIFIER.address, ()), Open(VERIFIER.address, b"")):
        refuses(Rule.STAGE, send_in(scene, VERIFIER, body), scene)
    until(scene, Stage.NARROW, INTERVAL)
    for other in (enter, Open(VERIFIER.address, b""), Show(VERIFIER.address, b"")):
        refuses(Rule.STAGE, send_in(scene, VERIFIER, other), scene)
    until(scene, Stage.OPEN, NODE)
    for last in (enter, Row(VERIFIER.address, ()), Show(VERIFIER.address, b"")):
        refuses(Rule.STAGE, send_in(scene, VERIFIER, last), scene)


def test_refuses_move_once(scene: Scene) -> None:
    challenged(scene)
    enter = own_move(scene, honest(scene))
    send_in(scene, VERIFIER, enter)()
    refuses(Rule.MOVE_ONCE, send_in(scene, VERIFIER, enter), scene)
    until(scene, Stage.NARROW, INTERVAL)
    row = own_move(scene, honest(scene))
    send_in(scene, OTHER, row)()  # a row proves itself: anyone may send it
    refuses(Rule.MOVE_ONCE, send_in(scene, VERIFIER, row), scene)


def test_refuses_root_once(scene: Scene) -> None:
    """A solver that is challenged twice in one interval cannot show each challenger another root."""
    job, claim = claimed(scene)
    for who in (VERIFIER, OTHER):
        scene.send(who, commit_to(objection(claim), who), job)
    for who in (VERIFIER, OTHER):
        scene.send(who, objection(claim), job)
    first, second = scene.state.games.values()
    body = liar(scene).move(first)
    scene.send(SOLVER, body, job, first.id)
    changed = ToyTrace(LAW, LIE, {(4, 8): digest(b"more")})
    other = scene.solver(changed).move(second)
    assert isinstance(body, Enter) and isinstance(other, Enter)
    assert other.value == body.value and other.root != body.root
    refuses(Rule.ROOT_ONCE, lambda: scene.send(SOLVER, other, job, second.id), scene)
    scene.send(SOLVER, body, job, second.id)


def test_refuses_value(scene: Scene) -> None:
    challenged(scene)
    for level in (0, 1):
        until(scene, Stage.ENTER, level)
        body = own_move(scene, honest(scene))
        refuses(Rule.VALUE, send_in(scene, VERIFIER, replace(body, value=digest(b"other"))), scene)


def test_refuses_start(scene: Scene) -> None:
    challenged(scene)
    body = own_move(scene, honest(scene))
    refuses(Rule.START, send_in(scene, VERIFIER, replace(body, start=digest(b"other"))), scene)
    refuses(Rule.START, send_in(scene, VERIFIER, replace(body, start_proof=body.last_proof)), scene)
    until(scene, Stage.ENTER, STEP)
    body = own_move(scene, honest(scene))
    trace = ToyTrace(LAW)
    for start in (trace.state_root(4), trace.state_root(6), digest(b"other")):
        refuses(Rule.START, send_in(scene, VERIFIER, replace(body, start=start)), scene)
    for proof in ((), body.start_proof[:-1], (*body.start_proof, NOTHING), body.start_proof[::-1]):
        refuses(Rule.START, send_in(scene, VERIFIER, replace(body, start_proof=proof)), scene)


def test_refuses_first_leaf(scene: Scene) -> None:
    challenged(scene)
    body = own_move(scene, honest(scene))
    for proof in ((), body.first_proof[:-1], body.last_proof, body.first_proof[::-1]):
        refuses(Rule.FIRST_LEAF, send_in(scene, VERIFIER, replace(body, first_proof=proof)), scene)
    until(scene, Stage.ENTER, STEP)
    body = own_move(scene, honest(scene))
    refuses(Rule.FIRST_LEAF, send_in(scene, VERIFIER, replace(body, first_proof=(NOTHING,))), scene)


def test_refuses_last_leaf(scene: Scene) -> None:
    challenged(scene)
    for level in (0, 1):
        until(scene, Stage.ENTER, level)
        body = own_move(scene, honest(scene))
        for proof in ((), body.last_proof[:-1], (*body.last_proof, NOTHING), (NOTHING,) * len(body.last_proof)):
            refuses(Rule.LAST_LEAF, send_in(scene, VERIFIER, replace(body, last_proof=proof)), scene)


def test_refuses_row_length(scene: Scene) -> None:
    challenged(scene)
    body = own_move(scene, honest(scene))
    for row in (body.row[:-1], (*body.row, NOTHING), ()):
        refuses(Rule.ROW_LENGTH, send_in(scene, VERIFIER, replace(body, row=row)), scene)
    until(scene, Stage.NARROW, INTERVAL)
    body = own_move(scene, honest(scene))
    for row in (body.row[:-1], (*body.row, NOTHING), ()):
        refuses(Rule.ROW_LENGTH, send_in(scene, VERIFIER, replace(body, row=row)), scene)


def test_refuses_row(scene: Scene) -> None:
    challenged(scene)
    body = own_move(scene, honest(scene))
    for row in (body.row[::-1], (*body.row[:-1], NOTHING)):
        refuses(Rule.ROW, send_in(scene, VERIFIER, replace(body, row=row)), scene)
    until(scene, Stage.NARROW, INTERVAL)
    rows = [own_move(scene, player) for player in (honest(scene), liar(scene))]
    crossed = replace(rows[0], row=rows[1].row)  # the other party's row, as one's own
    assert crossed.row != rows[0].row
    refuses(Rule.ROW, send_in(scene, VERIFIER, crossed), scene)


@pytest.mark.parametrize("who", [SOLVER, VERIFIER])
def test_refuses_value_of_an_entry(scene: Scene, who: Identity) -> None:
    challenged(scene)
    until(scene, Stage.ENTER, NODE)
    body = own_move(scene, player_of(scene, who))
    for wrong in (digest(b"other"), ToyTrace(LAW).entry_roots(5)[2], FAULT_ROOT):
        refuses(Rule.VALUE, send_in(scene, who, replace(body, value=wrong)), scene)
        refuses(Rule.VALUE, send_in(scene, who, replace(body, value=wrong, root=wrong)), scene)
    for name, rule in (("start_proof", Rule.START), ("first_proof", Rule.FIRST_LEAF), ("last_proof", Rule.LAST_LEAF)):
        refuses(rule, send_in(scene, who, replace(body, **{name: (NOTHING,)})), scene)


def test_refuses_leaf(scene: Scene) -> None:
    challenged(scene)
    until(scene, Stage.SHOW, NODE)
    body = own_move(scene, honest(scene))
    other = own_move(scene, liar(scene))
    for leaf in (b"", body.leaf[:-1], body.leaf + b"\0", bytes(len(body.leaf)), other.leaf):
        refuses(Rule.LEAF, send_in(scene, VERIFIER, replace(body, leaf=leaf)), scene)
    send_in(scene, OTHER, body)()  # a leaf proves itself: anyone may show it
    refuses(Rule.MOVE_ONCE, send_in(scene, VERIFIER, body), scene)


def test_refuses_sum(scene: Scene) -> None:
    challenged(scene)
    game = until(scene, Stage.ENTER, ELEMENT)
    body = own_move(scene, honest(scene))
    for total in (0, 1, number_of(body.root) + 1, -number_of(body.root), MAX_SUM, -(2**255)):
        refuses(Rule.SUM, send_in(scene, VERIFIER, replace(body, value=word(total), root=word(total))), scene)
    other = own_move(scene, liar(scene))
    refuses(Rule.SUM, send_in(scene, VERIFIER, other), scene)
    assert game.terms == WIDTH // 2 + 1


def test_refuses_parts_that_do_not_add_up(scene: Scene) -> None:
    challenged(scene)
    until(scene, Stage.ENTER, ELEMENT)
    body = own_move(scene, honest(scene))
    numbers = [number_of(part) for part in body.row]
    large = word(MAX_SUM), *map(word, numbers[1:-1]), word(numbers[-1] + numbers[0] - MAX_SUM)
    for row in ((word(numbers[0] + 1), *body.row[1:]), (NOTHING,) * len(body.row), large):
        refuses(Rule.ROW, send_in(scene, VERIFIER, replace(body, row=row)), scene)
    for row in (body.row[:-1], (*body.row, NOTHING), ()):
        refuses(Rule.ROW_LENGTH, send_in(scene, VERIFIER, replace(body, row=row)), scene)


def test_refuses_parts_from_anybody_but_their_party(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forger, "bent", 0)
    challenged(scene, arity=2)
    until(scene, Stage.NARROW, ELEMENT)
    row = own_move(scene, honest(scene))
    refuses(Rule.PARTY, send_in(scene, OTHER, row), scene)
    refuses(Rule.PARTY, send_in(scene, SOLVER, row), scene)


@pytest.mark.parametrize(("level", "entry"), [(NODE, 4), (NODE, 5), (ELEMENT, 3)])
def test_refuses_witness(scene: Scene, level: int, entry: int) -> None:
    """Of a sum of two operands, of a row that is looked up, and of one term of a cumulative sum."""
    challenged(scene, entry=entry)
    until(scene, Stage.OPEN, level, entry)
    body = own_move(scene, honest(scene))
    choice, openings = from_canonical(body.witness, "witness")
    *first, (root, root_proof, leaf, proof) = openings
    wrong: list[Any] = [
        [],
        [choice],
        [choice, []],
        [choice, openings, 0],
        [choice, [*openings, openings[0]]],
        [choice, [*first, [root, root_proof]]],
        [choice, [*first, [root, root_proof, leaf, [*proof, NOTHING]]]],
        [choice, [*first, [root, root_proof, leaf[:-1], proof]]],
        [choice, [*first, [root, root_proof, bytes(len(leaf)), proof]]],
        [choice, [*first, [root, root_proof[:-1], leaf, proof]]],
        [choice, [*first, [root, [*root_proof, NOTHING], leaf, proof]]],
        [choice, [*first, [root, root_proof[::-1], leaf, proof]]],
        [choice, [*first, [digest(b"other"), root_proof, leaf, proof]]],
        [choice, [*first, [root, root_proof, leaf, [0]]]],
    ]
    for content in wrong:
        if content == [choice, openings]:
            continue  # a proof of one hash, turned round
        witness = to_canonical(content)
        refuses(Rule.WITNESS, send_in(scene, VERIFIER, replace(body, witness=witness)), scene)
        refuses(Rule.WITNESS, send_in(scene, OTHER, Open(SOLVER.address, witness)), scene)
    for raw in (b"", b"\0", b"\xff", body.witness + b"\0", bytes(MAX_WITNESS_BYTES + 1)):
        refuses(Rule.WITNESS, send_in(scene, VERIFIER, replace(body, witness=raw)), scene)
    refuses(Rule.WITNESS, send_in(scene, VERIFIER, replace(body, party=SOLVER.address)), scene)


def test_anyone_may_open_a_place(scene: Scene) -> None:
    challenged(scene)
    until(scene, Stage.OPEN, ELEMENT)
    send_in(scene, OTHER, own_move(scene, honest(scene)))()
    assert (scene.game.step, scene.game.entry, scene.game.element, scene.game.first) == (5, 3, 2, 2)
    assert scene.game.wrong == (True, False)


def test_a_message_is_the_same_after_its_bytes(scene: Scene) -> None:
    _, game = challenged(scene)
    bodies = [scene.signed(VERIFIER, own_move(scene, honest(scene)), game.job, game.id).message]
    bodies += [scene.signed(SUBMITTER, PostJob(TERMS, LAW.job, b"toy", b"toy")).message]
    for message in bodies:
        again = message_from_bytes(message.to_bytes())
        assert isinstance(again, Message) and again == message and again.id == message.id
