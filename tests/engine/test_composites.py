"""A composite is the sequence of operators that docs/numerics.md names, as the tracer emits it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import composites
import numpy as np
import pytest

from kernels import spec

DOCUMENT = Path(__file__).parents[2] / "docs" / "numerics.md"
NAMES = [*composites.COMPOSITES, *(f"{n}, gradient" for n in composites.COMPOSITES), *composites.OPTIMIZERS]
emitted = cache(composites.sequences)


def documented() -> dict[str, str]:
    section = DOCUMENT.read_text().split("## Composites")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| ([^|]+) \| `([^`]+)` \|$", section, re.MULTILINE))


def test_the_document_has_a_sequence_for_every_composite() -> None:
    assert list(documented()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_tracer_emits_the_documented_sequence(name: str) -> None:
    assert emitted()[name] == documented()[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_holds_operators_of_the_law_only(name: str) -> None:
    called = re.findall(r"(\w+)\(", documented()[name])
    assert len(called) >= 2 and set(called) <= set(spec.OPERATORS)


def test_the_scale_of_a_softmax_sum_is_known_before_its_row() -> None:
    x = np.random.default_rng(0).standard_normal((50, 33)).astype(np.float32) * np.float32(30)
    shifted = spec.run("sub", [x, np.repeat(x.max(axis=1, keepdims=True), 33, axis=1)], {})
    (largest,) = spec.scales("sum", [spec.run("exp", [shifted], {})], {"axes": (1,)})
    assert (largest == np.float32(1).view(np.uint32)).all()
