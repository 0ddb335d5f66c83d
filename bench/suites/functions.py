"""Elementwise functions on a million values."""

from __future__ import annotations

from functools import partial

import torch

from bench.case import Case, Competitors, backend, normal

FUNCTIONS = {
    "exp": torch.exp,
    "log": torch.log,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "sin": torch.sin,
    "rsqrt": torch.rsqrt,
}
POSITIVE = ("log", "rsqrt")
COUNT = 2**20


def function(name: str, threads: int) -> Competitors:
    """One function on values of a normal distribution with deviation 2; of their magnitudes where it wants those."""
    x = 2 * normal(COUNT)
    x = abs(x) if name in POSITIVE else x
    ours = partial(backend().run, name, [x], {}, threads=threads)
    return Competitors(ours, {"torch": partial(FUNCTIONS[name], torch.from_numpy(x))})


def cases() -> list[Case]:
    """Every function; each reads and writes four bytes an element."""
    made = [Case(f"{name} {COUNT}", partial(function, name), 8 * COUNT, "bytes", quick=True) for name in FUNCTIONS]
    return made + [
        Case(f"avx2 {name} {COUNT}", partial(function, name), 8 * COUNT, "bytes", isa="avx2") for name in FUNCTIONS
    ]
