"""The game as one function: (state, message, now, params) -> state. Time alone is a transition too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from protocol.game import attestation, claims, dispute, jobs, messages, verdict
from protocol.game.messages import NOTHING, Message
from protocol.game.params import Params
from protocol.game.rules import Rule, require
from protocol.game.types import Claim, JobStatus, State

Handler = Callable[[State, Message, Any, int, Params], State]
HANDLERS: dict[type[Any], Handler] = {
    messages.Deposit: jobs.deposit,
    messages.Withdraw: jobs.withdraw,
    messages.PostJob: jobs.post_job,
    messages.PlaceBid: jobs.place_bid,
    messages.AcceptBid: jobs.accept_bid,
    messages.CommitClaim: claims.commit_claim,
    messages.RevealClaim: claims.reveal_claim,
    messages.CommitChallenge: claims.commit_challenge,
    messages.RevealChallenge: claims.reveal_challenge,
    messages.Register: attestation.register,
    messages.Unregister: attestation.unregister,
    messages.AnchorBeacon: attestation.anchor_beacon,
    messages.DrawAttesters: attestation.draw_attesters,
    messages.CommitAttestation: attestation.commit_attestation,
    messages.RevealAttestation: attestation.reveal_attestation,
    messages.Enter: dispute.enter,
    messages.Row: dispute.row,
    messages.Show: dispute.show,
    messages.Open: dispute.open_place,
}
GAME_MOVES = (messages.Enter, messages.Row, messages.Show, messages.Open)
# (when, order among what is due at once, which, effect)
Event = tuple[int, int, bytes, Callable[[State], State]]


def apply(state: State, message: Message, now: int, params: Params) -> State:
    """The state after a message that arrived now; Refused where a rule forbids it, and then nothing changed."""
    state = advance(state, now, params)
    require(now <= message.deadline, Rule.MESSAGE_DEADLINE)
    require(message.move == state.next_move(message.sender, message.game), Rule.MOVE_NUMBER)
    require((message.game != NOTHING) == isinstance(message.body, GAME_MOVES), Rule.SCOPE)
    state = HANDLERS[type(message.body)](state, message, message.body, now, params)
    return replace(state, moves={**state.moves, (message.sender, message.game): message.move + 1})


def advance(state: State, now: int, params: Params) -> State:
    """The state after time alone passed: everything that fell due, in the order in which it did."""
    require(type(now) is int and now >= state.now, Rule.TIME_FORWARD)
    state = replace(state, ledger=replace(state.ledger, journal=()))
    while due := [event for event in _events(state, params) if event[0] <= now]:
        when, _, _, effect = min(due, key=lambda event: event[:3])
        state = effect(replace(state, now=max(state.now, when)))
    return replace(state, now=now)


def next_event(state: State, params: Params) -> int | None:
    """When time alone changes the state next; None where nothing waits for time."""
    return min((event[0] for event in _events(state, params)), default=None)


def _events(state: State, params: Params) -> Iterator[Event]:
    """What time will do if nobody moves. Games come before commitments, these before claims, these before jobs."""
    for job in state.jobs.values():
        if job.status in (JobStatus.POSTED, JobStatus.RUNNING, JobStatus.CLOSING):
            yield from _job_events(state, job.id, params)
        elif job.status is JobStatus.REFUTED and job.terms.attesters:
            for key in job.claims:
                yield from _game_events(state, state.claims[key])


def _job_events(state: State, key: bytes, params: Params) -> Iterator[Event]:
    job = state.jobs[key]
    if job.status is JobStatus.POSTED:
        yield job.deadline, 4, key, partial(jobs.end_bidding, job=job, now=job.deadline)
    elif job.status is JobStatus.RUNNING and job.deadline != jobs.NEVER:
        if jobs.may_claim(state, job) and not (job.sealed is not None and job.terms.attesters):
            yield job.deadline, 4, key, partial(jobs.stop_claiming, job=job)
        if job.sealed is not None:
            yield job.sealed.deadline, 3, key, partial(claims.drop_claim_seal, job=job)
            if any(slot.seal is None for slot in job.sealed.slots):
                yield job.sealed.opens, 2, key, partial(attestation.drop_uncommitted, job=job)
    for claim in jobs.open_claims(state, job):
        yield from _claim_events(state, claim, params)


def _claim_events(state: State, claim: Claim, params: Params) -> Iterator[Event]:
    yield from _game_events(state, claim)
    if any(slot.attested is None for slot in claim.slots):
        yield claim.attested_by, 1, claim.id, partial(attestation.drop_unrevealed, claim=claim)
    for sealed in claim.sealed:
        effect = partial(claims.drop_challenge_seal, claim=claim, sealed=sealed)
        yield sealed.deadline, 1, claim.id + sealed.key.encode(), effect
    if claims.is_ripe(state, state.jobs[claim.job], claim):
        yield claim.ends, 2, claim.id, partial(claims.finish_claim, claim=claim, params=params)


def _game_events(state: State, claim: Claim) -> Iterator[Event]:
    for game in (state.games[key] for key in claim.games):
        dues = [due for side in game.sides if (due := side.due(state.jobs[game.job].terms)) is not None]
        if game.open and dues:
            first = min(dues)
            yield first, 0, game.id, partial(verdict.time_out, game=game, due=first)
