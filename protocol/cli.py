"""The command line: every room's commands, nothing else."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from protocol.commands import checks, jobs, runs, trials
from protocol.commands.arguments import BAD_INPUT, CLOSED, INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Exit code 0: done and equal; 1: a difference was found; 2: bad input, in one line."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the name of a file may be of any bytes
    try:
        code = int(options.command(options) or 0)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at its end
        return CLOSED
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        print(f"isobit {options.name}: {_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        goes_on = "; what was committed stays, `isobit resume` goes on" if options.name in ("train", "resume") else ""
        print(f"isobit {options.name}: interrupted{goes_on}", file=sys.stderr)
        return INTERRUPTED


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        return f"out of memory: {text}"
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isobit", description="Training that strangers can check, to the bit.")
    commands = parser.add_subparsers(title="commands", required=True, dest="name", metavar="COMMAND")
    for room in (jobs, runs, checks, trials):
        room.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
