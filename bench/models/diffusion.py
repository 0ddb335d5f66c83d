"""A diffusion transformer of the size S/8: noised latents and their step to the noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS, HEADS, C, PATCH, SIDE, CHANNELS = 12, 6, 384, 8, 64, 4
B, CLASSES = 8, 10


class Block(nn.Module):
    """Attention and perceptron, shifted, scaled and gated by the condition."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(C, elementwise_affine=False, eps=1e-6) for _ in range(2))
        self.qkv, self.out = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.mlp = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(approximate="tanh"), nn.Linear(4 * C, C))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(C, 6 * C))

    def attention(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        parts = self.modulation(condition)[:, None].chunk(6, 2)
        x = x + parts[2] * self.attention(self.norm1(x) * (1 + parts[1]) + parts[0])
        return x + parts[5] * self.mlp(self.norm2(x) * (1 + parts[4]) + parts[3])


class DiT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(CHANNELS, C, PATCH, PATCH)
        self.position = nn.Parameter(0.02 * torch.randn(1, (SIDE // PATCH) ** 2, C))
        self.time, self.label = nn.Sequential(nn.Linear(1, C), nn.SiLU(), nn.Linear(C, C)), nn.Embedding(CLASSES, C)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm, self.head = nn.LayerNorm(C), nn.Linear(C, PATCH * PATCH * CHANNELS)

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        condition = self.time(time[:, None]) + self.label(label)
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            tokens = block(tokens, condition)
        y = self.head(self.norm(tokens)).unflatten(1, (SIDE // PATCH, -1)).unflatten(3, (CHANNELS, PATCH, PATCH))
        return y.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def denoising_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean squared error of the noise, for noised latents at a time in [0, 1)."""
    time, noise = batch["time"], batch["noise"]
    share = time[:, None, None, None]
    return F.mse_loss(model((1 - share) * batch["latent"] + share * noise, time, batch["label"]), noise)


def job() -> dict[str, Any]:
    """The names of a job file."""
    torch.manual_seed(0)
    random, shape = np.random.default_rng(0), (B, CHANNELS, SIDE, SIDE)
    data = {
        "latent": random.standard_normal(shape, dtype=np.float32),
        "noise": random.standard_normal(shape, dtype=np.float32),
        "time": random.random(B, dtype=np.float32),
        "label": random.integers(0, CLASSES, B),
    }
    return {"model": DiT(), "loss": denoising_loss, "data": data, "batch_size": B}
