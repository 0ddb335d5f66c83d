"""Disputes played on this machine: between any players on a coordinator, or between two run folders of one job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

from engine.job import JobFolder, open_job
from protocol.game.ledger import OUTSIDE
from protocol.game.messages import Deposit, Open, PostJob
from protocol.game.params import Params, Terms
from protocol.game.transition import next_event
from protocol.game.types import ClaimStatus, State
from protocol.identity import Identity
from protocol.law import law_of
from protocol.players.dishonest import ForgingSolver, ForgingVerifier
from protocol.players.player import Player
from protocol.players.solver import Solver
from protocol.players.trace import Alter, ProgramTrace
from protocol.players.verifier import Verifier
from protocol.service.coordinator import Coordinator
from protocol.transcript import Sent, Transcript, game_transcript

MAX_TURNS = 10_000
FUNDS = 1_000_000
Clock = Callable[[], int]


def local_terms(steps: int, arity: int = 16) -> Terms:
    """Terms for a dispute on one machine: one claim for all steps, short periods."""
    return Terms(
        price=100_000,
        solver_bond=50_000,
        challenge_bond=10_000,
        challenge_bond_rise=1_000,
        abandon_fee=1_000,
        segment=steps,
        claims_ahead=1,
        arity=arity,
        bid_period_s=60,
        claim_period_s=86_400,
        reveal_period_s=600,
        challenge_period_s=3_600,
        clock_s=3_600,
        move_period_s=1_800,
        level_extension_s=1_800,
    )


def simulated_clock(start: int = 0, tick: int = 1) -> Clock:
    """A clock that goes on by one tick whenever it is read: no time is waited for."""
    ticks = count(start + tick, tick)
    return lambda: next(ticks)


def play_dispute(
    coordinator: Coordinator, players: Sequence[Player], clock: Clock, names: Mapping[str, str] | None = None
) -> Transcript:
    """Let the players act in turn until no game and no claim is open and nobody has more to say; then what happened.

    Where nobody moves, time goes on to the next moment at which it changes something: silence loses, a claim that
    stands becomes final and is paid.

    names: address -> who it is, for the transcript
    """
    before, seen = _worth(coordinator.state), [len(player.sent) for player in players]
    sent: list[tuple[Sent, Player, int]] = []
    for _ in range(MAX_TURNS):
        acted = False
        for place, player in enumerate(players):
            now = max(clock(), coordinator.now)
            acted |= bool(player.act(now))
            for number in range(seen[place], len(player.sent)):
                signed = player.sent[number]
                line = Sent(player.address, signed.message.kind, len(signed.to_bytes()), now)
                sent.append((line, player, number))
            seen[place] = len(player.sent)
        if not acted and not _wait(coordinator):
            return _transcript(coordinator, sent, before, names or {})
    raise ValueError(f"dispute: still open after {MAX_TURNS} turns")


def _wait(coordinator: Coordinator) -> bool:
    """Go on to the next moment at which time alone changes something, while a game or a claim is open."""
    state = coordinator.state
    when = next_event(state, coordinator.params)
    undecided = any(game.open for game in state.games.values())
    undecided |= any(claim.status is ClaimStatus.OPEN for claim in state.claims.values())
    if when is None or not undecided:
        return False
    coordinator.advance(max(when, coordinator.now))
    return True


def _worth(state: State) -> dict[str, int]:
    accounts = {*state.ledger.balances, *(held.owner for held in state.ledger.reserved.values())} - {OUTSIDE}
    return {account: state.ledger.balance(account) + state.ledger.locked(account) for account in sorted(accounts)}


def _transcript(
    coordinator: Coordinator, sent: list[tuple[Sent, Player, int]], before: dict[str, int], names: Mapping[str, str]
) -> Transcript:
    state, openings = coordinator.state, {}
    for _, player, number in sent:
        message = player.sent[number].message
        if isinstance(message.body, Open):
            openings[message.game] = len(message.body.witness)
    params, games = coordinator.params, state.games.values()
    worth = _worth(state)
    accounts = [*names, *(account for account in worth if account not in names)]
    changes = {account: worth.get(account, 0) - before.get(account, 0) for account in accounts}
    return Transcript(
        messages=tuple(line for line, _, _ in sent),
        games=tuple(game_transcript(state, game, params, openings.get(game.id, 0)) for game in games),
        claims={claim.id.hex(): claim.status.value for claim in state.claims.values()},
        payouts={account: change for account, change in changes.items() if change or account in names},
        names=dict(names),
    )


def local_dispute(
    job_folder: JobFolder | str | Path,
    run_a: str | Path,
    run_b: str | Path,
    *,
    backend: str = "native",
    threads: int = 1,
    arity: int = 16,
    alter_a: Alter | None = None,
    alter_b: Alter | None = None,
) -> Transcript:
    """Run a is claimed, run b objects; both answer by running their steps again, and one verdict comes out.

    alter_a, alter_b: what a run's execution altered, for runs known to be dishonest. A run that cannot be run again to
    its own roots has no answer and loses by silence.
    """
    job = job_folder if isinstance(job_folder, JobFolder) else open_job(job_folder, backend, threads)
    operator, submitter, solver, verifier = (Identity.create() for _ in range(4))
    params = Params("isobit local", operator.address, law_of)
    coordinator, clock = Coordinator("sqlite://", params), simulated_clock()
    traces = [ProgramTrace(job, run, backend, threads, alter) for run, alter in ((run_a, alter_a), (run_b, alter_b))]
    steps = min(trace.last_step() for trace in traces)
    if steps < 1:
        raise ValueError(
            f"dispute: got runs of {[trace.last_step() for trace in traces]} committed steps, want 1 or more"
        )
    bank, sender = Player(operator, coordinator, traces[0]), Player(submitter, coordinator, traces[0])
    for identity in (submitter, solver, verifier):
        bank.send(Deposit(identity.address, FUNDS))
    terms = local_terms(steps, arity)
    sender.send(PostJob(terms, traces[0].job, traces[0].program_bytes, traces[0].data_bytes))
    kinds = ForgingSolver if alter_a else Solver, ForgingVerifier if alter_b else Verifier
    players = [kinds[0](solver, coordinator, trace=traces[0]), kinds[1](verifier, coordinator, trace=traces[1])]
    players[0].act(clock())
    coordinator.advance(coordinator.now + terms.bid_period_s)
    names = {submitter.address: "submitter", solver.address: "solver", verifier.address: "verifier"}
    return play_dispute(coordinator, players, simulated_clock(coordinator.now), names)
