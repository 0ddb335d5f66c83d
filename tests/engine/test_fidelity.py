"""Training by the program is training as torch does it: the same losses, given the same random numbers and batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import examples
from bench.fidelity import report, steps
from bench.fidelity.results import Results
from bench.models.families import FAMILIES
from bench.plain_torch import batches_of, run_program, run_torch
from engine.trace import trace
from engine.tracing.job_file import read

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
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


def require_close(name: str, count: int) -> None:
    found = steps.compare(name, count)
    assert found["loss"] <= report.BOUND and found["parameter"] <= report.BOUND, found
    assert found["gradient"] <= report.BOUND and found["torch_gradient"] <= report.BOUND, found
    assert len(found["backends"]) >= 2


@pytest.mark.parametrize("name", FAMILIES)
def test_two_strict_steps_of_a_family_are_torchs(name: str) -> None:
    require_close(name, 2)


@pytest.mark.long
@pytest.mark.parametrize("name", FAMILIES)
def test_twenty_strict_steps_of_a_family_are_torchs(name: str) -> None:
    require_close(name, steps.STEPS)


def test_a_gradient_that_is_zero_is_told_from_a_small_one() -> None:
    zero = steps.compare("GPT-2", 1)["zero"]
    assert zero == {"blocks.0.attention.kv.bias": 16}  # the keys' half of the bias, which no softmax sees


def test_results_are_kept_and_measured_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def work() -> dict[str, int]:
        calls.append(1)
        return {"loss": len(calls)}

    path = tmp_path / "results.json"
    assert Results(path).measure("a", work)["loss"] == 1
    assert Results(path).measure("a", work)["loss"] == 1
    again = Results(path)
    again.forget(["a"])
    assert again.measure("a", work)["loss"] == 2
    assert Results(path).measure("a", work)["loss"] == 2
    with pytest.raises(ValueError, match="got no result of 'family: perceptron'"):
        report.document({}, {})


def test_the_document_is_what_its_results_say() -> None:
    import json

    written = json.loads(Results().path.read_text())
    assert report.PATH.read_text() == report.document(written["machine"], written["rows"])
