"""How a comparison is printed and written."""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import machine
from bench.case import Row


def line(row: Row) -> str:
    """A row as a line of the table."""
    rivals = "  ".join(f"{name} {row.ratio[name]:5.2f}x" for name in row.rivals)
    share = f"{row.share_of_peak:4.0%}" if row.share_of_peak is not None else "   ?"
    facts = "  ".join(f"{name} {value:.6g}" for name, value in row.facts.items())
    rivals = "  ".join(filter(None, (rivals, facts)))
    return f"{row.case:<48} {row.threads} thr  {row.ours_s * 1e3:10.3f} ms  {share} of peak  {rivals}"


def write_json(report: dict[str, object], path: Path) -> None:
    """Writes the whole file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as part:
        json.dump(report, part, indent=1)
        part.write("\n")
    os.chmod(part.name, 0o644)
    os.replace(part.name, path)


def add_counts(path: Path, section: Sequence[str], name: str, counts: Mapping[str, object]) -> None:
    """Adds what a check of one function counted to a report of several, with the machine, commit and day of its own."""
    report = json.loads(path.read_text()) if path.exists() else {}
    entry = report
    for key in (*section, "functions"):
        entry = entry.setdefault(key, {})
    day = datetime.date.today().isoformat()
    entry[name] = {**counts, "machine": machine.processor(), "commit": machine.commit(), "date": day}
    write_json(report, path)
