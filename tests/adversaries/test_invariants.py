"""The invariants of the game after every message of a random play: honest parties among liars, strangers and time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.canonical import to_canonical
from protocol.game.messages import (
    NOTHING,
    AcceptBid,
    AnchorBeacon,
    Body,
    CommitAttestation,
    CommitChallenge,
    CommitClaim,
    Deposit,
    DrawAttesters,
    Enter,
    Open,
    PlaceBid,
    Register,
    RevealAttestation,
    RevealChallenge,
    RevealClaim,
    Row,
    Show,
    Unregister,
    Withdraw,
)
from protocol.game.rules import Refused, Rule
from protocol.game.transition import advance, apply
from protocol.game.types import ClaimStatus, JobStatus, first_state, state_hash
from protocol.identity import Identity, signed_from_bytes
from protocol.players.attester import roots_of
from protocol.players.player import Player
from protocol.simulation.tactics import TACTICS, Tactic, with_tactic
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, SOLVER, SUBMITTER, TERMS, THIRD, VERIFIER, ToyLaw, ToyTrace, digest

LAWS = (ToyLaw(6, 3, 5), ToyLaw(4, 1, 9), ToyLaw(5, 5, 2), ToyLaw(6, 3, 4, is_open=True))
HASHES = st.sampled_from([NOTHING, digest(b"a"), digest(b"b")])
NUMBERS = st.sampled_from([0, 1, 2, 5, 300, 2**32, 2**63 - 1])
ROWS = st.lists(HASHES, max_size=5).map(tuple)
LIARS = (OTHER, THIRD)
STRANGER = Identity.of_key(bytes([9] * 32))
END = {JobStatus.DONE, JobStatus.ABANDONED, JobStatus.REFUTED, JobStatus.VOID}


# With and without attesters. An honest party acts before the shortest period is over.
ATTESTERS = st.sampled_from(
    [{}, {"attesters": 2, "attestation_fee": 7, "attester_bond": 103, "attestation_period_s": 60}]
)
LIES = st.tuples(st.sampled_from(LAWS), st.integers(0, 5), st.integers(0, 8))


def lying(law: ToyLaw, step: int, entry: int) -> ToyTrace:
    """A run that goes wrong at one entry, and is consistent from there on."""
    place = step % law.steps, entry % law.entries
    return ToyTrace(law, {place: digest(b"lie", *place)})


class Play(RuleBasedStateMachine):
    """One honest solver and one honest verifier, who act before time passes a move period; two liars; a stranger."""

    @initialize()
    def start(self) -> None:
        self.scene = Scene()
        self.ended: dict[bytes, object] = {}
        self.scene.deposit(SUBMITTER, 50_000)
        self.honest: list[Player] = [self.scene.verifier(ToyTrace(law)) for law in LAWS]
        self.liars: list[Player] = []
        self.operator = self.scene.operator()

    @rule(
        law=st.sampled_from(LAWS),
        arity=st.sampled_from([2, 4, 16]),
        segment=st.sampled_from([3, 5, 100]),
        every=st.integers(1, 3),
        slots=ATTESTERS,
    )
    def honest_job(self, law: ToyLaw, arity: int, segment: int, every: int, slots: dict[str, int]) -> None:
        """A job that the honest solver wins, the bidding left to time or cut short."""
        if self.scene.balance(SUBMITTER) >= TERMS.price + 14 and self.scene.balance(SOLVER) >= TERMS.solver_bond:
            self.scene.post(law, replace(TERMS, arity=arity, segment=max(segment, law.interval), **slots))
            self.honest.append(self.scene.solver(ToyTrace(law, interval=every if law.is_open else 0)))
            self.honest_acts()

    @rule(
        lie=LIES,
        arity=st.sampled_from([2, 4, 16]),
        who=st.sampled_from(LIARS),
        tactic=st.sampled_from(TACTICS),
        slots=ATTESTERS,
    )
    def dishonest_job(
        self, lie: tuple[ToyLaw, int, int], arity: int, who: Identity, tactic: type[Tactic], slots: dict[str, int]
    ) -> None:
        """A job that a liar wins and claims at once."""
        trace, funds = lying(*lie), self.scene.balance(who)
        if self.scene.balance(SUBMITTER) >= TERMS.price + 14 and funds >= TERMS.solver_bond:
            job = self.scene.post(trace.law, replace(TERMS, arity=arity, **slots))
            if slots:
                # Another liar has the same run: it attests the wrong claim, and is accused when the claim falls.
                self.liars.append(self.scene.verifier(trace, LIARS[who is LIARS[0]]))
                self.operator.act(self.scene.now)
                self.liar_acts(-1)
            self.scene.send(who, PlaceBid(TERMS.price, trace.own_interval()), job)
            self.scene.send(SUBMITTER, AcceptBid(who.address), job)
            self.liars.append(with_tactic(self.scene.solver(trace, who), tactic()))
            self.liar_acts(-1)

    @rule(lie=LIES, who=st.sampled_from(LIARS), tactic=st.sampled_from(TACTICS))
    def liar_objects(self, lie: tuple[ToyLaw, int, int], who: Identity, tactic: type[Tactic]) -> None:
        """A liar challenges every claim that differs from its own wrong run."""
        self.liars.append(with_tactic(self.scene.verifier(lying(*lie), who), tactic()))
        self.liar_acts(-1)

    @rule(place=st.integers(0, 50))
    @precondition(lambda self: bool(self.liars))
    def liar_acts(self, place: int) -> None:
        try:
            self.liars[place % len(self.liars)].act(self.scene.now)
        except Refused:
            pass

    @rule()
    def honest_acts(self) -> None:
        # The operator moves last: a pool is open until somebody commits a claim.
        for player in (*self.honest, self.operator):
            player.act(self.scene.now)
        for player in self.honest:
            player.act(self.scene.now)

    @rule(seconds=st.integers(1, TERMS.move_period_s - 1))
    def time_passes(self, seconds: int) -> None:
        self.honest_acts()
        for place in range(len(self.liars)):
            self.liar_acts(place)
        self.honest_acts()
        # A reveal has a period of its own, shorter than a move's.
        self.scene.after(min(seconds, TERMS.reveal_period_s - 1))
        self.honest_acts()

    @rule(data=st.data(), who=st.sampled_from([*LIARS, STRANGER, SUBMITTER]))
    def stranger_sends(self, data: st.DataObject, who: Identity) -> None:
        """Any message about any job and game, from anyone who is not the honest solver or verifier."""
        state = self.scene.state
        body = data.draw(bodies([*state.claims, NOTHING]))
        game = data.draw(st.sampled_from([*state.games, NOTHING]))
        job = data.draw(st.sampled_from([*state.jobs, NOTHING]))
        if isinstance(body, Enter | Row | Open) and game in state.games:
            job = state.games[game].job
        try:
            self.scene.send(who, body, job, game)
        except Refused:
            assert self.scene.state is state

    @rule(place=st.integers(0, 100))
    @precondition(lambda self: any(player.sent for player in self.honest))
    def a_message_comes_again(self, place: int) -> None:
        sent = [signed for player in self.honest for signed in player.sent]
        before = self.scene.coordinator.state
        self.scene.coordinator.submit(sent[place % len(sent)])
        assert self.scene.coordinator.state is before

    @rule(seconds=st.integers(1, 1000))
    def time_does_not_go_back(self, seconds: int) -> None:
        try:
            advance(self.scene.state, self.scene.now - seconds, self.scene.params)
        except Refused as refused:
            assert refused.rule is Rule.TIME_FORWARD

    @invariant()
    def money_is_constant_and_nothing_is_negative(self) -> None:
        ledger = self.scene.coordinator.ledger
        assert ledger.total == 10**9
        assert all(balance >= 0 for balance in ledger.balances.values())
        assert all(held.amount >= 0 and (held.open or held.amount == 0) for held in ledger.reserved.values())

    @invariant()
    def ends_are_final(self) -> None:
        state = self.scene.state
        for items, ends in ((state.jobs, END), (state.claims, set(ClaimStatus) - {ClaimStatus.OPEN})):
            for key, item in items.items():
                assert self.ended.get(key, item.status) is item.status
                if item.status in ends:
                    self.ended[key] = item.status

    @invariant()
    def every_other_state_is_left_by_time_alone(self) -> None:
        state = self.scene.state
        later = advance(state, state.now + 10**6, self.scene.params)
        assert all(job.status in END for job in later.jobs.values())
        assert not any(held.open for held in later.ledger.reserved.values())
        assert not any(game.open for game in later.games.values())

    @invariant()
    def no_honest_party_is_named(self) -> None:
        for game in self.scene.state.games.values():
            for side, wrong in zip(game.sides, game.wrong, strict=True):
                assert not (wrong and side.party in (SOLVER.address, VERIFIER.address))

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        for _ in range(400):
            self.time_passes(TERMS.move_period_s - 1)
            if all(job.status in END for job in self.scene.state.jobs.values()):
                break
        else:
            raise AssertionError("a job did not end")
        assert self.scene.gain(SOLVER) >= 0 and self.scene.gain(VERIFIER) >= 0
        self.wrong_claims_were_refuted()
        self.the_log_gives_the_same_state()

    def wrong_claims_were_refuted(self) -> None:
        """A1: with an honest verifier at work, every final claim is right."""
        state = self.scene.state
        for claim in state.claims.values():
            if claim.status is ClaimStatus.FINAL:
                job = state.jobs[claim.job]
                trace = ToyTrace(next(law for law in LAWS if law.job == job.job))
                assert claim.roots == roots_of(trace, job.interval, claim.first, claim.last)

    def the_log_gives_the_same_state(self) -> None:
        params, state = self.scene.params, first_state(self.scene.params)
        for line in self.scene.coordinator._database.records():
            state = advance(state, line.now, params)
            if line.record:
                state = apply(state, signed_from_bytes(line.record).message, line.now, params)
        state = advance(state, self.scene.now, params)
        live = self.scene.state
        assert state_hash(replace(state, ledger=replace(state.ledger, journal=()))) == state_hash(
            replace(live, ledger=replace(live.ledger, journal=()))
        )


def bodies(claims: list[bytes]) -> st.SearchStrategy[Body]:
    """Messages of every kind with values that are mostly wrong."""
    claim = st.sampled_from(claims)
    address = st.sampled_from([SOLVER.address, VERIFIER.address, OTHER.address, THIRD.address])
    witness = st.binary(max_size=8) | st.tuples(HASHES, ROWS.map(list)).map(lambda pair: to_canonical(list(pair)))
    return st.one_of(
        st.builds(Deposit, address, NUMBERS),
        st.builds(Withdraw, NUMBERS),
        st.builds(PlaceBid, NUMBERS, NUMBERS),
        st.builds(AcceptBid, address),
        st.builds(CommitClaim, NUMBERS, NUMBERS, HASHES),
        st.builds(RevealClaim, ROWS, HASHES),
        st.builds(CommitChallenge, claim, HASHES),
        st.builds(RevealChallenge, claim, NUMBERS, HASHES, HASHES),
        st.builds(Enter, HASHES, HASHES, HASHES, ROWS, ROWS, ROWS, ROWS),
        st.builds(Register),
        st.builds(Unregister, NUMBERS),
        st.builds(AnchorBeacon, HASHES),
        st.builds(DrawAttesters, HASHES),
        st.builds(CommitAttestation, NUMBERS, HASHES),
        st.builds(RevealAttestation, claim, HASHES, HASHES),
        st.builds(Row, address, ROWS),
        st.builds(Show, address, st.binary(max_size=48)),
        st.builds(Open, address, witness),
    )


TestPlay = Play.TestCase
TestPlay.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
