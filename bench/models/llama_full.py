"""A Llama-like decoder of which every parameter is trained: RMS norms, rotated heads, gated products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.transformer import next_token_loss


@dataclass(frozen=True, slots=True)
class Size:
    """B sequences of T tokens a step."""

    layers: int
    heads: int
    C: int
    hidden: int
    vocabulary: int
    B: int
    T: int

    @property
    def operations(self) -> int:
        """Of a training step, as such figures are counted: 6 a parameter in a product and token, and 12 T C a layer."""
        products = self.layers * (4 * self.C**2 + 3 * self.C * self.hidden) + self.C * self.vocabulary
        return self.B * self.T * (6 * products + 12 * self.layers * self.T * self.C)


LLAMA_1B = Size(layers=22, heads=16, C=2048, hidden=5504, vocabulary=32000, B=2, T=1024)


class Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        C, width = size.C, size.C // size.heads
        self.heads = size.heads
        self.norm_attention, self.norm_mlp = nn.RMSNorm(C), nn.RMSNorm(C)
        self.qkv, self.out = nn.Linear(C, 3 * C, bias=False), nn.Linear(C, C, bias=False)
        self.gate, self.up = nn.Linear(C, size.hidden, bias=False), nn.Linear(C, size.hidden, bias=False)
        self.down = nn.Linear(size.hidden, C, bias=False)
        angles = torch.outer(torch.arange(size.T), 10000.0 ** (-torch.arange(0, width, 2) / width))
        self.register_buffer("cos", torch.cat((angles, angles), 1).cos())
        self.register_buffer("sin", torch.cat((angles, angles), 1).sin())

    def rotate(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * self.cos + torch.cat((-second, first), -1) * self.sin

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm_attention(x)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(h).chunk(3, 2))
        y = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        h = self.norm_mlp(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def job(size: Size) -> dict[str, Any]:
    """The names of a job file."""
    torch.manual_seed(0)
    embedding, head = nn.Embedding(size.vocabulary, size.C), nn.Linear(size.C, size.vocabulary, bias=False)
    model = nn.Sequential(embedding, *(Block(size) for _ in range(size.layers)), nn.RMSNorm(size.C), head)
    tokens = np.random.default_rng(0).integers(0, size.vocabulary, (size.B, size.T + 1))
    return {"model": model, "loss": next_token_loss, "data": {"tokens": tokens}, "batch_size": size.B}
