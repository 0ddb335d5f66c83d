"""The honest solver: bids, claims what its run gave, and answers every challenge."""

from __future__ import annotations

from pathlib import Path

from protocol.game.claims import may_show
from protocol.game.fields import MAX_HASHES
from protocol.game.jobs import NEVER, may_claim
from protocol.game.messages import CommitClaim, PlaceBid, RevealClaim, claim_seal
from protocol.game.params import Law
from protocol.game.types import Job, JobStatus
from protocol.identity import Identity
from protocol.players.attester import roots_of
from protocol.players.player import Player
from protocol.players.trace import ProgramTrace, Trace
from protocol.referee.judge import FAULT_ROOT
from protocol.service.coordinator import Coordinator
from protocol.service.receipts import Receipt


class Solver(Player):
    """Bids for the jobs that its trace is of (at `price`, or at the posted price) and sees them through."""

    def __init__(
        self,
        identity: Identity,
        coordinator: Coordinator,
        job_folder: str | Path | None = None,
        run_folder: str | Path | None = None,
        *,
        backend: str = "native",
        threads: int = 1,
        price: int | None = None,
        trace: Trace | None = None,
    ) -> None:
        if trace is None:
            if job_folder is None:
                raise ValueError("solver: got neither a job folder nor a trace")
            trace = ProgramTrace(job_folder, run_folder, backend, threads)
        super().__init__(identity, coordinator, trace)
        self.price = price

    def next_messages(self) -> list[Receipt]:
        """A bid, a commitment, a reveal or an answer: whatever comes next."""
        receipts = []
        for job in self.own_jobs():
            receipts += self._on_job(job)
        return receipts + self.answer_games()

    def _on_job(self, job: Job) -> list[Receipt]:
        if job.status is JobStatus.POSTED:
            return self._bid(job)
        if job.status is not JobStatus.RUNNING or job.solver != self.address:
            return []
        if job.sealed is not None:
            if not may_show(job.sealed, self.coordinator.now):
                return []
            return self._reveal(job, job.sealed.first, job.sealed.last)
        return self._commit(job, self.coordinator.params.law_of(job.job, job.program, job.data))

    def _bid(self, job: Job) -> list[Receipt]:
        price = job.terms.price if self.price is None else self.price
        known = self.address in [bid.solver for bid in job.bids]
        if known or price > job.terms.price or self.coordinator.balance(self.address) < job.terms.solver_bond:
            return []
        if not self.has_time(job.terms):
            return []
        return [self.send(PlaceBid(price, self.trace.own_interval()), job.id)]

    def _commit(self, job: Job, law: Law) -> list[Receipt]:
        if job.deadline == NEVER or not may_claim(self.coordinator.state, job):
            return []
        first, last = job.claimed_to, self._segment_end(job, law)
        done = self.trace.last_step()
        if done < last and self.coordinator.now >= job.deadline - job.terms.claim_period_s // 2:
            # Time presses: what is done is claimed before the time for the next claim runs out.
            last = done // job.interval * job.interval
        if last <= first or done < last:
            return []
        roots = self._roots(job, first, last)
        if FAULT_ROOT in roots[:-1]:
            # The program has no value on the way: the claim ends there, and the job with it.
            last = min(first + roots.index(FAULT_ROOT) * job.interval, last)
            roots = self._roots(job, first, last)
        seal = claim_seal(self.address, job.id, first, last, roots, self._salt(job, first))
        return [self.send(CommitClaim(first, last, seal), job.id)]

    def _segment_end(self, job: Job, law: Law) -> int:
        """As far as one claim may go: a segment, in whole intervals that one message shows, or to the last step."""
        longest = min(job.terms.segment, (MAX_HASHES - 1) * job.interval)
        last = min(job.claimed_to + longest, law.steps)
        return last if last == law.steps else last // job.interval * job.interval

    def _roots(self, job: Job, first: int, last: int) -> tuple[bytes, ...]:
        return roots_of(self.trace, job.interval, first, last)

    def _salt(self, job: Job, first: int) -> bytes:
        return self.salt(b"claim", job.id, first)

    def _reveal(self, job: Job, first: int, last: int) -> list[Receipt]:
        return [self.send(RevealClaim(self._roots(job, first, last), self._salt(job, first)), job.id)]
