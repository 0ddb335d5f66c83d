"""The command line: every room's commands, nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from protocol.commands import checks, jobs, runs, trials
from protocol.commands.arguments import BAD_INPUT, INTERRUPTED


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
    for room in (jobs, runs, checks, trials):
        room.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
