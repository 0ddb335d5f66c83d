"""Perceptrons, convolutions and a vision transformer, as classifiers of small images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 5
_random = np.random.default_rng(0)
IMAGES = _random.standard_normal((48, 3, 8, 8)).astype(np.float32)
LABELS = _random.integers(0, CLASSES, 48)
DATA = {"image": IMAGES, "label": LABELS}


def classify(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean cross-entropy of the classes."""
    return F.cross_entropy(model(batch["image"]), batch["label"])


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, CLASSES))


def convolutions() -> nn.Module:
    """Convolutions of every kind: dilated, grouped, transposed, one-dimensional; group and instance norm."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding="same", dilation=2, groups=3), nn.GroupNorm(2, 6), nn.SiLU()),
        *(nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1), nn.LeakyReLU(), nn.InstanceNorm2d(4, affine=True)),
        *(nn.Flatten(2), nn.Conv1d(4, 3, 5, stride=3), nn.ELU(), nn.Flatten(), nn.Linear(252, CLASSES)),
    )


class BasicBlock(nn.Module):
    widening = 1

    def __init__(self, c_in: int, c: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c, 3, stride, 1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        self.down = nn.Sequential()
        if stride != 1 or c_in != c:
            self.down = nn.Sequential(nn.Conv2d(c_in, c, 1, stride, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += self.down(x)
        return F.relu(y, inplace=True)


class Bottleneck(nn.Module):
    widening = 4

    def __init__(self, c_in: int, c: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(c_in, c, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU(inplace=True)),
            *(nn.Conv2d(c, c, 3, stride, 1, groups=2, bias=False), nn.BatchNorm2d(c), nn.ReLU(inplace=True)),
            *(nn.Conv2d(c, 4 * c, 1, bias=False), nn.BatchNorm2d(4 * c)),
        )
        self.down = nn.Sequential(nn.Conv2d(c_in, 4 * c, 1, stride, bias=False), nn.BatchNorm2d(4 * c))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.down(x))


def resnet(block: Any = BasicBlock) -> nn.Module:
    """A residual network with batch norm, of one of the two blocks."""
    c = 4 * block.widening
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 7, 1, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)),
        *(block(4, 4, 1), block(c, 6, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6 * block.widening, CLASSES)),
    )


class VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.first = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.zeros(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 5, 16) * 0.02)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.first.expand(x.shape[0], -1, -1), x), 1) + self.positions
        return self.head(self.encoder(x)[:, 0])
