"""What has been measured so far: one file, written after every measurement, so that a stopped command goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import machine
from bench.report import write_json

PATH = Path(__file__).resolve().parents[1] / "results" / "fidelity.json"


class Results:
    """Measurements by name, each with its commit and its seconds."""

    def __init__(self, path: Path = PATH) -> None:
        self.path, self.commit = path, machine.commit()
        self.forgotten: set[str] = set()

    def _kept(self) -> dict[str, dict[str, Any]]:
        rows = json.loads(self.path.read_text())["rows"] if self.path.exists() else {}
        return {name: row for name, row in rows.items() if name not in self.forgotten}

    def forget(self, names: Iterable[str]) -> None:
        """What is forgotten is measured anew; the file changes with the first of it."""
        self.forgotten = set(names)

    def measure(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The measurement of this name, made only where the file lacks it."""
        rows = self._kept()
        if name in rows:
            return rows[name]
        print(f"{name} ...", file=sys.stderr, flush=True)
        start = perf_counter()
        found = work()
        row = {"commit": self.commit, "seconds": round(perf_counter() - start, 1), **found}
        self.forgotten.discard(name)
        rows = self._kept()  # another process may have measured other names meanwhile
        write_json({"machine": machine.describe(), "rows": {**rows, name: row}}, self.path)
        print(f"{name}: {row['seconds']} s", file=sys.stderr, flush=True)
        return row
