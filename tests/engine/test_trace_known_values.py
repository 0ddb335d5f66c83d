"""Values that depend on no input of the step decide shapes and branches while it is traced; others are refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_nets import PAIRS, Around, distance
from torch import Tensor

from bench.plain_torch import job_of, require_equal
from engine.trace import TraceError, trace

MASK, TIMES = torch.tensor([True, False, True, True]), torch.tensor([2, 0, 1, 1])


def by_steps_of_time(x: Tensor) -> Tensor:
    for t in torch.linspace(0, 1, 4):
        x = x + t.item() * x.sin()
    return x


def by_a_view_that_is_written(x: Tensor) -> Tensor:
    sizes = torch.zeros(4)
    part = sizes[:2]
    sizes[1] = 5
    return x * 3 if part[1] > 4 else x


def by_a_constant_that_is_written(x: Tensor) -> Tensor:
    weights = TIMES * 0.5
    weights[0] = 5.0
    return x * weights * weights.sum().item()


KNOWN = {
    "a mask": lambda x: F.pad(x[:, MASK] + x[:, torch.tensor([False, True, True, True])], (0, 1)),
    "what is off the diagonal": lambda x: x * (x.T @ x)[~torch.eye(4, dtype=torch.bool)].square().sum(),
    "a triangle": lambda x: x * torch.masked_select(x[:4, :4], torch.ones(4, 4).tril().bool()).sum(),
    "what is not zero": lambda x: x + x[:, torch.nonzero(torch.tensor([1, 0, 1]))[:, 0]].sum(),
    "repetitions": lambda x: x.repeat_interleave(TIMES, dim=1) + x.repeat_interleave(torch.tensor([0, 3, 1, 0]), dim=1),
    "different numbers": lambda x: x + x[:, torch.unique(torch.tensor([3, 1, 3]))].sum(),
    "a list": lambda x: torch.cat(x.split(torch.tensor([1, 3]).tolist(), 1)[::-1], 1),
    "steps of time": by_steps_of_time,
    "a constant that is written": by_a_constant_that_is_written,
    "a branch over a view": by_a_view_that_is_written,
}


@pytest.mark.parametrize("name", KNOWN)
def test_values_that_depend_on_no_input_may_decide_shapes_and_branches(name: str) -> None:
    require_equal(job_of(Around(KNOWN[name]), distance, PAIRS))


def written_over(x: Tensor) -> Tensor:
    sizes = torch.zeros(4)
    sizes[:2].add_(x.detach()[0, :2])
    return x if sizes.sum() > 0 else -x


def test_what_is_written_over_is_no_longer_known() -> None:
    with pytest.raises(TraceError, match=r"test_trace_known_values.py:\d+: .*nothing may depend on values"):
        trace(job_of(Around(written_over), distance, PAIRS))
    assert TIMES.tolist() == [2, 0, 1, 1] and MASK.tolist() == [True, False, True, True]
