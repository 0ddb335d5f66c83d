"""What several commands take: names, numbers, the machine to compute on; and their exit codes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

Commands = argparse._SubParsersAction  # of argparse, which has no public name for it

DIFFERENT = 1
BAD_INPUT = 2
INTERRUPTED = 130
CLOSED = 141  # whoever read the output stopped, as `head` does


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """A new command, whose help is the first sentence of its text."""
    parser = commands.add_parser(name, help=text[0].lower() + text[1:].split(". ")[0].rstrip("."), description=text)
    parser.set_defaults(command=run)
    return parser


def add_machine(parser: argparse.ArgumentParser) -> None:
    """--backend and --threads."""
    parser.add_argument(
        "--backend", default="native", help="native, portable, spec, ... (default: native); never another than named"
    )
    parser.add_argument(
        "--threads", type=positive, default=os.cpu_count() or 1, help="threads to compute with (default: all)"
    )


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number of 1 or more")
    return value


def natural(text: str) -> int:
    """A whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number of 0 or more")
    return int(text)
