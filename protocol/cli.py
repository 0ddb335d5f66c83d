"""The command line: every room's commands, nothing else."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.files import write_file
from engine.job import open_job
from engine.replay import Difference, check
from engine.run import RunFolder
from kernels import backends
from protocol import show
from protocol.claim_file import check_claim, claim_from_bytes, claim_of
from protocol.progress import ProgressLine

Commands = argparse._SubParsersAction  # of argparse, which has no public name for it

BAD_INPUT = 2
DIFFERENT = 1
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Exit code 0: done and equal; 1: a difference was found; 2: bad input, in one line."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"isobit {options.name}: {_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"isobit {options.name}: interrupted; what was committed stays, `isobit resume` goes on", file=sys.stderr)
        return INTERRUPTED


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isobit", description="Training that strangers can check, to the bit.")
    commands = parser.add_subparsers(title="commands", required=True, dest="name", metavar="COMMAND")
    _add_demo(commands)
    _add_images(commands)
    _add_trace(commands)
    _add_train(commands)
    _add_resume(commands)
    _add_check(commands)
    _add_claim(commands)
    _add_measure(commands)
    _add_show(commands)
    _add_export(commands)
    _add_outputs(commands)
    _add_dispute(commands)
    _add_simulate(commands)
    _add_selftest(commands)
    return parser


def _command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text[0].lower() + text[1:].split(". ")[0].rstrip("."), description=text)
    parser.set_defaults(command=run)
    return parser


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", default="native", help="native, portable, spec, ... (default: native); never another than named"
    )
    parser.add_argument(
        "--threads", type=_positive, default=os.cpu_count() or 1, help="threads to compute with (default: all)"
    )


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number of 1 or more")
    return value


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number of 0 or more")
    return int(text)


# demo


def _add_demo(commands: Commands) -> None:
    parser = _command(
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
    parser.add_argument("--steps", type=_positive, help="training steps of each job (default: the jobs' own)")
    parser.add_argument(
        "--threads", type=_positive, default=os.cpu_count() or 1, help="threads of the first run (default: all)"
    )


def _demo(options: argparse.Namespace) -> int:
    from protocol import demo

    return demo.run(text=options.text, folder=options.folder, steps=options.steps, threads=options.threads)


# trace


def _add_trace(commands: Commands) -> None:
    parser = _command(
        commands,
        "trace",
        _trace,
        "Traces a JOB.py (plain torch: model, loss, optimizer, data, steps) into a job folder.",
    )
    parser.add_argument("job", type=Path, metavar="JOB.py", help="the submitter's own file; it is executed")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the job folder to write; must not exist")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="set a name before JOB.py runs"
    )


def _trace(options: argparse.Namespace) -> int:
    from engine import job, trace

    settings = dict(_setting(text) for text in options.set)
    folder = job.store_traced(options.output, trace.trace_job(options.job, settings))
    print(show.job_summary(folder))
    return 0


def _setting(text: str) -> tuple[str, int | float | str]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise ValueError(f"--set: got {text!r}, want NAME=VALUE")
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return name, number(value)
    return name, value


# images


def _add_images(commands: Commands) -> None:
    parser = _command(
        commands,
        "images",
        _images,
        "Decodes a folder of images, one sub-folder a class, into the arrays `image` and `label` of one file.",
    )
    parser.add_argument("folder", type=Path, help="a folder with a sub-folder of images per class")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--size", type=_positive, default=64, help="width and height of every image (default: 64)")


def _images(options: argparse.Namespace) -> int:
    from engine.images import decode_images

    counts = decode_images(options.folder, options.output, options.size)
    for label, (name, count) in enumerate(counts.items()):
        print(f"{label}  {name}  {count} images")
    return 0


# train, resume, check


def _add_train(commands: Commands) -> None:
    parser = _command(
        commands, "train", _train, "Trains a job in a run folder, committing to its states; resumes a run."
    )
    parser.add_argument("job", type=Path, help="a job folder, as `isobit trace` writes it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the run folder")
    _add_advance(parser)


def _train(options: argparse.Namespace) -> int:
    return _advance(options.job, options.output, options)


def _add_resume(commands: Commands) -> None:
    parser = _command(commands, "resume", _resume, "Goes on with an interrupted run, to the same bits.")
    parser.add_argument("run", type=Path, help="a run folder")
    _add_advance(parser)


def _resume(options: argparse.Namespace) -> int:
    return _advance(RunFolder(options.run).job_folder, options.run, options)


def _add_advance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--until", type=_natural, help="the number of steps to stop after (default: the job's)")
    parser.add_argument("--checkpoint-every", type=_positive, help="steps between checkpoints (default: 20 a run)")
    parser.add_argument(
        "--interval",
        type=_positive,
        help="steps between commitments, as the accepted bid says (default: the run's, else the job's; where that is "
        "auto, measured once as a run begins)",
    )
    _add_machine(parser)


def _advance(job: Path, run: Path, options: argparse.Namespace) -> int:
    from engine.memory import estimate
    from engine.train import train

    opened = open_job(job, options.backend, options.threads)
    print(f"memory: {estimate(opened, options.backend)}")
    with ProgressLine() as line:
        end = train(
            opened,
            run,
            options.backend,
            options.threads,
            options.until,
            options.checkpoint_every,
            line,
            options.interval,
        )
    folder = RunFolder(run)
    step, root = max(folder.roots().items())
    print(f"committed every {folder.interval} steps")
    print(f"steps done {end.step} of {end.steps}, state root after {step}: {root.hex()}")
    return 0


def _add_check(commands: Commands) -> None:
    parser = _command(commands, "check", _check, "Runs steps again and compares every root with a run's or a claim's.")
    parser.add_argument("run", type=Path, help="a run folder, or a claim file")
    parser.add_argument("--job", type=Path, help="the job folder (default: the one that the run began from)")
    parser.add_argument("--first", type=_natural, default=0, help="the number of steps to begin after (default: 0)")
    parser.add_argument("--last", type=_natural, help="the number of steps to end after (default: all)")
    _add_machine(parser)


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
    claim = claim_from_bytes(options.run.read_bytes(), str(options.run))
    job = open_job(options.job, options.backend, options.threads)
    last = claim.steps[-1] if options.last is None else options.last
    return last, check_claim(job, claim, last, options.backend, options.threads)


def _add_claim(commands: Commands) -> None:
    parser = _command(commands, "claim", _claim, "Writes what a run claims as one file: every committed state root.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")


def _claim(options: argparse.Namespace) -> int:
    claim = claim_of(RunFolder(options.run))
    write_file(options.output, claim.to_bytes())
    print(f"claim of {len(claim.roots)} state roots, root {claim.root.hex()}")
    return 0


def _add_measure(commands: Commands) -> None:
    parser = _command(
        commands,
        "measure",
        _measure,
        "Measures a job's steps and commitments here, and the memory that a run takes. Changes nothing; the interval "
        "is what a bid may say where the job's is auto.",
    )
    parser.add_argument("job", type=Path, help="a job folder")
    _add_machine(parser)


def _measure(options: argparse.Namespace) -> int:
    from engine.interval import PERCENT, measure
    from engine.memory import available, estimate, require_fits, size_text

    job = open_job(options.job, options.backend, options.threads)
    memory = require_fits(estimate(job, options.backend), options.backend)
    costs, most = measure(job, options.backend, options.threads), job.job.max_interval
    print(f"memory      {memory}; available {size_text(available())}")
    print(f"step        {costs.step_ns / 1e9:.6f} s")
    print(f"commitment  {costs.commit_ns / 1e9:.6f} s")
    print(f"interval    {costs.interval(most)} of at most {most} steps: hashing within {PERCENT} % of a run here")
    return 0


# show, export


def _add_show(commands: Commands) -> None:
    parser = _command(
        commands, "show", _show, "Shows a program (one node a line), a job, a run, a checkpoint or a claim."
    )
    parser.add_argument("path", type=Path, help="a job folder, a run folder, or a .cbor file of one")


def _show(options: argparse.Namespace) -> int:
    sys.stdout.write(show.text_of(options.path))
    return 0


def _add_export(commands: Commands) -> None:
    parser = _command(commands, "export", _export, "Writes a checkpoint of a run as one safetensors file.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--step", type=_natural, help="the checkpoint's number of steps (default: the last)")


def _export(options: argparse.Namespace) -> int:
    from engine.files import write_arrays
    from engine.run import open_run, read_state

    job = open_job(RunFolder(options.run).job_folder)
    run = open_run(options.run, job)
    steps = (0, *run.checkpoints())
    step = steps[-1] if options.step is None else options.step
    if step not in steps:
        raise ValueError(f"export: the run has no checkpoint {step}, want one of {', '.join(map(str, steps))}")
    write_arrays(options.output, read_state(job, run, step))
    print(f"wrote the state after {step} steps to {options.output}")
    return 0


# outputs


def _add_outputs(commands: Commands) -> None:
    parser = _command(
        commands,
        "outputs",
        _outputs,
        "Writes what a finished run of a job without a gradient gave, in the order of the records.",
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the safetensors file to write")
    _add_machine(parser)


def _outputs(options: argparse.Namespace) -> int:
    from engine.job import open_job
    from engine.outputs import write_outputs
    from engine.run import open_run

    job = open_job(RunFolder(options.run).job_folder, options.backend, options.threads)
    run = open_run(options.run, job)
    records = write_outputs(job, run, options.output, options.backend, options.threads)
    print(f"wrote the outputs of {records} records to {options.output}")
    return 0


# dispute


def _add_dispute(commands: Commands) -> None:
    parser = _command(commands, "dispute", _dispute, "Plays a dispute between two runs of one job, to one verdict.")
    parser.add_argument("solver", type=Path, help="the run folder that is claimed")
    parser.add_argument("verifier", type=Path, help="the run folder that objects")
    parser.add_argument(
        "--arity", type=int, choices=(2, 4, 8, 16, 32), default=16, help="children a round (default: 16)"
    )
    parser.add_argument("--json", action="store_true", help="print the transcript as JSON")
    _add_machine(parser)


def _dispute(options: argparse.Namespace) -> int:
    from protocol import play

    job = RunFolder(options.solver).job_folder
    transcript = play.local_dispute(
        job, options.solver, options.verifier, backend=options.backend, threads=options.threads, arity=options.arity
    )
    print(json.dumps(transcript.to_json(), indent=2) if options.json else transcript)
    return DIFFERENT if transcript.disputed else 0


# selftest


# simulate


def _add_simulate(commands: Commands) -> None:
    parser = _command(
        commands,
        "simulate",
        _simulate,
        "Plays seeded jobs with liars, crashes and a bad network, and checks every promise after every message. "
        "A seed that breaks one plays again exactly.",
    )
    parser.add_argument("--seed", type=_natural, default=0, help="the first seed (default: 0)")
    parser.add_argument("--games", type=_positive, default=1000, help="how many seeds from there on (default: 1000)")
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
    parser = _command(
        commands,
        "selftest",
        _selftest,
        "Runs the conformance vectors on this machine and prints a digest that is the same everywhere.",
    )
    parser.add_argument(
        "--backend", choices=backends.NAMES, help="one backend (default: every one that this machine has)"
    )
    parser.add_argument("--threads", type=_positive, default=os.cpu_count() or 1)


def _selftest(options: argparse.Namespace) -> int:
    from kernels import selftest

    names = [options.backend] if options.backend else list(backends.available())
    reports = [selftest.run(name, options.threads) for name in names]
    for report in reports:
        print(report)
    return 0 if all(report.passed for report in reports) else DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
