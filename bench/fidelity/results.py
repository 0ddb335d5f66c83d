"""What has been measured so far: one file, written after every measurement, so that a stopped command goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
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
        self.rows: dict[str, dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else {}

    def measure(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The measurement of this name, made only where the file lacks it."""
        if name not in self.rows:
            print(f"{name} ...", file=sys.stderr, flush=True)
            start = perf_counter()
            row = work()
            self.rows[name] = {"commit": self.commit, "seconds": round(perf_counter() - start, 1), **row}
            write_json({"machine": machine.describe(), "rows": self.rows}, self.path)
            print(f"{name}: {self.rows[name]['seconds']} s", file=sys.stderr, flush=True)
        return self.rows[name]
