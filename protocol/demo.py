"""The main job, from two torch models to two verdicts; docs/operating.md tells the same in single commands."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from engine.job import JobFolder, store_traced
from engine.replay import Replay
from engine.run import RunFolder
from engine.train import train
from kernels import backends
from protocol.play import local_dispute
from protocol.players.dishonest import flips_one_bit, node_of_operator, node_of_weight, train_altered
from protocol.progress import ProgressLine
from protocol.transcript import Transcript

STEPS = 100
INTERVAL = 5  # of the solver's bid; what is measured differs from machine to machine, and what is shown must not
# What everybody has more, or less, after a lie: a bond of 50,000 or 10,000 is lost, half of it to the other party; a
# rejected claim gives the price of 100,000 back to the submitter, a final one gives it to the solver.
MONEY = {
    "solver": {"submitter": 0, "solver": -50_000, "verifier": 25_000, "treasury": 25_000},
    "challenger": {"submitter": -100_000, "solver": 105_000, "verifier": -10_000, "treasury": 5_000},
}


@dataclass(frozen=True, slots=True)
class Machine:
    """One way to run a job."""

    backend: str
    threads: int

    def __str__(self) -> str:
        return f"{self.backend}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demonstration keeps its jobs and runs, and how it runs them."""

    folder: Path
    steps: int
    threads: int

    @property
    def interval(self) -> int:
        """Steps between two committed states of every run."""
        return min(INTERVAL, self.steps)

    @property
    def machines(self) -> tuple[Machine, ...]:
        other = 1 if self.threads > 1 else 2
        return Machine("native", self.threads), Machine("native", other), Machine("portable", self.threads)


def run(text: Path | None, folder: Path | None, steps: int | None, threads: int) -> int:
    """Trains, compares, cheats, disputes and pays. Exit code 0 only if everything held."""
    for name in ("native", "portable"):
        backends.load(name)
    with _folder(folder) as path:
        demo = Demo(path, steps or STEPS, threads)
        say("1  Two models in plain torch become programs: data that anybody can run without torch.")
        gpt = trace(demo, "gpt", "gpt_text.py", {"text_file": str(text)} if text else {})
        digits = trace(demo, "digits", "digits.py", {})
        held = [train_everywhere(demo, 2, "gpt", gpt), train_everywhere(demo, 3, "digits", digits)]
        held += [dishonest_solver(demo, gpt), dishonest_verifier(demo, digits)]
    say("All of it held." if all(held) else "NOT all of it held: see above.")
    return 0 if all(held) else 1


def say(text: str = "") -> None:
    print(text, flush=True)


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="isobit-demo-") as name:
            yield Path(name)
        return
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder}: already exists, want a new or an empty folder")
    yield folder


def trace(demo: Demo, name: str, file: str, settings: dict[str, str]) -> JobFolder:
    """The traced job of an embedded example."""
    from engine.trace import trace_job

    with resources.as_file(resources.files("examples") / file) as path:
        job = store_traced(demo.folder / name, trace_job(path, {**settings, "steps": demo.steps}))
    slots = job.program.inputs_of("state")
    numbers = sum(value.type.size for value in slots)
    say(f"   {name:7} {len(job.program.nodes)} nodes, {numbers} numbers of state, {job.job.records} records")
    say(f"           program {job.job.program.hex()}")
    return job


def train_everywhere(demo: Demo, section: int, name: str, job: JobFolder) -> bool:
    """Trains a job on every machine of the demonstration and compares all commitments."""
    say()
    times = len(demo.machines)
    say(f"{section}  {name} is trained {times} times. Each run commits to its state after every {demo.interval} steps.")
    runs = []
    for number, machine in enumerate(demo.machines):
        runs.append(_train(demo, f"{name}-{number}", job, machine))
    return _compare_states(runs) & _compare_traces(demo, job, runs)


def _train(demo: Demo, name: str, job: JobFolder, machine: Machine) -> RunFolder:
    started = time.monotonic()
    folder = demo.folder / name
    with ProgressLine(f"   {name}  ") as line:
        end = train(job, folder, machine.backend, machine.threads, progress=line, interval=demo.interval)
    seconds = time.monotonic() - started
    run = RunFolder(folder)
    root = run.roots()[end.step].hex()
    say(f"   {machine!s:20} loss {end.metrics['loss']:.6f}  state {root[:32]}...  {seconds:6.1f} s")
    return run


def _compare_states(runs: list[RunFolder]) -> bool:
    first, *others = [run.roots() for run in runs]
    equal = all(roots == first for roots in others)
    say(f"   {'equal' if equal else 'DIFFERENT'}: all {len(first)} state roots of the {len(runs)} runs")
    return equal


def _compare_traces(demo: Demo, job: JobFolder, runs: list[RunFolder]) -> bool:
    steps = sorted({0, demo.steps // 2, demo.steps - 1})
    replays = [Replay(job, run, m.backend, m.threads) for run, m in zip(runs, demo.machines, strict=True)]
    traces = [[replay.step_trace(step).root for step in steps] for replay in replays]
    equal = all(roots == traces[0] for roots in traces)
    entries, where = len(replays[0].entries), ", ".join(map(str, steps))
    say(f"   {'equal' if equal else 'DIFFERENT'}: the traces of steps {where}, {entries} committed values each")
    return equal


def dishonest_solver(demo: Demo, job: JobFolder) -> bool:
    """A solver claims a run with one flipped bit; an honest verifier objects."""
    step = demo.steps * 5 // 8
    say()
    say(f"4  A dishonest solver trains gpt, flips one bit of one product in step {step}, goes on, and claims that run.")
    alter = flips_one_bit(step, node_of_operator(job.program, "matmul"), element=5, bit=20)
    train_altered(job, demo.folder / "liar-3", alter, "native", demo.threads, interval=demo.interval)
    transcript = local_dispute(job, demo.folder / "liar-3", demo.folder / "gpt-0", alter_a=alter, threads=demo.threads)
    return _verdict(transcript, "solver")


def dishonest_verifier(demo: Demo, job: JobFolder) -> bool:
    """A verifier challenges an honest run with a run of its own in which one bit was flipped."""
    step = demo.steps * 3 // 8
    say()
    say(f"5  A dishonest verifier objects to an honest run of digits: after step {step} it claims another state.")
    alter = flips_one_bit(step, node_of_weight(job.program), element=1, bit=0)
    train_altered(job, demo.folder / "liar-4", alter, "native", demo.threads, interval=demo.interval)
    transcript = local_dispute(
        job, demo.folder / "digits-0", demo.folder / "liar-4", alter_b=alter, threads=demo.threads
    )
    return _verdict(transcript, "challenger")


def _verdict(transcript: Transcript, liar: str) -> bool:
    for line in str(transcript).splitlines():
        say(f"   {line}")
    held = [game.wrong for game in transcript.games] == [(liar,)] and _money(transcript) == MONEY[liar]
    say(f"   {'held' if held else 'DID NOT HOLD'}: the {liar} was proven wrong and nobody else, and pays for it")
    return held


def _money(transcript: Transcript) -> dict[str, int]:
    return {transcript.names.get(account, account): change for account, change in transcript.payouts.items()}


if __name__ == "__main__":
    sys.exit(run(None, None, None, 2))
