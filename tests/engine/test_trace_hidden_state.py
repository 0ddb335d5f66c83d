"""What a loss reads beside its inputs would be read once: other random numbers and Python's counters are refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from random import uniform

import numpy as np
import pytest
import torch
from small_nets import PAIRS, Around, distance
from torch import Tensor, nn
from torch.nn.utils import prune

from bench.plain_torch import job_of, require_equal
from engine.trace import TraceError, trace

ONCE = "would be drawn once, while tracing, and be the same in every step; draw with torch"
STEPS = 0


def seeded(x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return x + torch.rand_like(x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x if random.random() < 0.5 else -x, rf"random\.random {ONCE}"),
        (lambda x: x * uniform(0, 1), rf"random\.uniform {ONCE}"),
        (lambda x: x * float(np.random.beta(0.2, 0.2)), rf"np\.random\.beta {ONCE}"),
        (seeded, r"torch\.manual_seed would change nothing: the job's seed decides"),
    ],
)
def test_refuses_random_numbers_that_no_step_would_draw_again(
    function: Callable[[Tensor], Tensor], message: str
) -> None:
    before = random.random, np.random.beta, uniform
    with pytest.raises(TraceError, match=message) as caught:
        trace(job_of(Around(function), distance, PAIRS))
    assert "test_trace_hidden_state.py:" in str(caught.value)
    assert (random.random, np.random.beta, uniform) == before
    torch.manual_seed(0)


OF_FILE, OF_NUMPY, OLD = random.Random(0), np.random.default_rng(0), np.random.RandomState(0)


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda: OF_FILE.gauss(0, 1), "what a random.Random gives"),
        (lambda: float(OF_NUMPY.normal()), r"what a numpy\.random\._generator\.Generator gives"),
        (lambda: OLD.rand(), r"what a numpy\.random\.mtrand\.RandomState gives"),
        (lambda: float(np.random.default_rng().normal()), r"the seed of np\.random\.default_rng\(\)"),
    ],
)
def test_refuses_numbers_of_generators_that_a_file_keeps(draw: Callable[[], float], name: str) -> None:
    with pytest.raises(TraceError, match=f"{name} {ONCE}"):
        trace(job_of(Around(lambda x: x * draw()), distance, PAIRS))


def test_numbers_that_are_the_same_in_every_step_may_be_drawn() -> None:
    OF_NUMPY.normal()
    require_equal(job_of(Around(lambda x: x * float(np.random.default_rng(3).normal())), distance, PAIRS))


class Annealed(nn.Module):
    """A weight that rises with the calls."""

    def __init__(self, reads: Callable[[int], float]) -> None:
        super().__init__()
        self.layer, self.calls, self.reads = nn.Linear(4, 4), 0, reads

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(x) * self.reads(self.calls)


@pytest.mark.parametrize("reads", [lambda calls: calls / 10, lambda calls: 2.0 if calls > 1 else torch.tensor(1.0)])
def test_refuses_a_loss_that_depends_on_its_own_count(reads: Callable[[int], float]) -> None:
    model = Annealed(reads)
    with pytest.raises(TraceError, match=r"numbers of Python that it changes: Annealed\.calls \(0, then 1\); .*buffer"):
        trace(job_of(model, distance, PAIRS))
    assert model.calls == 0


def test_refuses_a_loss_that_depends_on_a_count_of_its_file() -> None:
    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        global STEPS
        STEPS += 1
        return distance(model, batch) * min(1.0, STEPS / 10)

    with pytest.raises(TraceError, match=r"numbers of Python that it changes: STEPS \(0, then 1\)"):
        trace(job_of(nn.Linear(4, 4), loss, PAIRS))
    assert STEPS == 0


def test_tensors_that_a_layer_makes_again_in_every_call_are_no_counts() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 4)
    prune.l1_unstructured(model, "weight", 0.4)
    program = trace(job_of(model, distance, PAIRS)).program
    names = [value.name for value in program.inputs_of("state")]
    assert names[:3] == ["parameter.bias", "parameter.weight_orig", "buffer.weight_mask"]


def test_a_count_that_changes_nothing_is_let_be() -> None:
    require_equal(job_of(Annealed(lambda calls: 0.5), distance, PAIRS))
