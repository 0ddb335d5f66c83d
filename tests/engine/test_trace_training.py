"""Losses, optimizers, schedules, clipping and micro-batches train as in plain torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.plain_torch import job_of, require_equal, run_program
from engine.trace import TraceError, trace

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 6)).astype(np.float32)
LABELS = RNG.integers(0, 5, 12)
LABELS[3] = -1
DATA = {"x": X, "y": LABELS, "target": RNG.random((12, 5)).astype(np.float32)}
WEIGHT = torch.linspace(0.5, 2, 5)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))


class WeightedLoss(nn.Module):
    """A model that carries the weights of its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()
        self.register_buffer("weight", WEIGHT)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


LOSSES = {
    "cross entropy": lambda z, b, m: F.cross_entropy(z, b["y"], ignore_index=-1),
    "cross entropy, sum": lambda z, b, m: F.cross_entropy(z, b["y"], ignore_index=-1, reduction="sum"),
    "cross entropy, smoothed": lambda z, b, m: F.cross_entropy(z, b["y"], ignore_index=-1, label_smoothing=0.1),
    "cross entropy, weighted": lambda z, b, m: F.cross_entropy(z, b["y"], m.weight, ignore_index=-1),
    "cross entropy, each": lambda z, b, m: (
        F.cross_entropy(z, b["y"].abs(), reduction="none") * b["target"][:, 0]
    ).mean(),
    "cross entropy, probabilities": lambda z, b, m: F.cross_entropy(z, b["target"]),
    "MSE": lambda z, b, m: F.mse_loss(z, b["target"]),
    "MSE, sum": lambda z, b, m: F.mse_loss(z, b["target"], reduction="sum"),
    "L1": lambda z, b, m: F.l1_loss(z, b["target"]),
    "Huber": lambda z, b, m: F.huber_loss(z, b["target"], delta=0.3),
    "smooth L1": lambda z, b, m: F.smooth_l1_loss(z, b["target"], beta=0.3),
    "BCE": lambda z, b, m: F.binary_cross_entropy(z.sigmoid(), b["target"]),
    "BCE, logits": lambda z, b, m: F.binary_cross_entropy_with_logits(z, b["target"]),
    "BCE, logits, weighted": lambda z, b, m: F.binary_cross_entropy_with_logits(z, b["target"], pos_weight=m.weight),
    "KL": lambda z, b, m: F.kl_div(z.log_softmax(1), b["target"], reduction="batchmean"),
    "NLL": lambda z, b, m: F.nll_loss(z.log_softmax(1), b["y"].abs()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str) -> None:
    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return LOSSES[name](model(batch["x"]), batch, model)

    require_equal(job_of(WeightedLoss(), loss, DATA))


def test_a_label_that_is_no_class_is_a_fault() -> None:
    from engine.execute import NodeFault

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(model(batch["x"]), batch["y"])

    traced = trace(job_of(network(), loss, DATA | {"y": np.full(12, 5)}))
    with pytest.raises(NodeFault, match="gather"):
        run_program(traced)


def squares(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.mse_loss(model(batch["x"]), batch["target"])


class Lion(torch.optim.Optimizer):
    """The reference of the paper's algorithm (arXiv 2302.06675)."""

    def __init__(self, params: Any, lr: float = 1e-4, betas: Any = (0.9, 0.99), weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(torch.sign(m * first + p.grad * (1 - first)) * group["lr"])
                m.mul_(second).add_(p.grad, alpha=1 - second)


OPTIMIZERS = [
    (torch.optim.SGD, {"lr": 0.1}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    (torch.optim.Adam, {"lr": 0.01}),
    (torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True}),
    (torch.optim.AdamW, {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6}),
    (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.0}),
    (torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-3}),
    (torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.9, "centered": True, "weight_decay": 0.1, "eps": 1e-3}),
    (torch.optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1}),
    (Lion, {"lr": 0.01, "weight_decay": 0.1}),
    (torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (torch.optim.Adadelta, {"lr": 0.5, "weight_decay": 0.1}),
    (torch.optim.Adamax, {"lr": 0.01, "weight_decay": 0.1}),
    (torch.optim.NAdam, {"lr": 0.01, "weight_decay": 0.1}),
    (torch.optim.NAdam, {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (torch.optim.RAdam, {"lr": 0.01, "betas": (0.9, 0.9)}),
    (torch.optim.RAdam, {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (torch.optim.ASGD, {"lr": 0.1, "lambd": 0.1, "weight_decay": 0.1}),
    (torch.optim.ASGD, {"lr": 0.1, "t0": 2}),
    (torch.optim.Rprop, {"lr": 0.01}),
    (torch.optim.Rprop, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.12)}),
    (torch.optim.Adafactor, {"lr": 0.1}),
    (torch.optim.Adafactor, {"lr": 0.1, "eps": (1e-3, 0.1), "d": 2.0, "weight_decay": 0.1, "beta2_decay": -0.5}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    (torch.optim.AdamW, {"lr": 0.01, "maximize": True}),
    (torch.optim.Adafactor, {"lr": 0.01, "maximize": True}),
]


@pytest.mark.parametrize(("kind", "options"), OPTIMIZERS)
def test_optimizer(kind: Any, options: dict[str, Any]) -> None:
    model = network()
    require_equal(job_of(model, squares, DATA, optimizer=kind(model.parameters(), **options), steps=6))


def matrices_and_rest(model: nn.Module, **options: Any) -> list[torch.optim.Optimizer]:
    matrices = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    return [torch.optim.Muon(matrices, lr=0.05, **options), torch.optim.AdamW(rest, lr=0.01)]


@pytest.mark.parametrize(
    "options",
    [{}, {"nesterov": False, "weight_decay": 0.0, "momentum": 0.5}, {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}],
)
def test_two_optimizers_of_which_one_makes_matrices_orthogonal(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Tensor, "bfloat16", Tensor.clone
    )  # torch's Muon iterates in half precision, the program does not
    model = network()
    optimizers = matrices_and_rest(model, **options)
    require_equal(
        job_of(model, squares, DATA, optimizers, steps=4, learning_rate=lambda step: [0.1 / (1 + step), 0.01])
    )


def test_the_products_of_an_optimizer_have_the_width_of_the_job() -> None:
    for width, wanted in (("strict", {"wide"}), ("default", {"narrow"})):
        model = network()
        program = trace(job_of(model, squares, DATA, matrices_and_rest(model), width=width)).program
        assert {node.attributes["width"] for node in program.nodes if node.op == "matmul"} == wanted


def groups_of(model: nn.Module) -> Iterable[dict[str, Any]]:
    return [
        {"params": [model[0].weight, model[2].weight], "weight_decay": 0.3, "lr": 0.05},
        {"params": [model[0].bias], "betas": (0.5, 0.6)},
    ]


def test_parameter_groups_keep_their_options_and_the_rest_stays() -> None:
    model = network()
    job = job_of(model, squares, DATA, optimizer=torch.optim.AdamW(groups_of(model), lr=0.01))
    assert not [name for name in require_equal(job).start_state if "2.bias.exp" in name]


@pytest.mark.parametrize("rate", [lambda step: 0.1 / (1 + step), lambda step: [0.1 / (1 + step), 0.01]])
def test_a_learning_rate_per_step_and_group(rate: Any) -> None:
    model = network()
    job = job_of(model, squares, DATA, optimizer=torch.optim.AdamW(groups_of(model)), learning_rate=rate, steps=5)
    require_equal(job)


@pytest.mark.parametrize("names", [{"clip_norm": 0.05}, {"clip_norm": 100.0}, {"clip_value": 0.01}])
def test_clipping(names: dict[str, Any]) -> None:
    require_equal(job_of(network(), squares, DATA, **names))


@pytest.mark.parametrize("micro_batches", [2, 3, 6])
def test_micro_batches_are_gradient_accumulation(micro_batches: int) -> None:
    require_equal(job_of(network(), squares, DATA, batch_size=6, micro_batches=micro_batches, clip_norm=0.1))


def test_the_numbers_of_a_step_are_rounded_once_from_double() -> None:
    model = network()
    job = trace(job_of(model, squares, DATA, optimizer=torch.optim.AdamW(model.parameters(), lr=0.01), steps=4))
    assert job.schedule["schedule.step_size"].tolist() == [np.float32(0.01 / (1 - 0.9**t)) for t in (1, 2, 3, 4)]
    assert job.schedule["schedule.kept"].dtype == np.float32


REFUSED = [
    (
        lambda p: torch.optim.LBFGS(p),
        "LBFGS has no formula here: it computes the loss several times a step, .*; want one of SGD",
    ),
    (
        lambda p: torch.optim.SparseAdam(list(p)),
        "SparseAdam has no formula here: it changes the rows alone .*take Adam",
    ),
    (lambda p: [torch.optim.SGD(list(p)[:2]), None], "optimizer is None, want a torch.optim.Optimizer .* or a list"),
    (lambda p: torch.optim.SGD(network().parameters()), "group 0 holds a tensor that is no parameter of the model"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_an_optimizer_without_formula_is_refused(make: Any, message: str) -> None:
    model = network()
    with pytest.raises(TraceError, match=message):
        trace(job_of(model, squares, DATA, optimizer=make(model.parameters())))


def test_a_parameter_of_two_optimizers_is_refused() -> None:
    model = network()
    optimizers = [torch.optim.SGD(model.parameters()), torch.optim.SGD(model[0].parameters())]
    with pytest.raises(TraceError, match=r"parameter 0\.bias is in two groups"):
        trace(job_of(model, squares, DATA, optimizers))


def test_an_optimizer_that_has_stepped_is_refused() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 6)).sum().backward()
    optimizer.step()
    with pytest.raises(TraceError, match="one that has not stepped yet"):
        job_of(model, squares, DATA, optimizer=optimizer)
