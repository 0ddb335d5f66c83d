"""The honest verifier: runs claims again, attests those it is drawn for, challenges the first wrong interval."""

from __future__ import annotations

from pathlib import Path

from kernels.backends import NAMES
from protocol.game.claims import challenge_bond, is_attested
from protocol.game.messages import CommitChallenge, RevealChallenge, challenge_seal
from protocol.game.types import Claim, ClaimStatus, Job
from protocol.identity import Identity
from protocol.players.attester import Attester
from protocol.players.trace import ProgramTrace, Trace
from protocol.service.coordinator import Coordinator
from protocol.service.receipts import Receipt


class Verifier(Attester):
    """Checks every open claim of the jobs that its trace is of.

    run_folder_or_backend: its own run of the job, or the backend on which it runs the job from the start
    """

    def __init__(
        self,
        identity: Identity,
        coordinator: Coordinator,
        job_folder: str | Path | None = None,
        run_folder_or_backend: str | Path = "native",
        *,
        backend: str = "native",
        threads: int = 1,
        trace: Trace | None = None,
    ) -> None:
        if trace is None:
            if job_folder is None:
                raise ValueError("verifier: got neither a job folder nor a trace")
            trace = _trace(job_folder, run_folder_or_backend, backend, threads)
        super().__init__(identity, coordinator, trace)

    def next_messages(self) -> list[Receipt]:
        """A ticket, a commitment, a reveal or an answer: whatever comes next."""
        receipts = []
        for job in self.own_jobs():
            receipts += self.attest(job)
            for key in job.claims:
                claim = self.coordinator.state.claims[key]
                if claim.status is ClaimStatus.OPEN and claim.solver != self.address:
                    receipts += self._on_claim(job, claim)
        return receipts + self.answer_games()

    def _on_claim(self, job: Job, claim: Claim) -> list[Receipt]:
        games = [self.coordinator.state.games[key] for key in claim.games]
        if any(game.sides[1].party == self.address for game in games):
            return []
        objection = self.objection(claim, job.interval)
        if objection is None:
            return []
        index, root = objection
        salt = self.salt(b"challenge", claim.id, index)
        if any(sealed.sender == self.address for sealed in claim.sealed):
            if not is_attested(claim, self.coordinator.now):
                return []
            return [self.send(RevealChallenge(claim.id, index, root, salt), job.id)]
        return self._commit(job, claim, index, root, salt)

    def _commit(self, job: Job, claim: Claim, index: int, root: bytes, salt: bytes) -> list[Receipt]:
        affordable = self.coordinator.balance(self.address) >= challenge_bond(self.coordinator.state, job, claim)
        if self.coordinator.now >= claim.ends or not affordable or not self.has_time(job.terms):
            return []
        seal = challenge_seal(self.address, claim.id, index, root, salt)
        return [self.send(CommitChallenge(claim.id, seal), job.id)]

    def objection(self, claim: Claim, interval: int) -> tuple[int, bytes] | None:
        """The first interval that goes from a right root to a wrong one, and the right root after it."""
        if claim.roots[0] != self.trace.state_root(claim.first):
            return None
        for index, claimed in enumerate(claim.roots[1:]):
            step = min(claim.first + (index + 1) * interval, claim.last)
            if step > self.trace.last_step():
                return None
            if claimed != (root := self.trace.state_root(step)):
                return index, root
        return None


def _trace(job_folder: str | Path, run_folder_or_backend: str | Path, backend: str, threads: int) -> ProgramTrace:
    if str(run_folder_or_backend) in NAMES:
        return ProgramTrace(job_folder, None, str(run_folder_or_backend), threads)
    return ProgramTrace(job_folder, run_folder_or_backend, backend, threads)
