"""What the referee answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the solver, and whether the challenger, is proven wrong. truth: the value, where one was computed."""

    wrong: tuple[bool, bool]
    truth: int | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """The element is an exact sum of `terms` integers: both sides say which, and part it until one term is left."""

    terms: int
    facts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Burden:
    """One side (0: the solver) says something that only it can show: it shows it, or loses."""

    side: int


Outcome = Verdict | Sum | Burden


def against(truth: int, claims: tuple[int, int]) -> Verdict:
    """The verdict on two claims about a computed value."""
    return Verdict((claims[0] != truth, claims[1] != truth), truth)


def proven(side: int) -> Verdict:
    """The verdict after a side showed what it had to: the other is wrong."""
    return Verdict((side == 1, side == 0))
