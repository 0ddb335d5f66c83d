"""Every rule of the tracer against torch: the value and, through a parameter, the gradient."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.plain_torch import require_equal
from engine.tracing import step
from engine.tracing.capture import Captured, capture
from engine.tracing.decompositions import DECOMPOSED
from engine.tracing.householder import DECOMPOSITIONS as OF_REFLECTIONS
from engine.tracing.linear_algebra import DECOMPOSITIONS as OF_MATRICES
from engine.tracing.lowering import RULES
from engine.tracing.own_decompositions import DECOMPOSITIONS as OWN
from engine.tracing.special_functions import DECOMPOSITIONS as SPECIAL
from tests.engine.all_cases import BASIC, CASES, SHAPE, job

REACHED: dict[str, set[str]] = {}


def noted(name: str, *parts: Any) -> Captured:
    """A case captured, and its operators noted."""
    captured = capture(*parts)
    REACHED[name] = {str(node.target) for node in captured.graph.graph.nodes}
    return captured


@pytest.mark.filterwarnings("ignore:index_reduce.. is in beta")
@pytest.mark.parametrize("name", CASES)
def test_operator(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "capture", partial(noted, name))
    require_equal(job(CASES[name]))


@pytest.mark.filterwarnings("ignore:index_reduce.. is in beta")
def test_every_rule_is_reached_by_a_case() -> None:
    for name in CASES.keys() - REACHED.keys():
        case = job(CASES[name])
        noted(name, case.model, case.loss, case.batch(4))
    assert not {str(operator) for operator in RULES} - set().union(*REACHED.values())


class Seen(TorchDispatchMode):
    """Notes the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operators.add(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore:index_reduce.. is in beta")
def test_every_decomposition_is_reached_by_a_case() -> None:
    seen = Seen()
    basic = {name for group in BASIC for name in group}
    for function in (CASES[name] for name in CASES if name not in basic and not name.startswith("fourier")):
        x = torch.linspace(-1.3, 1.7, prod(SHAPE)).reshape(SHAPE).requires_grad_()
        with seen:
            function(x).float().sum().backward()
    assert not {str(operator) for operator in (*DECOMPOSED, *OWN, *SPECIAL, *OF_MATRICES, *OF_REFLECTIONS)} - {
        str(operator) for operator in seen.operators
    }
