"""The whole machine on trial: the demo, simulated jobs, the conformance vectors."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from kernels import backends
from protocol.commands.arguments import DIFFERENT, Commands, command, natural, positive
from protocol.progress import ProgressLine


def add(commands: Commands) -> None:
    """Adds these commands."""
    _add_demo(commands)
    _add_simulate(commands)
    _add_selftest(commands)


def _add_demo(commands: Commands) -> None:
    parser = command(
        commands,
        "demo",
        _demo,
        "Trains two jobs, compares backends, catches two liars, pays. Exit code 0 only if all of it held.",
    )
    parser.add_argument(
        "--text", type=Path, help="a text file to train the GPT on (default: an excerpt of Python's standard library)"
    )
    parser.add_argument(
        "--folder", type=Path, help="where to keep the jobs and runs (default: a temporary folder, removed afterwards)"
    )
    parser.add_argument("--steps", type=positive, help="training steps of each job (default: the jobs' own)")
    parser.add_argument(
        "--threads", type=positive, default=os.cpu_count() or 1, help="threads of the first run (default: all)"
    )


def _demo(options: argparse.Namespace) -> int:
    from protocol import demo

    return demo.run(text=options.text, folder=options.folder, steps=options.steps, threads=options.threads)


def _add_simulate(commands: Commands) -> None:
    parser = command(
        commands,
        "simulate",
        _simulate,
        "Plays seeded jobs with liars, crashes and a bad network, and checks every promise after every message. "
        "A seed that breaks one plays again exactly.",
    )
    parser.add_argument("--seed", type=natural, default=0, help="the first seed (default: 0)")
    parser.add_argument("--games", type=positive, default=1000, help="how many seeds from there on (default: 1000)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="add up in a report; the seeds that it has are not played again"
    )


def _simulate(options: argparse.Namespace) -> int:
    from protocol.simulation.run import simulate

    with ProgressLine("") as line:
        totals = simulate(options.seed, options.games, options.json, line.counted)
    print(totals)
    return 0 if not totals.broken else DIFFERENT


def _add_selftest(commands: Commands) -> None:
    parser = command(
        commands,
        "selftest",
        _selftest,
        "Runs the conformance vectors on this machine and prints a digest that is the same everywhere.",
    )
    parser.add_argument(
        "--backend", choices=backends.NAMES, help="one backend (default: every one that this machine has)"
    )
    parser.add_argument("--threads", type=positive, default=os.cpu_count() or 1)


def _selftest(options: argparse.Namespace) -> int:
    from kernels import selftest

    names = [options.backend] if options.backend else list(backends.available())
    reports = [selftest.run(name, options.threads) for name in names]
    for report in reports:
        print(report)
    return 0 if all(report.passed for report in reports) else DIFFERENT
