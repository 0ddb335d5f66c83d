"""Claims of consecutive steps and the challenges against them, each committed before it is shown."""

from __future__ import annotations

from dataclasses import replace

from protocol.game import ledger, tickets
from protocol.game.dispute import new_game
from protocol.game.fields import MAX_HASHES
from protocol.game.jobs import NEVER, job_of, may_claim, settle, stop_claiming
from protocol.game.messages import (
    CommitChallenge,
    CommitClaim,
    Message,
    RevealChallenge,
    RevealClaim,
    challenge_seal,
    claim_seal,
)
from protocol.game.params import Law, Params
from protocol.game.rules import Rule, require
from protocol.game.types import Claim, ClaimStatus, Job, JobStatus, Sealed, State, claim_id, game_id
from protocol.referee.judge import FAULT_ROOT


def commit_claim(state: State, message: Message, body: CommitClaim, now: int, params: Params) -> State:
    """The solver commits to the roots of its next segment."""
    job = job_of(state, message)
    law = params.law_of(job.job, job.program, job.data)
    require(job.status is JobStatus.RUNNING and job.deadline != NEVER, Rule.JOB_RUNNING)
    require(message.sender == job.solver, Rule.SOLVER_ONLY)
    require(job.sealed is None, Rule.CLAIM_SEALED)
    require(body.first == job.claimed_to < body.last <= law.steps, Rule.CLAIM_RANGE)
    require(body.last - body.first <= job.terms.segment, Rule.CLAIM_RANGE)
    require(body.last == law.steps or body.last % job.interval == 0, Rule.CLAIM_RANGE)
    # More roots than a message holds could be committed to, and never shown.
    require(claim_leaves(job.interval, body.first, body.last) <= MAX_HASHES, Rule.CLAIM_RANGE)
    require(may_claim(state, job), Rule.CLAIM_WINDOW)
    # First the draw, then the attesters' commitments, then the roots.
    opens = now + (2 * job.terms.attestation_period_s if job.terms.attesters else 0)
    deadline = opens + job.terms.reveal_period_s
    sealed = Sealed(message.sender, body.commitment, deadline, body.first, body.last, opens=opens)
    return state.with_job(replace(job, sealed=sealed))


def reveal_claim(state: State, message: Message, body: RevealClaim, now: int, params: Params) -> State:
    """The solver shows the roots it committed to; the challenge period begins."""
    job = job_of(state, message)
    require(job.status is JobStatus.RUNNING, Rule.JOB_RUNNING)
    require(message.sender == job.solver, Rule.SOLVER_ONLY)
    sealed = job.sealed
    require(sealed is not None, Rule.CLAIM_SEALED)
    assert sealed is not None, "required above"
    require(may_show(sealed, now), Rule.CLAIM_EARLY)
    law = params.law_of(job.job, job.program, job.data)
    seal = claim_seal(message.sender, job.id, sealed.first, sealed.last, body.roots, body.salt)
    require(seal == sealed.commitment, Rule.CLAIM_REVEAL)
    require(len(body.roots) == claim_leaves(job.interval, sealed.first, sealed.last), Rule.CLAIM_LEAVES)
    require(body.roots[0] == job.tip and FAULT_ROOT not in body.roots[:-1], Rule.CLAIM_LEAVES)
    claim = Claim(
        id=claim_id(job.id, sealed.first, sealed.last, body.roots),
        job=job.id,
        solver=job.solver,
        first=sealed.first,
        last=sealed.last,
        roots=body.roots,
        ends=now + job.terms.challenge_period_s,
        slots=sealed.slots,
        attested_by=now + job.terms.attestation_period_s if sealed.slots else now,
    )
    return state.with_claim(claim).with_job(_extended(job, claim, law, now))


def may_show(sealed: Sealed, now: int) -> bool:
    """Whether the roots may be shown: every drawn attester has committed, or its time is over."""
    return now >= sealed.opens or (sealed.drawn and all(slot.seal is not None for slot in sealed.slots))


def _extended(job: Job, claim: Claim, law: Law, now: int) -> Job:
    return replace(
        job,
        sealed=None,
        claims=(*job.claims, claim.id),
        claimed_to=claim.last,
        tip=claim.roots[-1],
        deadline=NEVER if _ends_the_job(claim, law) else now + job.terms.claim_period_s,
    )


def _ends_the_job(claim: Claim, law: Law) -> bool:
    """Whether nothing comes after a claim: it reaches the last step, or the program has no state after it."""
    return claim.last == law.steps or claim.roots[-1] == FAULT_ROOT


def _delivered(claim: Claim, interval: int) -> int:
    """The steps up to which a claim has states: where the program faults, those before that interval."""
    return claim.first + (len(claim.roots) - 2) * interval if claim.roots[-1] == FAULT_ROOT else claim.last


def claim_leaves(interval: int, first: int, last: int) -> int:
    """The number of roots of a claim: the one before it, and one per committed interval."""
    return 1 - -(last - first) // interval


def commit_challenge(state: State, message: Message, body: CommitChallenge, now: int, params: Params) -> State:
    """A challenger locks its bond and commits to its objection."""
    job, claim = open_claim(state, message, body.claim)
    require(now < claim.ends, Rule.CLAIM_OPEN)
    require(message.sender != claim.solver, Rule.CHALLENGE_SELF)
    require(message.sender not in [sealed.sender for sealed in claim.sealed], Rule.CHALLENGE_ONCE)
    key = f"challenge:{claim.id.hex()}:{claim.bonds}"
    books = ledger.reserve(state.ledger, key, message.sender, challenge_bond(state, job, claim))
    deadline = max(now, claim.attested_by) + job.terms.reveal_period_s
    sealed = Sealed(message.sender, body.commitment, deadline, key=key, order=claim.bonds)
    claim = replace(claim, sealed=(*claim.sealed, sealed), bonds=claim.bonds + 1)
    return replace(state.with_claim(claim), ledger=books)


def challenge_bond(state: State, job: Job, claim: Claim) -> int:
    """The bond for one more challenge: it rises with the games and commitments that the claim has already."""
    open_games = sum(state.games[key].open for key in claim.games) + len(claim.sealed)
    return job.terms.challenge_bond + job.terms.challenge_bond_rise * open_games


def open_claim(state: State, message: Message, key: bytes) -> tuple[Job, Claim]:
    """The job and the undecided claim that a message names."""
    job = job_of(state, message)
    require(key in state.claims, Rule.CLAIM_EXISTS)
    claim = state.claims[key]
    require(claim.job == job.id, Rule.SCOPE)
    require(claim.status is ClaimStatus.OPEN, Rule.CLAIM_OPEN)
    return job, claim


def reveal_challenge(state: State, message: Message, body: RevealChallenge, now: int, params: Params) -> State:
    """A challenger shows its objection, and a game begins."""
    job, claim = open_claim(state, message, body.claim)
    sealed = next((item for item in claim.sealed if item.sender == message.sender), None)
    require(sealed is not None, Rule.CHALLENGE_SEALED)
    assert sealed is not None, "required above"
    require(is_attested(claim, now), Rule.CHALLENGE_EARLY)
    seal = challenge_seal(message.sender, claim.id, body.index, body.root, body.salt)
    require(seal == sealed.commitment, Rule.CHALLENGE_REVEAL)
    require(body.index < len(claim.roots) - 1, Rule.CHALLENGE_INDEX)
    require(body.root != claim.roots[body.index + 1], Rule.CHALLENGE_DIFFERS)
    key = game_id(claim.id, body.index, message.sender)
    require(key not in state.games, Rule.CHALLENGE_ONCE)
    game = new_game(state, job, claim, body.index, body.root, sealed, now)
    others = tuple(item for item in claim.sealed if item != sealed)
    game = replace(game, before=claim.bonds)
    return state.with_claim(replace(claim, sealed=others, games=(*claim.games, key))).with_game(game)


def is_attested(claim: Claim, now: int) -> bool:
    """Whether every attestation was shown, or its time is over: before that no attester is told what is wrong."""
    return now >= claim.attested_by or all(slot.attested is not None for slot in claim.slots)


def drop_claim_seal(state: State, job: Job) -> State:
    """The solver did not reveal in time: its commitment lapses; the time for its next claim runs on.

    Where attesters were to be drawn, it could so choose among draws: then it claims no more, and its bond is lost.
    """
    if not job.terms.attesters:
        return state.with_job(replace(job, sealed=None))
    return stop_claiming(state, replace(job, forfeit=True))


def drop_challenge_seal(state: State, claim: Claim, sealed: Sealed) -> State:
    """A challenger did not reveal in time: it held up the claim, and its bond goes to the treasury."""
    books = ledger.slash(state.ledger, sealed.key, None)
    others = tuple(item for item in claim.sealed if item != sealed)
    return replace(state.with_claim(replace(claim, sealed=others)), ledger=books)


def is_ripe(state: State, job: Job, claim: Claim) -> bool:
    """Whether only the passing of the challenge period stands between a claim and its finality."""
    decided = not claim.sealed and not any(state.games[key].open for key in claim.games)
    return claim.status is ClaimStatus.OPEN and decided and claim.first == job.final_to


def finish_claim(state: State, claim: Claim, params: Params) -> State:
    """A claim survived its challenge period and every game: it is final and paid."""
    job = state.jobs[claim.job]
    steps = params.law_of(job.job, job.program, job.data).steps
    pay = job.price * _delivered(claim, job.interval) // steps - job.price * claim.first // steps
    books = ledger.pay(state.ledger, job.escrow, job.solver, pay, "claim final")
    # While the window was full the solver could not claim: its time for the next claim begins again.
    deadline = job.deadline if job.deadline == NEVER else max(job.deadline, state.now + job.terms.claim_period_s)
    job = replace(job, final_to=claim.last, deadline=deadline)
    state = replace(state.with_claim(replace(claim, status=ClaimStatus.FINAL)), ledger=books)
    return settle(tickets.reward(state, job, claim, steps), job.id)
