"""What a solver does: trains, goes on, shows and writes out what a run gave."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.job import open_job
from engine.run import RunFolder
from protocol import show
from protocol.commands.arguments import Commands, add_machine, command, natural, positive
from protocol.progress import ProgressLine


def add(commands: Commands) -> None:
    """Adds these commands."""
    _add_train(commands)
    _add_resume(commands)
    _add_show(commands)
    _add_export(commands)
    _add_outputs(commands)


def _add_train(commands: Commands) -> None:
    parser = command(
        commands, "train", _train, "Trains a job in a run folder, committing to its states; resumes a run."
    )
    parser.add_argument("job", type=Path, help="a job folder, as `isobit trace` writes it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the run folder")
    _add_advance(parser)


def _train(options: argparse.Namespace) -> int:
    return _advance(options.job, options.output, options)


def _add_resume(commands: Commands) -> None:
    parser = command(commands, "resume", _resume, "Goes on with an interrupted run, to the same bits.")
    parser.add_argument("run", type=Path, help="a run folder")
    _add_advance(parser)


def _resume(options: argparse.Namespace) -> int:
    return _advance(RunFolder(options.run).job_folder, options.run, options)


def _add_advance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--until", type=natural, help="the number of steps to stop after (default: the job's)")
    parser.add_argument(
        "--checkpoint-every",
        type=positive,
        help="steps between checkpoints (default: 20 a run, within 1 %% of its time)",
    )
    parser.add_argument(
        "--interval",
        type=positive,
        help="steps between commitments, as the accepted bid says (default: the run's, else the job's; where that is "
        "auto, measured once as a run begins)",
    )
    parser.add_argument(
        "--graphs", action="store_true", help="start whole steps as CUDA graphs (backends triton and cuda; unproven)"
    )
    add_machine(parser)


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
            options.graphs,
        )
    folder = RunFolder(run)
    step, root = max(folder.roots().items())
    print(f"committed every {folder.interval} steps")
    print(f"steps done {end.step} of {end.steps}, state root after {step}: {root.hex()}")
    return 0


def _add_show(commands: Commands) -> None:
    parser = command(
        commands, "show", _show, "Shows a program (one node a line), a job, a run, a checkpoint or a claim."
    )
    parser.add_argument("path", type=Path, help="a job folder, a run folder, or a .cbor file of one")


def _show(options: argparse.Namespace) -> int:
    sys.stdout.write(show.text_of(options.path))
    return 0


def _add_export(commands: Commands) -> None:
    parser = command(commands, "export", _export, "Writes a checkpoint of a run as one safetensors file.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--step", type=natural, help="the checkpoint's number of steps (default: the last)")


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


def _add_outputs(commands: Commands) -> None:
    parser = command(
        commands,
        "outputs",
        _outputs,
        "Writes what a finished run of a job without a gradient gave, in the order of the records.",
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the safetensors file to write")
    add_machine(parser)


def _outputs(options: argparse.Namespace) -> int:
    from engine.outputs import write_outputs
    from engine.run import open_run

    job = open_job(RunFolder(options.run).job_folder, options.backend, options.threads)
    run = open_run(options.run, job)
    records = write_outputs(job, run, options.output, options.backend, options.threads)
    print(f"wrote the outputs of {records} records to {options.output}")
    return 0
