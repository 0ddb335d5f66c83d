"""The map from cases to tests names things that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "protocol").rglob("*.py")]


def named() -> set[str]:
    """Every name between backticks in the table of cases.md."""
    lines = (Path(__file__).parent / "cases.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|") and not line.startswith(("|---", "| case"))]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_test_in_the_map_exists() -> None:
    names = {
        path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("*.py") if "tests" in path.parts
    }
    text = "\n".join(path.read_text() for path in SOURCES) + "\n".join(names)
    missing = {name for name in named() if not _exists(name, text)}
    assert not missing and len(named()) > 80


def _exists(name: str, text: str) -> bool:
    if name.endswith("/"):
        return True
    wanted = name.rstrip(".*_").split(".")[-1] if name.startswith(("protocol.", "engine.")) else name.rstrip(".*_")
    return wanted in text or (ROOT / name).exists()
