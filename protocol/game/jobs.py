"""A job from its posting to its settlement: escrow, bids, bonds, and an exit by time from every state."""

from __future__ import annotations

from dataclasses import replace

from protocol.game import ledger, tickets
from protocol.game.ledger import OUTSIDE, Ledger
from protocol.game.messages import NOTHING, AcceptBid, Deposit, Message, PlaceBid, PostJob, Withdraw
from protocol.game.params import MAX_LINKS, Law, Params, require_terms
from protocol.game.rules import Refused, Rule, require
from protocol.game.types import Bid, Claim, ClaimStatus, Game, Job, JobStatus, Stage, State
from protocol.game.whistleblowing import accusations, accuse
from protocol.referee.judge import FAULT_ROOT

NEVER = 2**63 - 1  # the deadline of a job of which every step is claimed


def deposit(state: State, message: Message, body: Deposit, now: int, params: Params) -> State:
    """Money comes in."""
    require(message.job == NOTHING, Rule.SCOPE)
    require(message.sender == params.operator, Rule.OPERATOR_ONLY)
    return replace(state, ledger=ledger.transfer(state.ledger, OUTSIDE, body.account, body.amount, "deposit"))


def withdraw(state: State, message: Message, body: Withdraw, now: int, params: Params) -> State:
    """Money goes out; what a dispute could claim is reserved and not in the account."""
    require(message.job == NOTHING, Rule.SCOPE)
    return replace(state, ledger=ledger.transfer(state.ledger, message.sender, OUTSIDE, body.amount, "withdraw"))


def post_job(state: State, message: Message, body: PostJob, now: int, params: Params) -> State:
    """A job is posted, its price and the fees of its attesters escrowed."""
    require(message.job == NOTHING, Rule.SCOPE)
    require_terms(body.terms)
    law = _law_of(body, params)
    longest = min(law.intervals[1], law.steps)
    require(longest <= body.terms.segment, Rule.TERMS, f"a segment holds no interval of {longest} steps")
    require(
        not body.terms.attesters or claims_at_most(law) <= MAX_LINKS, Rule.TERMS, "more claims than a beacon's links"
    )
    job = Job(
        id=message.id,
        submitter=message.sender,
        terms=body.terms,
        job=body.job,
        program=body.program,
        data=body.data,
        status=JobStatus.POSTED,
        deadline=now + body.terms.bid_period_s,
        tip=law.start,
    )
    books = ledger.reserve(state.ledger, job.escrow, message.sender, body.terms.price)
    return replace(state.with_job(job), ledger=tickets.escrow_fees(books, job))


def claims_at_most(law: Law) -> int:
    """The most claims that a job can have: one an interval, each as short as a bid may name."""
    return -(-law.steps // law.intervals[0])


def _law_of(body: PostJob, params: Params) -> Law:
    try:
        return params.law_of(body.job, body.program, body.data)
    except ValueError as error:
        raise Refused(Rule.JOB_CONTENT, str(error)) from None


def job_of(state: State, message: Message) -> Job:
    """The job that a message names."""
    require(message.job in state.jobs, Rule.JOB_EXISTS)
    return state.jobs[message.job]


def place_bid(state: State, message: Message, body: PlaceBid, now: int, params: Params) -> State:
    """A solver bids and locks its bond."""
    job = job_of(state, message)
    require(job.status is JobStatus.POSTED, Rule.JOB_POSTED)
    require(1 <= body.price <= job.terms.price, Rule.BID_PRICE)
    low, high = params.law_of(job.job, job.program, job.data).intervals
    require(low <= body.interval <= high, Rule.BID_INTERVAL, f"got {body.interval}, want {low} to {high}")
    require(message.sender not in [bid.solver for bid in job.bids], Rule.BID_ONCE)
    require(message.sender != job.submitter, Rule.BID_ONCE)
    books = ledger.reserve(state.ledger, job.bond(message.sender), message.sender, job.terms.solver_bond)
    job = replace(job, bids=(*job.bids, Bid(message.sender, body.price, body.interval)))
    return replace(state.with_job(job), ledger=books)


def accept_bid(state: State, message: Message, body: AcceptBid, now: int, params: Params) -> State:
    """The submitter takes one bid."""
    job = job_of(state, message)
    require(job.status is JobStatus.POSTED, Rule.JOB_POSTED)
    require(message.sender == job.submitter, Rule.SUBMITTER_ONLY)
    bids = [bid for bid in job.bids if bid.solver == body.solver]
    require(bids, Rule.BID_EXISTS)
    return start_job(state, job, bids[0], now)


def start_job(state: State, job: Job, winner: Bid, now: int) -> State:
    """One bid wins; the other bonds and what the winner does not ask for go back."""
    books = ledger.pay(state.ledger, job.escrow, job.submitter, job.terms.price - winner.price, "bid under the price")
    for bid in job.bids:
        if bid != winner:
            books = ledger.close(books, job.bond(bid.solver))
    job = replace(
        job,
        status=JobStatus.RUNNING,
        solver=winner.solver,
        price=winner.price,
        interval=winner.interval,
        deadline=now + job.terms.claim_period_s,
    )
    return replace(state.with_job(job), ledger=books)


def end_bidding(state: State, job: Job, now: int) -> State:
    """The bidding ended by itself: the lowest bid wins, the earlier of equals; without one the job is void."""
    if job.bids:
        return start_job(state, job, min(job.bids, key=lambda bid: bid.price), now)
    books = ledger.close(state.ledger, job.escrow, "refund: no bid")
    return tickets.release(replace(state, ledger=books), replace(job, status=JobStatus.VOID))


def stop_claiming(state: State, job: Job) -> State:
    """The solver let the time for its next claim pass: no more claims; the open ones run on to their end."""
    return settle(state.with_job(replace(job, status=JobStatus.CLOSING, sealed=None)), job.id)


def open_claims(state: State, job: Job) -> list[Claim]:
    """The claims that are not decided, in order."""
    return [state.claims[key] for key in job.claims if state.claims[key].status is ClaimStatus.OPEN]


def may_claim(state: State, job: Job) -> bool:
    """Whether the window of claims that wait for finality has room for one more."""
    return len(open_claims(state, job)) < job.terms.claims_ahead


def settle(state: State, key: bytes) -> State:
    """End a job whose claims are all decided and of which no more will come."""
    job = state.jobs[key]
    steps_left = job.status is JobStatus.CLOSING
    if open_claims(state, job) or (job.status is JobStatus.RUNNING and job.deadline != NEVER):
        return state
    books = state.ledger
    if steps_left:
        books = ledger.pay(books, job.bond(job.solver), job.submitter, job.terms.abandon_fee, "abandoned")
    if job.forfeit:
        books = ledger.slash(books, job.bond(job.solver), None)
    else:
        books = ledger.close(books, job.bond(job.solver))
    books = ledger.close(books, job.escrow, "refund: not delivered")
    faulted = JobStatus.FAULTED if job.tip == FAULT_ROOT else JobStatus.DONE
    status = JobStatus.ABANDONED if steps_left else faulted
    return tickets.release(replace(state, ledger=books), replace(job, status=status))


def refute(state: State, job: Job, refuted: Claim, won: Game, winner: str | None) -> State:
    """A claim was proven wrong: the solver's bond is slashed, all its undecided claims end, the escrow goes back.

    The challengers that stand hold the claim against those who attested it; their bonds and these tickets stay.
    """
    pairs = accusations(state, refuted, won)
    kept = {game.bond for game, _ in pairs}
    books = ledger.slash(state.ledger, job.bond(job.solver), winner)
    books = ledger.close(books, job.escrow, "refund: refuted")
    state = replace(state, ledger=books)
    for claim in open_claims(state, job):
        status = ClaimStatus.REJECTED if claim.id == refuted.id else ClaimStatus.VOID
        state = _end_claim(state, replace(claim, status=status), kept)
    if won.bond not in kept and state.ledger.reserved[won.bond].open:
        state = replace(state, ledger=ledger.close(state.ledger, won.bond))
    job = replace(job, status=JobStatus.REFUTED, sealed=None)
    return accuse(tickets.release(state, job, frozenset(who for _, who in pairs)), job, pairs)


def _end_claim(state: State, claim: Claim, kept: set[str]) -> State:
    """The games and commitments against a claim that ended are void, and their bonds go back."""
    books: Ledger = state.ledger
    for sealed in claim.sealed:
        books = ledger.close(books, sealed.key)
    for key in claim.games:
        game = state.games[key]
        if game.open:
            books = books if game.bond in kept else ledger.close(books, game.bond)
            state = state.with_game(replace(game, stage=Stage.VOID, reason="the claim ended"))
    return replace(state.with_claim(replace(claim, sealed=())), ledger=books)
