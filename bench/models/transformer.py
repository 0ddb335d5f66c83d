"""A decoder in the GPT-2 form: the char GPT of 6 layers and GPT-2 of 124M parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Size:
    """B sequences of T tokens a step."""

    layers: int
    heads: int
    C: int
    vocabulary: int
    B: int
    T: int
    dropout: float


CHAR_GPT = Size(layers=6, heads=6, C=384, vocabulary=65, B=8, T=256, dropout=0.2)
GPT2 = Size(layers=12, heads=12, C=768, vocabulary=50257, B=1, T=512, dropout=0.0)


class Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        C = size.C
        self.size = size
        self.qkv, self.out = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.mlp = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(approximate="tanh"), nn.Linear(4 * C, C))
        self.norm_attention, self.norm_mlp = nn.LayerNorm(C), nn.LayerNorm(C)
        self.dropout = nn.Dropout(size.dropout)

    def attention(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (self.size.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.size.dropout)
        return self.out(y.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm_attention(x)))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


class Decoder(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(size.vocabulary, size.C), nn.Embedding(size.T, size.C)
        self.blocks = nn.Sequential(*(Block(size) for _ in range(size.layers)))
        self.norm, self.dropout = nn.LayerNorm(size.C), nn.Dropout(size.dropout)
        self.head = nn.Linear(size.C, size.vocabulary, bias=False)
        self.head.weight = self.token.weight
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(self.dropout(x))))


def next_token_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean cross-entropy of each next token."""
    logits = model(batch["tokens"][:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten())


def job(size: Size) -> dict[str, Any]:
    """The names of a job file."""
    torch.manual_seed(0)
    tokens = np.random.default_rng(0).integers(0, size.vocabulary, (size.B, size.T + 1))
    return {"model": Decoder(size), "loss": next_token_loss, "data": {"tokens": tokens}, "batch_size": size.B}
