"""Every rule refuses what it forbids and leaves the state as it was: one test per rule, and none is missing."""

from __future__ import annotations

from pathlib import Path

from protocol.game.rules import Rule


def test_every_rule_has_its_test() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    missing = [rule.name for rule in Rule if f"\ndef test_refuses_{rule.name.lower()}(" not in text]
    assert not missing
