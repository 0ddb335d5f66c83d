"""Families of models trace without change and train as plain torch trains them: three strict steps, tiny sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.models.families import FAMILIES, images, text
from bench.plain_torch import job_of, require_equal

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")


def trains(model: nn.Module, loss: Any, data: dict[str, Any], **names: Any) -> None:
    require_equal(job_of(model, loss, data, **names))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_with_plain_momentum(name: str) -> None:
    names = FAMILIES[name]()
    del names["optimizer"]
    trains(**names)


@pytest.mark.parametrize("block", [images.BasicBlock, images.Bottleneck])
def test_resnet_with_nesterov_and_decay(block: Any) -> None:
    torch.manual_seed(0)
    model = images.resnet(block)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True)
    trains(model, images.classify, images.DATA, optimizer=optimizer)


def test_batch_norm_that_is_frozen() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    model[1].running_mean.fill_(0.5)
    model[1].eval()
    trains(model, images.classify, images.DATA)


def test_batch_norm_that_keeps_the_mean_over_all_steps() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=None), nn.Flatten(), nn.BatchNorm1d(144, momentum=None))
    trains(nn.Sequential(*layers, nn.Linear(144, 5)), images.classify, images.DATA, steps=5)


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("activation", ["none", "tanh"])
def test_gpt2(by_hand: bool, activation: str) -> None:
    torch.manual_seed(0)
    trains(text.gpt2(by_hand, activation), text.next_token, text.DATA, clip_norm=1.0)


class HandMadeRMSNorm(nn.Module):
    def __init__(self, C: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(C))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


@pytest.mark.parametrize("norm", [nn.RMSNorm, HandMadeRMSNorm])
@pytest.mark.parametrize("tied", [False, True])
def test_llama(norm: type[nn.Module], tied: bool) -> None:
    torch.manual_seed(0)
    trains(text.llama(norm, tied), text.next_token, text.DATA)


def test_lora_trains_its_adapters_alone() -> None:
    torch.manual_seed(0)
    model = text.lora()
    adapters = [p for p in model.parameters() if p.requires_grad]
    assert len(adapters) == 4
    trains(model, text.next_token, text.DATA, optimizer=torch.optim.AdamW(adapters, lr=1e-2))


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent(cell: Any) -> None:
    torch.manual_seed(0)
    trains(text.Recurrent(cell), text.next_token, text.DATA)
