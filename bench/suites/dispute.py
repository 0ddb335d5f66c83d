"""What a dispute takes: the referee's time for every kind of place of a GPT step, and disputes about long runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial

import numpy as np

from bench.case import Case, Competitors
from bench.long_dispute import LongTrace, dispute, long_job, stored
from bench.suites.step import MODELS, traced
from kernels.exact.functions import BITS
from protocol.game.params import Point
from protocol.game.rows import Tree
from protocol.players.answers import Answers
from protocol.players.tensors import Own, Tensor
from protocol.referee.judge import answer, judge_bytes
from protocol.referee.openings import Refusal
from protocol.referee.outcome import Burden, Sum
from protocol.referee.question import ITEM_BYTES, Operand, Question

LENGTHS = (10**2, 10**3, 10**4, 10**5, 10**6)
QUESTIONS_EACH = 16


@cache
def places() -> dict[str, list[tuple[bytes, bytes]]]:
    """For every kind of place of one step of the example GPT: questions with their witnesses, as bytes."""
    trace = LongTrace(long_job(100), 0, b"")
    law, roots = trace.law, trace.entry_roots(0)
    tree = Tree([law.leaf(entry, root) for entry, root in enumerate(roots)])
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    for entry, item in enumerate(law.table):
        name = law.node(entry).op if item.kind == "node" else item.kind
        if len(found.get(name, ())) >= QUESTIONS_EACH:
            continue
        answers = Answers(trace, 0, entry, tree)
        for element in {0, law.size(entry) // 2 if item.type is None else item.type.size - 1}:
            truth = _truth(trace, entry, element)
            point = Point(trace.state_root(0), 0, entry, tree.root, roots[entry], element, (truth ^ 1, truth), "open")
            _ask(found, name, answers, law.question(point))
    return found


def _truth(trace: LongTrace, entry: int, element: int) -> int:
    if not trace.law.leaf_bytes(entry, 0):
        return int.from_bytes(trace.slot_hashes(0)[element], "big")
    return trace.tensor(0, entry).bits(element, ITEM_BYTES[trace.law.dtype(entry)])


def _ask(found: dict[str, list[tuple[bytes, bytes]]], name: str, answers: Answers, question: Question) -> None:
    """Keep a question, and the one that follows from its answer."""
    witness = answers.witness(question)
    if witness is None:
        return
    found.setdefault(name, []).append((question.to_bytes(), witness))
    outcome = judge_bytes(question.to_bytes(), witness)
    assert not isinstance(outcome, Refusal), outcome
    if isinstance(outcome, Sum):
        asked = question.asked(facts=outcome.facts, phase="term", term=outcome.terms - 1, claims=(0, 1))
        _ask(found, f"{name}, one term", answers, asked)
    if isinstance(outcome, Burden) and outcome.side == 1:
        _ask(found, f"{name}, shown", answers, question.asked(phase="prove", prover=1))


@cache
def function_places() -> dict[str, list[tuple[bytes, bytes]]]:
    """Every correctly rounded function at values of all sizes."""
    x = np.random.default_rng(7).normal(0, 4, 256).astype(np.float32)
    tensor = Tensor(x, "portable")
    operand = Operand("tensor", "float32", (256,), anchor=tensor.tree.root)
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    for name in BITS:
        for element in range(QUESTIONS_EACH):
            question = Question("open", name, {}, "float32", (256,), element, (operand,), (), operand, (0, 1))
            read = Own(lambda _: tensor, lambda _: (b"", ()))
            answer(question, read)
            found.setdefault(name, []).append((question.to_bytes(), read.witness()))
    return found


def judged(source: Callable[[], dict[str, list[tuple[bytes, bytes]]]], name: str, threads: int) -> Competitors:
    """The referee from bytes to its outcome, over the questions of a kind; facts: for one question."""
    asked = source()[name]
    facts = {"questions": len(asked), "witness_bytes": max(len(witness) for _, witness in asked)}
    return Competitors(lambda: [judge_bytes(*pair) for pair in asked], {}, lambda: facts)


def long_dispute(steps: int, threads: int, model: str = "") -> Competitors:
    """A whole dispute; its facts are the last one's. model: of the step suite; the example GPT where none is named."""
    job = stored(traced(MODELS[model], "default"), steps) if model else long_job(steps)
    last = list[dict[str, float]]()

    def play() -> None:
        last[:] = [asdict(dispute(job))]

    def facts() -> dict[str, float]:
        found = last[-1]
        return {**found, "share_of_job": found["honest_s"] / (found["step_s"] * steps)}

    return Competitors(play, {}, facts)


def cases() -> list[Case]:
    """The referee on every kind of place, and disputes about runs of a hundred to a million steps."""
    kinds = [Case(f"referee {name}", partial(judged, places, name), 0, "none") for name in places()]
    kinds += [Case(f"referee function {name}", partial(judged, function_places, name), 0, "none") for name in BITS]
    runs = [Case(f"dispute of {steps} steps", partial(long_dispute, steps), 0, "none") for steps in LENGTHS]
    large = partial(long_dispute, LENGTHS[-1], model="gpt2-124m")
    return [*kinds, *runs, Case(f"dispute of {LENGTHS[-1]} steps of gpt2-124m", large, 0, "none")]
