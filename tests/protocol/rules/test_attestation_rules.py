"""Rules of attestation: who is drawn, what an attester seals and shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocol.game.messages import (
    AnchorBeacon,
    CommitAttestation,
    CommitChallenge,
    DrawAttesters,
    Register,
    RevealAttestation,
    RevealChallenge,
    Unregister,
    challenge_seal,
)
from protocol.game.rules import Refused, Rule
from protocol.identity import Identity
from tests.protocol.attesting import (
    ATTESTED,
    LAW,
    SALT,
    TRUTH,
    WRONG,
    attestation,
    attester,
    claim_of,
    commit,
    drawn,
    enrolled,
    job_of,
    reveal_of,
    sealed_of,
    shown,
)
from tests.protocol.scene import Scene
from tests.protocol.toy import OPERATOR, OTHER, SOLVER, SUBMITTER, TERMS, VERIFIER, digest


def refused(scene: Scene, rule: Rule, who: Identity, body: Any, job: bytes) -> None:
    before = scene.coordinator.state_hash()
    with pytest.raises(Refused) as caught:
        scene.send(who, body, job)
    assert caught.value.rule is rule, caught.value
    assert scene.coordinator.state_hash() == before


def link(scene: Scene, back: int = 1) -> bytes:
    links = scene.operator()._links(job_of(scene), LAW)
    return links[links.index(job_of(scene).beacon) - back]


def test_refuses_attesters(scene: Scene) -> None:
    plain = scene.post(LAW, TERMS)
    refused(scene, Rule.ATTESTERS, VERIFIER, Register(), plain)
    refused(scene, Rule.ATTESTERS, OPERATOR, AnchorBeacon(SALT), plain)
    ended = scene.post(LAW, ATTESTED)
    scene.after(TERMS.bid_period_s)
    refused(scene, Rule.ATTESTERS, VERIFIER, Register(), ended)
    refused(scene, Rule.ATTESTERS, OPERATOR, AnchorBeacon(SALT), ended)


def test_refuses_attest_self(scene: Scene) -> None:
    refused(scene, Rule.ATTEST_SELF, SOLVER, Register(), enrolled(scene))


def test_refuses_pool_frozen(scene: Scene) -> None:
    job = enrolled(scene, attester(scene, TRUTH))
    commit(scene, job)
    refused(scene, Rule.POOL_FROZEN, OTHER, Register(), job)
    refused(scene, Rule.POOL_FROZEN, VERIFIER, Unregister(0), job)
    scene.play(scene.operator())
    scene.send(OTHER, Register(), job)


def test_refuses_ticket_owner(scene: Scene) -> None:
    job = enrolled(scene, attester(scene, TRUTH))
    refused(scene, Rule.TICKET_OWNER, OTHER, Unregister(0), job)
    refused(scene, Rule.TICKET_OWNER, VERIFIER, Unregister(1), job)
    scene.send(VERIFIER, Unregister(0), job)
    refused(scene, Rule.TICKET_OWNER, VERIFIER, Unregister(0), job)


@pytest.mark.parametrize("state", [drawn, shown])
def test_refuses_ticket_free(scene: Scene, state: Callable[..., Any]) -> None:
    state(scene, attester(scene, TRUTH))
    refused(scene, Rule.TICKET_FREE, VERIFIER, Unregister(0), job_of(scene).id)


def test_refuses_beacon_anchor(scene: Scene) -> None:
    job = enrolled(scene)
    refused(scene, Rule.BEACON_ANCHOR, OPERATOR, AnchorBeacon(SALT), job)
    refused(scene, Rule.OPERATOR_ONLY, OTHER, AnchorBeacon(SALT), job)


def test_refuses_beacon_anchor_after_a_commitment(scene: Scene) -> None:
    """Or the operator could choose the chain that draws whom it likes."""
    job = enrolled(scene, anchored=False)
    commit(scene, job)
    refused(scene, Rule.BEACON_ANCHOR, OPERATOR, AnchorBeacon(SALT), job)


def test_refuses_beacon_link(scene: Scene) -> None:
    job = enrolled(scene)
    commit(scene, job)
    for wrong in (SALT, job_of(scene).beacon, link(scene, 2)):
        refused(scene, Rule.BEACON_LINK, OPERATOR, DrawAttesters(wrong), job)
    refused(scene, Rule.OPERATOR_ONLY, SUBMITTER, DrawAttesters(link(scene)), job)
    scene.send(OPERATOR, DrawAttesters(link(scene)), job)


def test_refuses_draw_once(scene: Scene) -> None:
    job = enrolled(scene)
    refused(scene, Rule.DRAW_ONCE, OPERATOR, DrawAttesters(link(scene)), job)
    commit(scene, job)
    scene.send(OPERATOR, DrawAttesters(link(scene)), job)
    refused(scene, Rule.DRAW_ONCE, OPERATOR, DrawAttesters(link(scene)), job)


def test_refuses_draw_once_its_period_is_over(scene: Scene) -> None:
    job = enrolled(scene)
    commit(scene, job)
    scene.after(ATTESTED.attestation_period_s)
    refused(scene, Rule.DRAW_ONCE, OPERATOR, DrawAttesters(link(scene)), job)


def test_refuses_slot(scene: Scene) -> None:
    job, reveal = drawn(scene, attester(scene, TRUTH))
    body, attested = attestation(job, who=OTHER)
    refused(scene, Rule.SLOT, OTHER, body, job)
    scene.send(VERIFIER, attestation(job)[0], job)
    scene.send(SOLVER, reveal, job)
    refused(scene, Rule.SLOT, OTHER, reveal_of(scene, attested), job)


def test_refuses_attest_period(scene: Scene) -> None:
    job = enrolled(scene, attester(scene, TRUTH))
    body, attested = attestation(job)
    refused(scene, Rule.ATTEST_PERIOD, VERIFIER, body, job)
    reveal = commit(scene, job)
    scene.play(scene.operator())
    refused(scene, Rule.ATTEST_PERIOD, VERIFIER, replace(body, first=4), job)
    scene.coordinator.advance(sealed_of(scene).opens - 1)
    scene.send(VERIFIER, body, job)
    scene.after(1)
    scene.send(SOLVER, reveal, job)
    refused(scene, Rule.ATTEST_PERIOD, VERIFIER, body, job)
    scene.after(ATTESTED.attestation_period_s)
    assert claim_of(scene).slots == ()
    refused(scene, Rule.SLOT, VERIFIER, reveal_of(scene, attested), job)


def test_refuses_attest_period_of_the_reveal(scene: Scene) -> None:
    """Of two attesters one shows its attestation in time; its slot stays, and takes no second one afterwards."""
    players = attester(scene, TRUTH), attester(scene, TRUTH, OTHER)
    job = shown(scene, *players)
    players[0].act(scene.now)
    scene.after(ATTESTED.attestation_period_s)
    assert [slot.attester for slot in claim_of(scene).slots] == [VERIFIER.address]
    refused(scene, Rule.ATTEST_PERIOD, VERIFIER, reveal_of(scene, claim_of(scene).id), job)


def test_refuses_attest_once(scene: Scene) -> None:
    player = attester(scene, TRUTH)
    job, reveal = drawn(scene, player)
    body, attested = attestation(job)
    scene.send(VERIFIER, body, job)
    refused(scene, Rule.ATTEST_ONCE, VERIFIER, CommitAttestation(0, digest(b"other")), job)
    scene.send(SOLVER, reveal, job)
    scene.send(VERIFIER, reveal_of(scene, attested), job)
    refused(scene, Rule.ATTEST_ONCE, VERIFIER, reveal_of(scene, attested), job)


def test_refuses_attest_reveal(scene: Scene) -> None:
    """Neither another claim, nor another salt, nor what somebody else committed to."""
    job, reveal = drawn(scene, attester(scene, TRUTH), attester(scene, TRUTH, OTHER))
    body, attested = attestation(job)
    scene.send(VERIFIER, body, job)
    scene.send(OTHER, body, job)  # a copy
    scene.send(SOLVER, reveal, job)
    _, wrong = attestation(job, WRONG)
    refused(scene, Rule.ATTEST_REVEAL, VERIFIER, reveal_of(scene, wrong), job)
    refused(scene, Rule.ATTEST_REVEAL, VERIFIER, RevealAttestation(claim_of(scene).id, attested, digest(b"x")), job)
    refused(scene, Rule.ATTEST_REVEAL, OTHER, reveal_of(scene, attested), job)
    scene.send(VERIFIER, reveal_of(scene, attested), job)


def test_refuses_claim_early(scene: Scene) -> None:
    job, reveal = drawn(scene, attester(scene, TRUTH))
    refused(scene, Rule.CLAIM_EARLY, SOLVER, reveal, job)
    scene.send(VERIFIER, attestation(job)[0], job)
    scene.send(SOLVER, reveal, job)


def test_refuses_claim_early_without_a_draw(scene: Scene) -> None:
    job = enrolled(scene)
    reveal = commit(scene, job)
    scene.after(2 * ATTESTED.attestation_period_s - 1)
    refused(scene, Rule.CLAIM_EARLY, SOLVER, reveal, job)
    scene.after(1)
    scene.send(SOLVER, reveal, job)
    assert claim_of(scene).slots == ()


def test_refuses_challenge_early(scene: Scene) -> None:
    player = attester(scene, WRONG)
    job, claim = shown(scene, player, trace=WRONG), claim_of(scene)
    root = TRUTH.state_root(8)
    body = RevealChallenge(claim.id, 1, root, SALT)
    scene.send(OTHER, CommitChallenge(claim.id, challenge_seal(OTHER.address, claim.id, 1, root, SALT)), job)
    refused(scene, Rule.CHALLENGE_EARLY, OTHER, body, job)
    player.act(scene.now)
    scene.send(OTHER, body, job)
