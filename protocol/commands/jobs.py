"""What a submitter does: traces a job, decodes images, sees what a job costs."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from engine.job import open_job
from protocol import show
from protocol.commands.arguments import Commands, add_machine, command, positive


def add(commands: Commands) -> None:
    """Adds these commands."""
    _add_images(commands)
    _add_trace(commands)
    _add_measure(commands)


def _add_images(commands: Commands) -> None:
    parser = command(
        commands,
        "images",
        _images,
        "Decodes a folder of images, one sub-folder a class, into the arrays `image` and `label` of one file.",
    )
    parser.add_argument("folder", type=Path, help="a folder with a sub-folder of images per class")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--size", type=positive, default=64, help="width and height of every image (default: 64)")


def _images(options: argparse.Namespace) -> int:
    from engine.images import decode_images

    counts = decode_images(options.folder, options.output, options.size)
    for label, (name, count) in enumerate(counts.items()):
        print(f"{label}  {name}  {count} images")
    return 0


def _add_trace(commands: Commands) -> None:
    parser = command(
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


def _add_measure(commands: Commands) -> None:
    parser = command(
        commands,
        "measure",
        _measure,
        "Measures a job's steps and commitments here, and the memory that a run takes. Changes nothing; the interval "
        "is what a bid may say where the job's is auto.",
    )
    parser.add_argument("job", type=Path, help="a job folder")
    add_machine(parser)


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
