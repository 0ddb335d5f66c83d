"""A Llama-like decoder with a frozen base and low-rank adapters on its attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.transformer import next_token_loss

LAYERS, HEADS, C, HIDDEN, VOCABULARY = 12, 12, 768, 2048, 32000
B, T, RANK = 1, 256, 8


class Adapted(nn.Module):
    """A frozen product and a trained one of low rank beside it."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.base = nn.Linear(c_in, c_out, bias=False).requires_grad_(False)
        self.down, self.up = nn.Linear(c_in, RANK, bias=False), nn.Linear(RANK, c_out, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x)) * 2.0


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (Adapted(C, C) for _ in range(4))
        angles = torch.outer(torch.arange(T), 10000.0 ** (-torch.arange(0, C // HEADS, 2) / (C // HEADS)))
        self.register_buffer("cos", torch.cat((angles, angles), 1).cos())
        self.register_buffer("sin", torch.cat((angles, angles), 1).sin())

    def rotate(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * self.cos + torch.cat((-second, first), -1) * self.sin

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.RMSNorm(C), nn.RMSNorm(C)
        self.attention = Attention()
        self.gate, self.up = nn.Linear(C, HIDDEN, bias=False), nn.Linear(C, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, C, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_attention(x))
        h = self.norm_mlp(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def job() -> dict[str, Any]:
    """The names of a job file: only the adapters are trained."""
    torch.manual_seed(0)
    embedding, head = nn.Embedding(VOCABULARY, C), nn.Linear(C, VOCABULARY, bias=False)
    model = nn.Sequential(embedding, *(Block() for _ in range(LAYERS)), nn.RMSNorm(C), head)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".attention." in name and ".base." not in name)
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (B, T + 1))
    return {"model": model, "loss": next_token_loss, "data": {"tokens": tokens}, "batch_size": B}
