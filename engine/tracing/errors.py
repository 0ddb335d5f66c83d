"""The one error of tracing, and the place in the user's file that an operator came from."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.fx import traceback
from torch.utils._python_dispatch import TorchDispatchMode

TORCH = str(Path(torch.__file__).parent)
OURS = str(Path(__file__).parent)
CAPTURE = str(Path(__file__).with_name("capture.py"))  # what it calls is the user's, what calls it is not
NO_LINE = " "
UNKNOWN = "an unknown place"
FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


class TraceError(ValueError):
    """A training step that cannot become a program: the operator, the user's file and line, a suggestion."""


def place(stack: str | None) -> str:
    """`file:line` of the innermost frame outside torch and the tracer, or UNKNOWN."""
    frames = [(m["file"], m["line"]) for m in FRAME.finditer(stack or "")]
    inner = max((number for number, (file, _) in enumerate(frames) if file == CAPTURE), default=-1) + 1
    users = [(file, line) for file, line in frames[inner:] if is_users(file)]
    return f"{users[-1][0]}:{users[-1][1]}" if users else UNKNOWN


def is_users(file: str) -> bool:
    """Whether a file is neither torch's nor the tracer's."""
    return not file.startswith((TORCH, OURS, "<")) and not file.endswith(
        ("engine/trace.py", "contextlib.py", "runpy.py")
    )


class UsersLines(TorchDispatchMode):
    """Notes for every operator the line of the user's file that runs it, for a graph captured under preserve_node_meta.

    An operator of a gradient gets the line of the operator that it is the gradient of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[int, str] = {}
        self.gradient_of = NO_LINE

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        line = _users_line()
        self.lines.setdefault(torch.autograd._get_sequence_nr() - 1, line)  # later operators may have no gradient
        traceback.set_stack_trace([self.gradient_of if line == NO_LINE else line])
        return func(*args, **(kwargs or {}))

    def follow(self, loss: torch.Tensor) -> None:
        """From now on, the gradient of the loss is recorded under the lines of its operators."""
        seen: set[Any] = set()
        open_ = [loss.grad_fn]
        while open_:
            node = open_.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            node.register_prehook(partial(self._enter, self.lines.get(node._sequence_nr(), NO_LINE)))
            open_ += [before for before, _ in node.next_functions]

    @contextmanager
    def noted(self) -> Iterator[None]:
        """An error of a gradient carries the line of the operator that it is the gradient of."""
        try:
            yield
        except Exception as error:
            error.add_note(self.gradient_of)
            raise

    def _enter(self, line: str, gradients: Any) -> None:
        self.gradient_of = line


def _users_line() -> str:
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename != CAPTURE:
        if is_users(frame.f_code.co_filename):
            return f'File "{frame.f_code.co_filename}", line {frame.f_lineno}'
        frame = frame.f_back  # type: ignore[assignment]
    return NO_LINE
