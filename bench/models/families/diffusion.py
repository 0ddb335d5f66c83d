"""Diffusion over small images: a U-Net and a transformer that find the noise at a random time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.families.text import Attention

TIMES = 50


def timestep_embedding(t: Tensor, size: int) -> Tensor:
    """Cosines and sines of the time at falling frequencies."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(size // 2) / (size // 2))
    angle = t[:, None] * frequencies
    return torch.cat((angle.cos(), angle.sin()), -1)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 8))
        self.entry, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, 1)
        self.norm, self.attention = nn.GroupNorm(4, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.up, self.exit = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        skip = F.silu(self.entry(x)) + self.time(timestep_embedding(t, 8))[:, :, None, None]
        h = self.norm(self.down(skip))
        flat = h.flatten(2).transpose(1, 2)
        h = h + self.attention(flat, flat, flat, need_weights=False)[0].transpose(1, 2).view_as(h)
        h = self.up(F.interpolate(h, scale_factor=2, mode="nearest"))
        return self.exit(torch.cat((h, skip), 1))


class DiT(nn.Module):
    """Patches that attend to one another, shifted, scaled and gated by the time."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.time = nn.Conv2d(3, 16, 2, 2), nn.Linear(8, 96)
        self.norm, self.attention = nn.LayerNorm(16, elementwise_affine=False), Attention(16, 2, 2, False, False)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU("tanh"), nn.Linear(32, 16))
        self.out = nn.Linear(16, 12)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        h = self.patches(x).flatten(2).transpose(1, 2)
        condition = F.silu(self.time(timestep_embedding(t, 8)))[:, None]
        shift1, scale1, gate1, shift2, scale2, gate2 = condition.chunk(6, -1)
        h = h + gate1 * self.attention(self.norm(h) * (1 + scale1) + shift1)
        h = h + gate2 * self.mlp(self.norm(h) * (1 + scale2) + shift2)
        tiles = self.out(h).view(-1, 4, 4, 2, 2, 3)
        return torch.einsum("nhwpqc->nchpwq", tiles).reshape(x.shape)


class Diffusion(nn.Module):
    """The mean squared error of the noise that a net finds."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("kept", torch.linspace(0.999, 0.01, TIMES))

    def forward(self, x: Tensor) -> Tensor:
        t = torch.randint(0, TIMES, (x.shape[0],))
        noise = torch.randn_like(x)
        level = self.kept[t][:, None, None, None]
        return F.mse_loss(self.net(level.sqrt() * x + (1 - level).sqrt() * noise, t), noise)


def denoise(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The model's own loss."""
    return model(batch["image"])
