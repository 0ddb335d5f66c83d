"""Runs a job and dies: `kill_run.py JOB RUN BACKEND EVENT` ends with SIGKILL at the EVENT-th write, sync or rename.

A write that is hit stops half-way. Without a death it prints the number of events.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import obstore

from engine.train import train

events = itertools.count(1)


def dying(name: str, half: Callable[..., Any]) -> Callable[..., Any]:
    """os.<name> that may be the last thing this process does; half: what is left of it then."""
    whole = getattr(os, name)

    def call(*arguments: Any) -> Any:
        if next(events) == int(sys.argv[4]):
            half(whole, *arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments)

    return call


def main() -> None:
    job, run, backend = sys.argv[1:4]
    os.write = dying("write", lambda whole, file, data: whole(file, data[: len(data) // 2]))
    os.fsync = dying("fsync", lambda whole, file: None)
    os.replace = dying("replace", lambda whole, old, new: None)
    os.put = obstore.put  # type: ignore[attr-defined]
    obstore.put = dying("put", lambda whole, *arguments: None)
    train(job, run, backend, checkpoint_every=3)
    sys.stdout.write(f"{next(events) - 1}\n")


if __name__ == "__main__":
    main()
