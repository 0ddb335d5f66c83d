"""Many seeds one after the other: progress, a report that adds up over runs, and the seed of whatever broke."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from protocol.simulation.play import Broken, Report, play_seed

FORMAT = "isobit-simulation-3"
SAVED_EVERY = 500
Progress = Callable[[int, int], None]


@dataclass
class Totals:
    """What many seeds came to. ranges: of seeds played, half-open, in order; broken: seed -> the promise it broke."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    games: int = 0
    attestations: int = 0
    accusations: int = 0
    messages: int = 0
    lost: int = 0
    refused: int = 0
    honest_moves: int = 0
    longest_s: int = 0
    most_games: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """How many seeds were played."""
        return sum(last - first for first, last in self.ranges)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items()))
        lines = [
            f"jobs      {self.seeds}: {outcomes}",
            f"disputes  {self.games}, at most {self.most_games} in a job; the longest took {self.longest_s} s",
            f"attested  {self.attestations} claims by drawn verifiers, {self.accusations} disputes with them",
            f"messages  {self.messages} taken, {self.lost} lost, {self.refused} refused; {self.honest_moves} honest",
        ]
        lines += [f"BROKEN    seed {seed}: {what}" for seed, what in self.broken.items()]
        return "\n".join(
            [*lines, "every promise was kept" if not self.broken else "isobit simulate --seed S --games 1"]
        )

    def has(self, seed: int) -> bool:
        """Whether a seed was played already."""
        return any(first <= seed < last for first, last in self.ranges)

    def add(self, report: Report) -> None:
        """Count one scenario."""
        for name in ("games", "attestations", "accusations", "messages", "lost", "refused", "honest_moves"):
            setattr(self, name, getattr(self, name) + getattr(report, name))
        self.longest_s, self.most_games = max(self.longest_s, report.longest_s), max(self.most_games, report.games)
        self.outcomes[report.outcome] = self.outcomes.get(report.outcome, 0) + 1
        self.played(report.seed)

    def played(self, seed: int) -> None:
        """Note a seed; neighbouring ranges become one."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted([*self.ranges, (seed, seed + 1)]):
            if merged and first <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(last, merged[-1][1])
            else:
                merged.append((first, last))
        self.ranges = merged


def simulate(seed: int, games: int, file: Path | None = None, progress: Progress | None = None) -> Totals:
    """Play the seeds from `seed` on that the file does not have yet.

    file: the report; written whole, after every 500 seeds and at the end; an interrupted run goes on where it was
    """
    totals = read_totals(file) if file is not None else Totals()
    for number in range(games):
        if totals.has(seed + number):
            continue
        try:
            totals.add(play_seed(seed + number))
        except Broken as broken:
            totals.broken[str(seed + number)] = str(broken)
            totals.played(seed + number)
        if progress is not None:
            progress(number + 1, games)
        if file is not None and number % SAVED_EVERY == 0:
            write_totals(file, totals)
    if file is not None:
        write_totals(file, totals)
    return totals


def read_totals(file: Path) -> Totals:
    """The totals of a file; none where there is no such file; a ValueError where it holds something else."""
    if not file.exists():
        return Totals()
    try:
        content: Any = json.loads(file.read_text())
        if content.pop("format") != FORMAT:
            raise KeyError("format")
        content["ranges"] = [(int(first), int(last)) for first, last in content["ranges"]]
        return Totals(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file}: not a report of a simulation ({error}), want format {FORMAT}") from None


def write_totals(file: Path, totals: Totals) -> None:
    """Write a report beside the file, then put it in its place."""
    part = file.with_suffix(file.suffix + ".part")
    part.write_text(json.dumps({"format": FORMAT, **asdict(totals)}, indent=1) + "\n")
    os.replace(part, file)
