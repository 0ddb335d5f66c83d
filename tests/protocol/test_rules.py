"""Every rule refuses what it forbids and leaves the state as it was: one test per rule, and none is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.canonical import from_canonical, to_canonical
from protocol.game import ledger
from protocol.game.ledger import OUTSIDE, Ledger
from protocol.game.levels import number_of, word
from protocol.game.messages import (
    NOTHING,
    AcceptBid,
    CommitChallenge,
    CommitClaim,
    Deposit,
    Enter,
    Message,
    Open,
    PlaceBid,
    PostJob,
    RevealChallenge,
    RevealClaim,
    Row,
    Show,
    Withdraw,
    challenge_seal,
    claim_seal,
    message_from_bytes,
)
from protocol.game.params import Terms, require_terms
from protocol.game.rules import Refused, Rule
from protocol.game.transition import advance, apply
from protocol.game.types import ELEMENT, INTERVAL, NODE, STEP, Game, Stage
from protocol.identity import Identity, Signed, require_signature, signed_from_bytes
from protocol.players.dishonest import Forger
from protocol.players.player import Player
from protocol.referee.judge import FAULT_ROOT
from protocol.referee.openings import MAX_WITNESS_BYTES
from protocol.referee.sums import MAX_SUM
from tests.protocol import test_attestation_rules
from tests.protocol.scene import FUNDS, Scene
from tests.protocol.toy import (
    DOMAIN,
    OPERATOR,
    OTHER,
    SOLVER,
    SUBMITTER,
    TERMS,
    VERIFIER,
    WIDTH,
    ToyLaw,
    ToyTrace,
    digest,
)

LAW = ToyLaw(12, 4, 9)
LIE = {(5, 3): digest(b"lie")}
SALT = digest(b"salt")


def refuses(rule: Rule, action: Callable[[], object], scene: Scene | None = None) -> None:
    before = scene.coordinator.state_hash() if scene is not None else b""
    with pytest.raises(Refused) as refused:
        action()
    assert refused.value.rule is rule, refused.value
    if scene is not None:
        assert scene.coordinator.state_hash() == before


@pytest.fixture
def scene() -> Scene:
    return Scene()


def posted(scene: Scene, law: ToyLaw = LAW, terms: Terms = TERMS) -> bytes:
    return scene.post(law, terms)


def running(scene: Scene, law: ToyLaw = LAW, terms: Terms = TERMS) -> bytes:
    job = posted(scene, law, terms)
    scene.send(SOLVER, PlaceBid(1000, 4), job)
    scene.send(SUBMITTER, AcceptBid(SOLVER.address), job)
    return job


def roots(trace: ToyTrace, first: int = 0, last: int = 12) -> tuple[bytes, ...]:
    return tuple(trace.state_root(step) for step in range(first, last + 1, trace.law.interval))


def sealed(scene: Scene, job: bytes, trace: ToyTrace, first: int = 0, last: int = 12) -> RevealClaim:
    shown = roots(trace, first, last)
    scene.send(SOLVER, CommitClaim(first, last, claim_seal(SOLVER.address, job, first, last, shown, SALT)), job)
    return RevealClaim(shown, SALT)


def claimed(scene: Scene, trace: ToyTrace | None = None, terms: Terms = TERMS) -> tuple[bytes, bytes]:
    job = running(scene, terms=terms)
    scene.send(SOLVER, sealed(scene, job, trace or ToyTrace(LAW, LIE)), job)
    return job, scene.state.jobs[job].claims[-1]


def objection(claim: bytes, index: int = 1, root: bytes | None = None) -> RevealChallenge:
    return RevealChallenge(claim, index, root or ToyTrace(LAW).state_root(4 * (index + 1)), SALT)


def commit_to(body: RevealChallenge, who: Identity = VERIFIER) -> CommitChallenge:
    return CommitChallenge(body.claim, challenge_seal(who.address, body.claim, body.index, body.root, body.salt))


def challenged(scene: Scene, arity: int = TERMS.arity, entry: int = 3) -> tuple[bytes, Game]:
    """A game at its first level: the solver lies in step 5, the second of interval 1."""
    job, claim = claimed(scene, ToyTrace(LAW, {(5, entry): digest(b"lie")}), replace(TERMS, arity=arity))
    scene.send(VERIFIER, commit_to(objection(claim)), job)
    scene.send(VERIFIER, objection(claim), job)
    return job, scene.game


def honest(scene: Scene) -> Player:
    return scene.verifier(ToyTrace(LAW))


def liar(scene: Scene, entry: int = 3) -> Player:
    return scene.solver(ToyTrace(LAW, {(5, entry): digest(b"lie")}))


def player_of(scene: Scene, who: Identity) -> Player:
    return liar(scene) if who is SOLVER else honest(scene)


def until(scene: Scene, stage: Stage, level: int, entry: int = 3) -> Game:
    """Play on until the game waits for a stage at a level."""
    for _ in range(50):
        game = scene.game
        if (game.stage, game.level) == (stage, level):
            return game
        for player in (liar(scene, entry), honest(scene)):
            side = scene.game.sides[scene.game.side_of(player.address)]
            if scene.game.id == game.id and scene.game.stage is game.stage and side.since is not None:
                body = player.move(scene.game)
                assert body is not None
                player.send(body, game.job, game.id)
    raise AssertionError("the game never came there")


def send_in(scene: Scene, who: Identity, body: Any) -> Callable[[], object]:
    game = scene.game
    return lambda: scene.send(who, body, game.job, game.id)


def own_move(scene: Scene, player: Player) -> Any:
    body = player.move(scene.game)
    assert body is not None
    return body


def test_every_rule_has_its_test() -> None:
    tests = {*globals(), *vars(test_attestation_rules)}
    missing = [rule.name for rule in Rule if f"test_refuses_{rule.name.lower()}" not in tests]
    assert not missing


# any message


def test_refuses_malformed(scene: Scene) -> None:
    good = scene.signed(SUBMITTER, Withdraw(5)).message
    fields = ["isobit-message-2", good.sender, good.job, good.game, good.move, good.deadline, "Withdraw", [5]]
    assert message_from_bytes(to_canonical(fields)) == good
    wrong: list[object] = [
        [*fields, 0],
        fields[:-1],
        {"a": 1},
        ["isobit-message-1", *fields[1:]],
        [*fields[:6], "Withdrawal", [5]],
        [*fields[:7], [5, 5]],
        [*fields[:7], []],
        [*fields[:7], [True]],
        [*fields[:7], [-1]],
        [*fields[:7], [2**63]],
        [*fields[:7], [2**64]],
        [fields[0], good.sender.upper(), *fields[2:]],
        [fields[0], good.sender[:-1], *fields[2:]],
        [fields[0], good.sender[:-1] + "\u0660", *fields[2:]],
        [*fields[:2], NOTHING + b"\0", *fields[3:]],
        [*fields[:3], NOTHING[1:], *fields[4:]],
    ]
    for value in wrong:
        refuses(Rule.MALFORMED, lambda value=value: message_from_bytes(to_canonical(value)))
    for data in (
        b"",
        to_canonical(fields) + b"\0",
        b"\x98\x08" + to_canonical(fields)[1:],
        b"\xff",
        b"\xfb" + bytes(8),
    ):
        refuses(Rule.MALFORMED, lambda data=data: message_from_bytes(data))
        refuses(Rule.MALFORMED, lambda data=data: signed_from_bytes(data))
    refuses(Rule.MALFORMED, lambda: signed_from_bytes(to_canonical([good.to_bytes()])))


def test_refuses_signature() -> None:
    scene = Scene(signing=True)
    signed = scene.signed(SUBMITTER, Withdraw(5))
    message, signature = signed.message, signed.signature
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high_s = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    flipped = signature[:32] + high_s + bytes([55 - signature[64]])
    require_signature(signed, DOMAIN)
    for other in (
        Signed(message, flipped),
        Signed(message, b""),
        Signed(message, signature + b"\0"),
        Signed(message, bytes(65)),
        Signed(message, signature[:64] + bytes([signature[64] - 27])),
        Signed(message, bytes([signature[0] ^ 1]) + signature[1:]),
        Signed(replace(message, sender=OTHER.address), signature),
        Signed(replace(message, job=digest(b"other")), signature),
        Signed(replace(message, game=digest(b"other")), signature),
        Signed(replace(message, move=message.move + 1), signature),
        Signed(replace(message, deadline=message.deadline + 1), signature),
        Signed(replace(message, body=Withdraw(6)), signature),
    ):
        refuses(Rule.SIGNATURE, lambda other=other: scene.coordinator.submit(other), scene)
    refuses(Rule.SIGNATURE, lambda: require_signature(signed, "isobit elsewhere"))


def test_refuses_time_forward(scene: Scene) -> None:
    scene.after(100)
    params = scene.params
    refuses(Rule.TIME_FORWARD, lambda: advance(scene.state, 99, params))
    message = scene.signed(SUBMITTER, Withdraw(5)).message
    refuses(Rule.TIME_FORWARD, lambda: apply(scene.state, message, 99, params))


def test_refuses_message_deadline(scene: Scene) -> None:
    scene.after(100)
    refuses(Rule.MESSAGE_DEADLINE, lambda: scene.send(SUBMITTER, Withdraw(5), deadline=99), scene)
    scene.send(SUBMITTER, Withdraw(5), deadline=100)


def test_refuses_move_number(scene: Scene) -> None:
    scene.send(SUBMITTER, Withdraw(5))
    refuses(Rule.MOVE_NUMBER, lambda: scene.send(SUBMITTER, Withdraw(5), move=2), scene)
    refuses(Rule.MOVE_NUMBER, lambda: scene.send(SUBMITTER, Withdraw(5), move=2**63 - 1), scene)
    message = scene.signed(SUBMITTER, Withdraw(7), move=0).message
    refuses(Rule.MOVE_NUMBER, lambda: apply(scene.state, message, scene.now, scene.params))


def test_refuses_id_reused(scene: Scene) -> None:
    scene.send(SUBMITTER, Withdraw(5))
    refuses(Rule.ID_REUSED, lambda: scene.send(SUBMITTER, Withdraw(6), move=0), scene)


def test_refuses_scope(scene: Scene) -> None:
    other = digest(b"other")
    refuses(Rule.SCOPE, lambda: scene.send(SUBMITTER, Withdraw(5), other), scene)
    refuses(Rule.SCOPE, lambda: scene.send(OPERATOR, Deposit(SUBMITTER.address, 5), other), scene)
    refuses(Rule.SCOPE, lambda: scene.send(SUBMITTER, PostJob(TERMS, LAW.job, b"toy", b"toy"), other), scene)
    refuses(Rule.SCOPE, lambda: scene.send(SUBMITTER, Withdraw(5), NOTHING, other), scene)
    _, game = challenged(scene)
    second = scene.send(SUBMITTER, PostJob(TERMS, LAW.job, b"toy", b"toy")).id
    refuses(Rule.SCOPE, lambda: scene.send(OTHER, commit_to(objection(game.claim), OTHER), second), scene)
    move = own_move(scene, honest(scene))
    refuses(Rule.SCOPE, lambda: scene.send(VERIFIER, move, second, game.id), scene)
    refuses(Rule.SCOPE, lambda: scene.send(VERIFIER, move, game.job), scene)


# money


def test_refuses_operator_only(scene: Scene) -> None:
    refuses(Rule.OPERATOR_ONLY, lambda: scene.send(SUBMITTER, Deposit(SUBMITTER.address, 5)), scene)


def test_refuses_amount(scene: Scene) -> None:
    refuses(Rule.AMOUNT, lambda: scene.send(SUBMITTER, Withdraw(0)), scene)
    books = ledger.opened(100)
    for amount in (0, -1, 2**63, True):
        refuses(Rule.AMOUNT, lambda amount=amount: ledger.transfer(books, OUTSIDE, "a", amount, ""))
        refuses(Rule.AMOUNT, lambda amount=amount: ledger.reserve(books, "key", OUTSIDE, amount))


def test_refuses_funds(scene: Scene) -> None:
    refuses(Rule.FUNDS, lambda: scene.send(SUBMITTER, Withdraw(FUNDS + 1)), scene)
    posted(scene)
    refuses(Rule.FUNDS, lambda: scene.send(SUBMITTER, Withdraw(FUNDS - TERMS.price + 1)), scene)
    scene.send(SUBMITTER, Withdraw(FUNDS - TERMS.price))
    refuses(Rule.FUNDS, lambda: posted(scene), scene)


def test_refuses_same_account() -> None:
    refuses(Rule.SAME_ACCOUNT, lambda: ledger.transfer(ledger.opened(100), OUTSIDE, OUTSIDE, 1, ""))


def test_refuses_reserve_new() -> None:
    books = ledger.reserve(ledger.opened(100), "key", OUTSIDE, 5)
    refuses(Rule.RESERVE_NEW, lambda: ledger.reserve(books, "key", OUTSIDE, 5))
    refuses(Rule.RESERVE_NEW, lambda: ledger.reserve(ledger.close(books, "key"), "key", OUTSIDE, 5))


@pytest.mark.parametrize("end", [ledger.close, lambda books, key: ledger.slash(books, key, "winner")])
def test_refuses_reserve_open(end: Callable[[Ledger, str], Ledger]) -> None:
    books = ledger.reserve(ledger.opened(100), "key", OUTSIDE, 5)
    for again in (
        lambda: ledger.close(end(books, "key"), "key"),
        lambda: ledger.slash(end(books, "key"), "key", None),
        lambda: ledger.pay(end(books, "key"), "key", "a", 0, ""),
        lambda: ledger.close(books, "other"),
    ):
        refuses(Rule.RESERVE_OPEN, again)


def test_refuses_reserve_covers() -> None:
    books = ledger.reserve(ledger.opened(100), "key", OUTSIDE, 5)
    refuses(Rule.RESERVE_COVERS, lambda: ledger.pay(books, "key", "a", 6, ""))
    refuses(Rule.RESERVE_COVERS, lambda: ledger.pay(books, "key", "a", -1, ""))


# jobs


def test_refuses_terms(scene: Scene) -> None:
    for change in (
        {"price": 0},
        {"solver_bond": 1},
        {"challenge_bond": 0},
        {"abandon_fee": TERMS.solver_bond + 1},
        {"arity": 3},
        {"arity": 64},
        {"segment": 0},
        {"claims_ahead": 0},
        {"claims_ahead": 65},
        {"move_period_s": TERMS.clock_s + 1},
        {"level_extension_s": TERMS.clock_s + 1},
        *({name: 0} for name in Terms.__annotations__ if name.endswith("_s")),
        {"clock_s": 2**33},
    ):
        terms = replace(TERMS, **change)
        refuses(Rule.TERMS, lambda terms=terms: scene.send(SUBMITTER, PostJob(terms, LAW.job, b"toy", b"toy")), scene)
    for value in (2**63, 1.5, None, True):
        refuses(Rule.TERMS, lambda value=value: require_terms(replace(TERMS, price=value)))


def test_refuses_job_content(scene: Scene) -> None:
    refuses(Rule.JOB_CONTENT, lambda: scene.send(SUBMITTER, PostJob(TERMS, LAW.job, b"no toy", b"toy")), scene)
    refuses(Rule.JOB_CONTENT, lambda: scene.send(SUBMITTER, PostJob(TERMS, b"\xff", b"toy", b"toy")), scene)


def test_refuses_job_exists(scene: Scene) -> None:
    for body in (PlaceBid(5, 4), AcceptBid(SOLVER.address), CommitClaim(0, 4, SALT), RevealClaim((), SALT)):
        refuses(Rule.JOB_EXISTS, lambda body=body: scene.send(SOLVER, body, digest(b"none")), scene)


def test_refuses_job_posted(scene: Scene) -> None:
    job = running(scene)
    refuses(Rule.JOB_POSTED, lambda: scene.send(OTHER, PlaceBid(5, 4), job), scene)
    refuses(Rule.JOB_POSTED, lambda: scene.send(SUBMITTER, AcceptBid(SOLVER.address), job), scene)


def test_refuses_job_running(scene: Scene) -> None:
    job = posted(scene)
    scene.send(SOLVER, PlaceBid(1000, 4), job)
    refuses(Rule.JOB_RUNNING, lambda: scene.send(SOLVER, CommitClaim(0, 4, SALT), job), scene)
    refuses(Rule.JOB_RUNNING, lambda: scene.send(SOLVER, RevealClaim((), SALT), job), scene)
    done, _ = claimed(scene, ToyTrace(LAW))
    refuses(Rule.JOB_RUNNING, lambda: scene.send(SOLVER, CommitClaim(12, 13, SALT), done), scene)


def test_refuses_bid_price(scene: Scene) -> None:
    job = posted(scene)
    refuses(Rule.BID_PRICE, lambda: scene.send(SOLVER, PlaceBid(1001, 4), job), scene)
    refuses(Rule.BID_PRICE, lambda: scene.send(SOLVER, PlaceBid(0, 4), job), scene)


def test_refuses_bid_interval(scene: Scene) -> None:
    job = posted(scene)
    for interval in (0, 3, 5, 2**63 - 1):
        refuses(Rule.BID_INTERVAL, lambda n=interval: scene.send(SOLVER, PlaceBid(1000, n), job), scene)
    job = posted(scene, replace(LAW, is_open=True))
    for interval in (0, 5, 2**63 - 1):
        with pytest.raises(Refused, match=f"got {interval}, want 1 to 4"):
            scene.send(SOLVER, PlaceBid(1000, interval), job)
    for who, interval in ((SOLVER, 1), (OTHER, 4)):
        scene.send(who, PlaceBid(1000, interval), job)
    assert scene.state.jobs[job].interval == 0
    scene.send(SUBMITTER, AcceptBid(OTHER.address), job)
    assert scene.state.jobs[job].interval == 4


def test_refuses_bid_once(scene: Scene) -> None:
    job = posted(scene)
    scene.send(SOLVER, PlaceBid(1000, 4), job)
    refuses(Rule.BID_ONCE, lambda: scene.send(SOLVER, PlaceBid(900, 4), job), scene)
    refuses(Rule.BID_ONCE, lambda: scene.send(SUBMITTER, PlaceBid(900, 4), job), scene)


def test_refuses_bid_exists(scene: Scene) -> None:
    job = posted(scene)
    refuses(Rule.BID_EXISTS, lambda: scene.send(SUBMITTER, AcceptBid(SOLVER.address), job), scene)


def test_refuses_submitter_only(scene: Scene) -> None:
    job = posted(scene)
    scene.send(SOLVER, PlaceBid(1000, 4), job)
    refuses(Rule.SUBMITTER_ONLY, lambda: scene.send(SOLVER, AcceptBid(SOLVER.address), job), scene)


def test_refuses_solver_only(scene: Scene) -> None:
    job = running(scene)
    refuses(Rule.SOLVER_ONLY, lambda: scene.send(OTHER, CommitClaim(0, 4, SALT), job), scene)
    body = sealed(scene, job, ToyTrace(LAW))
    refuses(Rule.SOLVER_ONLY, lambda: scene.send(OTHER, body, job), scene)


# claims


def test_refuses_claim_range(scene: Scene) -> None:
    job = running(scene, terms=replace(TERMS, segment=8))
    for first, last in ((0, 0), (4, 8), (0, 12), (0, 5), (0, 16), (0, 2**63 - 1)):
        body = CommitClaim(first, last, SALT)
        refuses(Rule.CLAIM_RANGE, lambda body=body: scene.send(SOLVER, body, job), scene)
    scene.send(SOLVER, CommitClaim(0, 8, SALT), job)


def test_refuses_claim_window(scene: Scene) -> None:
    job = running(scene, terms=replace(TERMS, claims_ahead=1))
    scene.send(SOLVER, sealed(scene, job, ToyTrace(LAW), 0, 4), job)
    refuses(Rule.CLAIM_WINDOW, lambda: scene.send(SOLVER, CommitClaim(4, 8, SALT), job), scene)


def test_refuses_claim_sealed(scene: Scene) -> None:
    job = running(scene)
    refuses(Rule.CLAIM_SEALED, lambda: scene.send(SOLVER, RevealClaim(roots(ToyTrace(LAW)), SALT), job), scene)
    sealed(scene, job, ToyTrace(LAW))
    refuses(Rule.CLAIM_SEALED, lambda: scene.send(SOLVER, CommitClaim(0, 4, SALT), job), scene)


def test_refuses_claim_reveal(scene: Scene) -> None:
    job = running(scene)
    body = sealed(scene, job, ToyTrace(LAW))
    refuses(Rule.CLAIM_REVEAL, lambda: scene.send(SOLVER, replace(body, salt=NOTHING), job), scene)
    other = replace(body, roots=roots(ToyTrace(LAW, LIE)))
    refuses(Rule.CLAIM_REVEAL, lambda: scene.send(SOLVER, other, job), scene)


def test_a_commitment_copied_from_another_solver_cannot_be_revealed(scene: Scene) -> None:
    job = running(scene)
    shown = roots(ToyTrace(LAW))
    scene.send(SOLVER, CommitClaim(0, 12, claim_seal(OTHER.address, job, 0, 12, shown, SALT)), job)
    refuses(Rule.CLAIM_REVEAL, lambda: scene.send(SOLVER, RevealClaim(shown, SALT), job), scene)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r: r[:-1],
        lambda r: (*r, r[-1]),
        lambda r: (digest(b"x"), *r[1:]),
        lambda r: (),
        lambda r: (r[0], FAULT_ROOT, *r[2:]),
    ],
)
def test_refuses_claim_leaves(scene: Scene, wrong: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> None:
    job = running(scene)
    shown = wrong(roots(ToyTrace(LAW)))
    scene.send(SOLVER, CommitClaim(0, 12, claim_seal(SOLVER.address, job, 0, 12, shown, SALT)), job)
    refuses(Rule.CLAIM_LEAVES, lambda: scene.send(SOLVER, RevealClaim(shown, SALT), job), scene)


def test_refuses_claim_exists(scene: Scene) -> None:
    job, _ = claimed(scene)
    body = objection(digest(b"none"))
    refuses(Rule.CLAIM_EXISTS, lambda: scene.send(VERIFIER, commit_to(body), job), scene)
    refuses(Rule.CLAIM_EXISTS, lambda: scene.send(VERIFIER, body, job), scene)


def test_refuses_claim_open(scene: Scene) -> None:
    job, claim = claimed(scene)
    scene.after(TERMS.challenge_period_s - 1)
    scene.send(OTHER, commit_to(objection(claim), OTHER), job)
    scene.after(1)
    refuses(Rule.CLAIM_OPEN, lambda: scene.send(VERIFIER, commit_to(objection(claim)), job), scene)
    scene.after(TERMS.reveal_period_s)
    assert scene.state.claims[claim].status.value == "final"
    refuses(Rule.CLAIM_OPEN, lambda: scene.send(OTHER, objection(claim), job), scene)


def test_refuses_challenge_self(scene: Scene) -> None:
    job, claim = claimed(scene)
    refuses(Rule.CHALLENGE_SELF, lambda: scene.send(SOLVER, commit_to(objection(claim), SOLVER), job), scene)


def test_refuses_challenge_once(scene: Scene) -> None:
    job, claim = claimed(scene)
    scene.send(VERIFIER, commit_to(objection(claim)), job)
    refuses(Rule.CHALLENGE_ONCE, lambda: scene.send(VERIFIER, commit_to(objection(claim, 0)), job), scene)
    scene.send(VERIFIER, objection(claim), job)
    again = objection(claim, root=digest(b"other"))
    scene.send(VERIFIER, commit_to(again), job)
    refuses(Rule.CHALLENGE_ONCE, lambda: scene.send(VERIFIER, again, job), scene)


def test_refuses_challenge_sealed(scene: Scene) -> None:
    job, claim = claimed(scene)
    refuses(Rule.CHALLENGE_SEALED, lambda: scene.send(VERIFIER, objection(claim), job), scene)


def test_refuses_challenge_reveal(scene: Scene) -> None:
    job, claim = claimed(scene)
    scene.send(VERIFIER, commit_to(objection(claim)), job)
    refuses(Rule.CHALLENGE_REVEAL, lambda: scene.send(VERIFIER, objection(claim, 0), job), scene)
    scene.send(OTHER, commit_to(objection(claim)), job)  # VERIFIER's commitment, copied
    refuses(Rule.CHALLENGE_REVEAL, lambda: scene.send(OTHER, objection(claim), job), scene)


def test_refuses_challenge_index(scene: Scene) -> None:
    job, claim = claimed(scene)
    body = replace(objection(claim), index=3)
    scene.send(VERIFIER, commit_to(body), job)
    refuses(Rule.CHALLENGE_INDEX, lambda: scene.send(VERIFIER, body, job), scene)


def test_refuses_challenge_differs(scene: Scene) -> None:
    job, claim = claimed(scene)
    body = objection(claim, 0)
    scene.send(VERIFIER, commit_to(body), job)
    refuses(Rule.CHALLENGE_DIFFERS, lambda: scene.send(VERIFIER, body, job), scene)


# disputes


def test_refuses_game_exists(scene: Scene) -> None:
    _, game = challenged(scene)
    body = own_move(scene, honest(scene))
    refuses(Rule.GAME_EXISTS, lambda: scene.send(VERIFIER, body, game.job, digest(b"none")), scene)


def test_refuses_game_open(scene: Scene) -> None:
    challenged(scene)
    body = own_move(scene, honest(scene))
    scene.after(TERMS.move_period_s)
    refuses(Rule.GAME_OPEN, send_in(scene, VERIFIER, body), scene)
    for late in (Row(VERIFIER.address, ()), Show(VERIFIER.address, b""), Open(VERIFIER.address, b"")):
        refuses(Rule.GAME_OPEN, send_in(scene, OTHER, late), scene)


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
