"""Jobs that a submitter makes to live on the bonds of those who take them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.protocol.scene import Scene
from tests.protocol.toy import TERMS, VERIFIER, ToyLaw, ToyTrace, digest

LAW = ToyLaw(6, 3, 5)


@pytest.mark.parametrize("period", ["reveal_period_s", "move_period_s", "claim_period_s"])
def test_nobody_honest_stakes_anything_where_the_clocks_are_a_trap(period: str) -> None:
    """A submitter whose job leaves five seconds for a message would live on bonds lost by silence."""
    scene, wrong = Scene(), ToyTrace(LAW, {(2, 1): digest(b"lie")})
    job = scene.post(LAW, replace(TERMS, **{period: 5}))
    scene.play(scene.solver(ToyTrace(LAW)))
    assert scene.state.jobs[job].bids == ()
    liar = scene.solver(wrong)
    liar.reaction_s = 1
    scene.play(liar)
    scene.after(TERMS.bid_period_s)
    scene.play(liar, scene.verifier(ToyTrace(LAW)))
    assert scene.state.claims and scene.gain(VERIFIER) == 0 and not scene.coordinator.ledger.locked(VERIFIER.address)
