"""The toy job (protocol/simulation/toy.py) with the parties, terms and limits by which tests play it."""

from __future__ import annotations

from protocol.game.params import Params, Terms
from protocol.identity import Identity
from protocol.simulation.toy import WIDTH, ToyLaw, ToyTrace, digest, toy_law_of

OPERATOR, SUBMITTER, SOLVER, VERIFIER, OTHER, THIRD = (Identity.of_key(bytes([0] * 31 + [i])) for i in range(1, 7))
DOMAIN = "isobit toy"
TERMS = Terms(
    price=1000,
    solver_bond=501,
    challenge_bond=101,
    challenge_bond_rise=10,
    abandon_fee=50,
    segment=100,
    claims_ahead=4,
    arity=4,
    bid_period_s=100,
    claim_period_s=1000,
    reveal_period_s=50,
    challenge_period_s=500,
    clock_s=300,
    move_period_s=100,
    level_extension_s=60,
)


def toy_params(**changes: int) -> Params:
    return Params(DOMAIN, OPERATOR.address, toy_law_of, **{"supply": 10**9, **changes})


__all__ = [
    "DOMAIN",
    "OPERATOR",
    "OTHER",
    "SOLVER",
    "SUBMITTER",
    "TERMS",
    "THIRD",
    "VERIFIER",
    "WIDTH",
    "ToyLaw",
    "ToyTrace",
    "digest",
    "toy_law_of",
    "toy_params",
]
