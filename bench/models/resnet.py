"""ResNet-18 on small images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

B, SIDE, CLASSES = 16, 64, 100


class Block(nn.Module):
    def __init__(self, c_in: int, c: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(c_in, c, 3, stride, 1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.norm2 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        self.down = nn.Sequential()
        if stride != 1 or c_in != c:
            self.down = nn.Sequential(nn.Conv2d(c_in, c, 1, stride, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.down(x))


def resnet18() -> nn.Module:
    """The layers of ResNet-18."""
    head = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    widths, layers, c_in = (64, 128, 256, 512), [], 64
    for place, c in enumerate(widths):
        layers += [Block(c_in, c, 1 if place == 0 else 2), Block(c, c, 1)]
        c_in = c
    return nn.Sequential(*head, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES))


def classification_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean cross-entropy of the classes."""
    return F.cross_entropy(model(batch["image"]), batch["label"])


def job() -> dict[str, Any]:
    """The names of a job file."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    images = random.standard_normal((B, 3, SIDE, SIDE), dtype=np.float32)
    data = {"image": images, "label": random.integers(0, CLASSES, B)}
    return {"model": resnet18(), "loss": classification_loss, "data": data, "batch_size": B}
