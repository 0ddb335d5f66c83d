"""Which products of a traced program are wide: the head and its gradients, all, or all but an autocast region's."""

from __future__ import annotations

import torch
from small_nets import LABELS, X, classify
from torch import Tensor, nn

from bench.plain_torch import job_of
from engine.trace import trace


def products(width: str, model: nn.Module) -> list[tuple[tuple[int, ...], str]]:
    program = trace(job_of(model, classify, {"x": X, "y": LABELS}, width=width)).program
    types = program.types
    return [(types[n].shape, node.attributes["width"]) for n, node in program.numbered_nodes() if node.op == "matmul"]


def test_the_head_and_its_gradients_are_wide_and_the_rest_narrow() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    found = products("default", model)
    assert sorted(shape for shape, width in found if width == "wide") == [(3, 5), (4, 3), (4, 5)]
    assert sorted(shape for shape, width in found if width == "narrow") == [(4, 5), (5, 6)]


def test_strict_makes_every_product_wide() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    assert {width for _, width in products("strict", model)} == {"wide"}


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = torch.tanh(self.first(x))
        return self.head(torch.tanh(self.second(x.float())))


def test_autocast_makes_its_products_narrow_and_drops_its_casts() -> None:
    found = products("strict", Autocast())
    assert [shape for shape, width in found if width == "narrow"] == [(4, 5), (5, 6)]
    program = trace(job_of(Autocast(), classify, {"x": X, "y": LABELS})).program
    assert {program.types[n].dtype for n, _ in program.numbered_nodes()} <= {"float32", "int64", "bool"}
