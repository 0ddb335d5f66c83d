"""Training by the program is training as torch does it: the same losses, given the same random numbers and batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.plain_torch import batches_of, run_program, run_torch

import examples
from engine.trace import trace
from engine.tracing.job_file import read

EXAMPLES = Path(examples.__file__).parent
STEPS = 50


def losses_of(name: str, width: str) -> tuple[list[float], list[float]]:
    """The losses of a job file's program and of plain torch in float32."""
    job = replace(read(EXAMPLES / f"{name}.py", {"steps": STEPS}), width=width)
    traced = trace(job)
    expected, _ = run_torch(job, list(batches_of(traced)))
    got, _ = run_program(traced)
    return [float(metrics["loss"]) for metrics in got], [metrics["loss"] for metrics in expected]


@pytest.mark.parametrize("name", ["gpt_text", "digits", "diffusion"])
def test_fifty_strict_steps_lose_as_torch_does(name: str) -> None:
    got, plain = losses_of(name, "strict")
    assert plain[-1] < 0.7 * plain[0]
    np.testing.assert_allclose(got, plain, rtol=1e-3)


@pytest.mark.parametrize("name", ["gpt_text", "digits"])
def test_narrow_products_learn_as_well(name: str) -> None:
    got, plain = losses_of(name, "default")
    np.testing.assert_allclose(got[:2], plain[:2], rtol=1e-3)
    np.testing.assert_allclose(np.mean(got[-10:]), np.mean(plain[-10:]), rtol=1e-2)
