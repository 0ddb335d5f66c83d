"""What a player's trace says about one place: the terms of its sum, and the witness that the referee reads."""

from __future__ import annotations

from protocol.game.rows import Tree
from protocol.players.tensors import Own, Tensor, chosen
from protocol.players.trace import Trace
from protocol.referee.judge import FAULT_ROOT, answer
from protocol.referee.openings import Refusal
from protocol.referee.question import Operand, Question
from protocol.referee.sums import term, terms_of


class Answers:
    """The answers about one entry of one step. tree: over the step's entries."""

    def __init__(self, trace: Trace, step: int, entry: int, tree: Tree) -> None:
        self._trace, self._step, self._entry, self._tree = trace, step, entry, tree

    def _source(self, operand: Operand) -> Tensor:
        return self._trace.tensor(self._step, self._entry, operand)

    def _named(self, operand: Operand) -> tuple[bytes, tuple[bytes, ...]]:
        """The root of an entry or slot, and the proof of the leaf that names it."""
        if operand.kind == "slot":
            return self._source(operand).tree.root, self._trace.slot_proof(self._step, operand)
        return self._trace.entry_roots(self._step)[operand.index], self._tree.proof(operand.index)

    def terms(self, question: Question) -> list[int]:
        """All terms of the disputed element."""
        read = Own(self._source, self._named, recording=False)
        return [term(question, number, read) for number in range(terms_of(question))]

    def witness(self, question: Question) -> bytes | None:
        """The openings that the referee will read; none where the own trace has nothing to show."""
        choice = self._choice(question)
        if choice is None:
            return None
        read = Own(self._source, self._named, choice)
        try:
            answer(question, read)
        except Refusal:
            return None
        return read.witness()

    def _choice(self, question: Question) -> int | None:
        if question.phase == "prove":
            return chosen(question, self._source)
        return self._faulting() if question.phase == "fault" else 0

    def _faulting(self) -> int | None:
        """The place of what the law forbids, in the operand that holds it; -1 where what stands before has no value."""
        roots = self._trace.entry_roots(self._step)
        before = roots[self._entry - 1] if self._entry else self._trace.state_root(self._step)
        if before == FAULT_ROOT:
            return -1
        fault = self._trace.fault(self._step)
        if fault is None or fault[0] != self._entry:
            return None
        return fault[1]
