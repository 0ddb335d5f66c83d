"""Questions about any operator on arrays, asked of the referee through a player's own tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kernels.backends import load
from kernels.types import type_of
from protocol.players.tensors import Own, Tensor, chosen
from protocol.referee.geometry import copy_source
from protocol.referee.judge import LEAF_KINDS, answer, judge, judge_bytes
from protocol.referee.outcome import Burden, Outcome, Sum, Verdict
from protocol.referee.question import ITEM_BYTES, Operand, Question
from protocol.referee.sums import rounded, term, terms_of

SPEC = load("spec")
SCALED = {"sum": (0,), "cumsum": (0,), "add_rows": (2,), "scatter_add": (2,)}
COPIES = ("concat", "pad", "iota")


class Asked:
    """An operator on arrays, with its result by the law, and the referee's view of it."""

    def __init__(self, op: str, inputs: tuple[np.ndarray, ...], attributes: dict[str, Any]) -> None:
        self.op, self.attributes = op, attributes
        self.inputs = [np.ascontiguousarray(array).reshape(array.shape) for array in inputs]
        result = SPEC.run(op, inputs, attributes)
        self.type, self.result = type_of(result), np.ascontiguousarray(result).reshape(-1)
        self.tensors: dict[bytes, Tensor] = {}
        self.operands = tuple(self.operand(array) for array in self.inputs)
        self.scales = tuple(
            replace(self.operand(array), label=("scale", 0, operand))
            for operand, array in zip(self._scaled(), SPEC.group_maxima(op, inputs, attributes), strict=True)
        )
        self.output = self.operand(self.result.reshape(self.type.shape))

    def _scaled(self) -> tuple[int, ...]:
        if not any(array.dtype == np.float32 for array in self.inputs):
            return ()
        return SCALED.get(self.op, (0, 1) if LEAF_KINDS.get(self.op) == "sum" else ())

    def operand(self, array: np.ndarray) -> Operand:
        tensor, type_ = Tensor(array, "portable"), type_of(array)
        self.tensors[tensor.tree.root if array.size else b"empty"] = tensor
        return Operand("tensor", type_.dtype, type_.shape, anchor=tensor.tree.root if array.size else b"empty")

    def source(self, operand: Operand) -> Tensor:
        return self.tensors[operand.anchor]

    def truth(self, element: int) -> int:
        item = ITEM_BYTES[self.type.dtype]
        return int.from_bytes(self.result.tobytes()[element * item : (element + 1) * item], "little")

    def question(self, element: int, claims: tuple[int, int], **changes: Any) -> Question:
        op, attributes, operands = self.op, dict(self.attributes), self.operands
        if op in COPIES:
            which, at = copy_source(
                op, element, tuple(operand.shape for operand in operands), self.type.shape, attributes
            )
            number = Operand("number", self.type.dtype, (), bits=at)
            op, attributes, operands = "copy", {"at": at}, (operands[which] if which >= 0 else number,)
        base = Question(
            "open",
            op,
            attributes,
            self.type.dtype,
            self.type.shape,
            element,
            operands,
            self.scales,
            self.output,
            claims,
        )
        return base.asked(**changes)

    def witness(self, question: Question) -> bytes:
        choice = chosen(question, self.source) if question.phase == "prove" else 0
        assert choice is not None, "an honest side has what it must show"
        read = Own(self.source, lambda operand: (b"", ()), choice)
        answer(question, read)
        return read.witness()

    def judged(self, question: Question) -> Outcome:
        """The outcome by the witness alone, the same from bytes as from objects."""
        witness = self.witness(question)
        outcome = judge(question, witness)
        assert judge_bytes(question.to_bytes(), witness) == outcome
        assert len(witness) < 20_000
        return outcome

    def decide(self, element: int, lie: int, liar: int) -> Verdict:
        """Play an element to its verdict: the honest side claims the truth, the liar something else."""
        truth = self.truth(element)
        claims = (lie, truth) if liar == 0 else (truth, lie)
        question = self.question(element, claims)
        outcome = self.judged(question)
        if isinstance(outcome, Burden):
            if outcome.side == liar:
                return Verdict((liar == 0, liar == 1))  # it has nothing to show, and time runs out
            outcome = self.judged(question.asked(phase="prove", prover=outcome.side))
        if isinstance(outcome, Sum):
            outcome = self._terms(question.asked(facts=outcome.facts), outcome, truth, liar)
        assert isinstance(outcome, Verdict)
        return outcome

    def _terms(self, question: Question, asked: Sum, truth: int, liar: int) -> Outcome:
        """Every term is the law's; they add up to what rounds to the truth; a liar bends one."""
        read = Own(self.source, lambda operand: (b"", ()), recording=False)
        assert terms_of(question) == asked.terms
        terms = [term(question, number, read) for number in range(asked.terms)]
        assert rounded(question, sum(terms)) == truth, (self.op, question.element)
        number = question.element % asked.terms
        claims = (terms[number] + 1, terms[number]) if liar == 0 else (terms[number], terms[number] + 1)
        return self.judged(question.asked(phase="term", term=number, claims=claims))
