"""What a verifier does: runs steps again, claims, disputes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from engine.files import read_file, write_file
from engine.job import open_job
from engine.replay import Difference, check
from engine.run import RunFolder
from protocol.claim_file import check_claim, claim_from_bytes, claim_of
from protocol.commands.arguments import DIFFERENT, Commands, add_machine, command, natural


def add(commands: Commands) -> None:
    """Adds these commands."""
    _add_check(commands)
    _add_claim(commands)
    _add_dispute(commands)


def _add_check(commands: Commands) -> None:
    parser = command(commands, "check", _check, "Runs steps again and compares every root with a run's or a claim's.")
    parser.add_argument("run", type=Path, help="a run folder, or a claim file")
    parser.add_argument("--job", type=Path, help="the job folder (default: the one that the run began from)")
    parser.add_argument("--first", type=natural, default=0, help="the number of steps to begin after (default: 0)")
    parser.add_argument("--last", type=natural, help="the number of steps to end after (default: all)")
    add_machine(parser)


def _check(options: argparse.Namespace) -> int:
    last, found = _check_claim(options) if options.run.is_file() else _check_run(options)
    if found is None:
        print(f"equal: every state root from step {options.first} to {last} on {options.backend}")
        return 0
    print(f"different: after step {found.step} the root is {found.want.hex()}, a replay's {found.got.hex()}")
    return DIFFERENT


def _check_run(options: argparse.Namespace) -> tuple[int, Difference | None]:
    run = RunFolder(options.run)
    job = run.job_folder if options.job is None else options.job
    last = max(run.roots(), default=0) if options.last is None else options.last
    return last, check(job, options.run, options.first, last, options.backend, options.threads)


def _check_claim(options: argparse.Namespace) -> tuple[int, Difference | None]:
    if options.job is None or options.first:
        raise ValueError("check: a claim file needs --job, and is checked from step 0")
    claim = claim_from_bytes(read_file(options.run, "check"), str(options.run))
    job = open_job(options.job, options.backend, options.threads)
    last = claim.steps[-1] if options.last is None else options.last
    return last, check_claim(job, claim, last, options.backend, options.threads)


def _add_claim(commands: Commands) -> None:
    parser = command(commands, "claim", _claim, "Writes what a run claims as one file: every committed state root.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")


def _claim(options: argparse.Namespace) -> int:
    claim = claim_of(RunFolder(options.run))
    write_file(options.output, claim.to_bytes())
    print(f"claim of {len(claim.roots)} state roots, root {claim.root.hex()}")
    return 0


def _add_dispute(commands: Commands) -> None:
    parser = command(commands, "dispute", _dispute, "Plays a dispute between two runs of one job, to one verdict.")
    parser.add_argument("solver", type=Path, help="the run folder that is claimed")
    parser.add_argument("verifier", type=Path, help="the run folder that objects")
    parser.add_argument(
        "--arity", type=int, choices=(2, 4, 8, 16, 32), default=16, help="children a round (default: 16)"
    )
    parser.add_argument("--json", action="store_true", help="print the transcript as JSON")
    add_machine(parser)


def _dispute(options: argparse.Namespace) -> int:
    from protocol import play

    job = RunFolder(options.solver).job_folder
    transcript = play.local_dispute(
        job, options.solver, options.verifier, backend=options.backend, threads=options.threads, arity=options.arity
    )
    print(json.dumps(transcript.to_json(), indent=2) if options.json else transcript)
    return DIFFERENT if transcript.disputed else 0
