"""The door of the tracer: a job file in plain torch becomes a program, a start state, data and numbers per step.

This file and engine/tracing are the only ones of the engine that import torch; who checks a run needs neither.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from engine.data import Windows
from engine.program import Program
from engine.tracing.errors import TraceError
from engine.tracing.job_file import JobFile, read
from engine.tracing.mapping import map_program
from engine.tracing.step import Step

Array = np.ndarray
__all__ = ["TraceError", "TracedJob", "trace", "trace_job"]


@dataclass(frozen=True)
class TracedJob:
    """What engine.job.write_job stores.

    start_state: name -> array, a slot per state input of the program, in its order
    fields:      name -> rows [N, ...] or windows over a stream
    schedule:    name -> [steps] float32
    """

    program: Program
    start_state: dict[str, Array]
    fields: dict[str, Array | Windows]
    schedule: dict[str, Array]
    seed: int
    steps: int
    batch_size: int
    interval: int | Literal["auto"]
    max_interval: int | None


def trace_job(job: str | Path | ModuleType, overrides: Mapping[str, Any] | None = None) -> TracedJob:
    """The traced job of a file or an imported module; a TraceError says what cannot become a program, and where.

    overrides: names that a file finds already set when it starts, such as `text_file`
    """
    return trace(read(job, overrides))


def trace(job: JobFile) -> TracedJob:
    """The traced job of checked names."""
    with _without_torchs_log():
        program, start_state, schedule = _traced(job)
    return TracedJob(
        program=program,
        start_state=start_state,
        fields=job.fields,
        schedule=schedule,
        seed=job.seed,
        steps=job.steps,
        batch_size=job.batch_size,
        interval=job.interval,
        max_interval=job.max_interval,
    )


@contextmanager
def _without_torchs_log() -> Iterator[None]:
    """torch logs a wrong shape, with a traceback, before it raises the error that becomes one line here."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _traced(job: JobFile) -> tuple[Program, dict[str, Array], dict[str, Array]]:
    """The program, the start state and the numbers per step."""
    if job.outputs is not None:
        return *map_program(job.model, job.outputs, job.batch(job.batch_size), job.width), {}
    step = Step(job)
    return step.program(), step.start, step.schedule
