"""Compares ours with its rivals and prints one line a case: `python bench/compare.py products --json FILE`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  (after the path, as kernels and bench are imported from the checkout)

from bench import machine  # noqa: E402
from bench.case import ISA_ENVIRONMENT, Case, Row  # noqa: E402
from bench.report import line, write_json  # noqa: E402
from bench.suites import SUITES  # noqa: E402
from bench.timing import interleaved  # noqa: E402


def measure(suite: str, case: Case, threads: int, rounds: int, batch_s: float, peak: float | None) -> Row:
    """One case at one number of threads."""
    torch.set_num_threads(threads)
    competitors = case.prepare(threads)
    seconds = interleaved({"ours": competitors.ours, **competitors.rivals}, rounds, batch_s)
    ours = seconds.pop("ours")
    share = case.work / ours / peak if peak else None
    facts = competitors.facts() if competitors.facts is not None else {}
    return Row(suite, case.name, threads, ours, seconds, {name: s / ours for name, s in seconds.items()}, share, facts)


def compare_here(suite: str, cases: list[Case], options: argparse.Namespace) -> list[Row]:
    """The rows of cases that share this process's instruction set."""
    rows = []
    for threads in options.threads if cases else ():
        peaks = machine.peaks(threads, options.isa)
        for case in cases:
            row = measure(suite, case, threads, options.rounds, options.batch_s, peaks.get(case.peak))
            print(line(row), flush=True)
            rows.append(row)
    return rows


def compare_elsewhere(isa: str, options: argparse.Namespace) -> list[Row]:
    """The rows of cases held to another instruction set, which every library reads once, when its process starts."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "rows.json"
        command = [sys.executable, __file__, options.suite, "--isa", isa, "--json", str(result)]
        command += ["--threads", ",".join(map(str, options.threads)), "--rounds", str(options.rounds)]
        command += ["--batch-s", str(options.batch_s), "--only", options.only] + ["--quick"] * options.quick
        subprocess.run(command, env={**os.environ, **ISA_ENVIRONMENT[isa]}, check=True)
        return [Row(**row) for row in json.loads(result.read_text())["rows"]]


def selected(options: argparse.Namespace) -> list[Case]:
    """The suite's cases that the options ask for."""
    cases = [case for case in SUITES[options.suite]() if options.only in case.name]
    return [case for case in cases if case.quick] if options.quick else cases


def compare(options: argparse.Namespace) -> dict[str, object]:
    """The whole report, as it is written to the file."""
    cases = selected(options)
    rows = compare_here(options.suite, [case for case in cases if case.isa == options.isa], options)
    if options.isa is None:
        for isa in sorted({case.isa for case in cases if case.isa}):
            rows += compare_elsewhere(isa, options)
    return {"machine": machine.describe(), "commit": machine.commit(), "rows": [asdict(row) for row in rows]}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--json", type=Path, help="where the report is written")
    parser.add_argument("--quick", action="store_true", help="a smoke test: few small cases, few rounds")
    parser.add_argument("--only", default="", help="only the cases whose name contains this")
    parser.add_argument("--threads", default="1,2", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--rounds", default=7, type=int)
    parser.add_argument("--batch-s", default=0.02, type=float, help="how long a batch of one competitor lasts")
    parser.add_argument("--isa", choices=ISA_ENVIRONMENT, help="only the cases of this instruction set")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.batch_s = min(options.rounds, 3), min(options.batch_s, 0.002)
    return options


def main() -> None:
    options = parse()
    report = compare(options)
    if options.json:
        write_json(report, options.json)


if __name__ == "__main__":
    main()
