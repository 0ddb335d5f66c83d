"""docs/operators-of-torch.md is what its command writes."""

from __future__ import annotations

from pathlib import Path

from engine.tracing.operators import text

DOCUMENT = Path(__file__).parents[2] / "docs" / "operators-of-torch.md"


def test_the_list_of_operators_is_current() -> None:
    command = "`python -m engine.tracing.operators > docs/operators-of-torch.md`"
    assert DOCUMENT.read_text() == text(), f"run {command}"
