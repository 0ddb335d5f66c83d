"""Rules of jobs and bids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.game.messages import AcceptBid, CommitClaim, PlaceBid, PostJob, RevealClaim
from protocol.game.params import Terms, require_terms
from protocol.game.rules import Refused, Rule
from tests.protocol.rules.playing import LAW, SALT, claimed, posted, refuses, running, sealed
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, SOLVER, SUBMITTER, TERMS, ToyLaw, ToyTrace, digest


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
    attested = replace(TERMS, attesters=1, attestation_fee=1, attester_bond=2, segment=2**20)
    for law in (ToyLaw(2**18 + 1, 1, 4), ToyLaw(2**18 + 1, 2**18 + 1, 4, is_open=True), ToyLaw(2**20, 2, 4)):
        refuses(Rule.TERMS, lambda law=law: scene.post(law, attested), scene)
    scene.post(ToyLaw(2**19, 2, 4), attested)
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
