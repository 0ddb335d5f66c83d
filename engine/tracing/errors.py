"""The one error of tracing, and the place in the user's file that an operator came from."""

from __future__ import annotations

import re
from pathlib import Path

import torch

TORCH = str(Path(torch.__file__).parent)
OURS = str(Path(__file__).parent)
FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


class TraceError(ValueError):
    """A training step that cannot become a program: the operator, the user's file and line, a suggestion."""


def place(stack: str | None) -> str:
    """`file:line` of the innermost frame outside torch and the tracer, or `an unknown place`."""
    frames = [(m["file"], m["line"]) for m in FRAME.finditer(stack or "")]
    users = [(file, line) for file, line in frames if _is_users(file)]
    return f"{users[-1][0]}:{users[-1][1]}" if users else "an unknown place"


def _is_users(file: str) -> bool:
    return not file.startswith((TORCH, OURS, "<")) and not file.endswith(("engine/trace.py", "contextlib.py", "runpy.py"))
