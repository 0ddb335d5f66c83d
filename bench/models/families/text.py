"""Nets over tokens, of tiny sizes: GPT-2, Llama, LoRA, experts, BERT, a translator, a recurrent net."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCABULARY, C = 17, 16
TOKENS = np.random.default_rng(1).integers(1, VOCABULARY, (48, 9))
DATA = {"tokens": TOKENS}


def next_token(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean cross-entropy of each next token."""
    logits = model(batch["tokens"][:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten())


class Attention(nn.Module):
    """Written out by hand, or the operator; grouped queries; rotary positions."""

    def __init__(self, C: int, heads: int, groups: int, by_hand: bool, rotary: bool) -> None:
        super().__init__()
        self.heads, self.groups, self.by_hand, self.size = heads, groups, by_hand, C // heads
        self.q, self.kv = nn.Linear(C, C), nn.Linear(C, 2 * groups * self.size)
        self.out = nn.Linear(C, C)
        frequencies = 100.0 ** (-torch.arange(0, self.size, 2).float() / self.size)
        self.register_buffer("frequencies", frequencies if rotary else None, persistent=False)
        self.register_buffer("mask", torch.tril(torch.ones(16, 16)).bool())

    def rotate(self, x: Tensor) -> Tensor:
        if self.frequencies is None:
            return x
        angle = torch.outer(torch.arange(x.shape[2]).to(x.dtype), self.frequencies)
        cos, sin = torch.cat((angle.cos(),) * 2, -1), torch.cat((angle.sin(),) * 2, -1)
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat((-second, first), -1) * sin

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        q = self.rotate(self.q(x).view(B, T, self.heads, -1).transpose(1, 2))
        k, v = self.kv(x).view(B, T, 2 * self.groups, -1).transpose(1, 2).chunk(2, 1)
        k = self.rotate(k)
        if not self.by_hand:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.groups != self.heads)
        else:
            k, v = (t.repeat_interleave(self.heads // self.groups, 1) for t in (k, v))
            scores = (q @ k.transpose(-2, -1) / math.sqrt(self.size)).masked_fill(~self.mask[:T, :T], float("-inf"))
            y = F.dropout(scores.softmax(-1), 0.1) @ v
        return self.out(y.transpose(1, 2).reshape(B, T, C))


class SwiGLU(nn.Module):
    def __init__(self, C: int) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(C, 24, False), nn.Linear(C, 24, False), nn.Linear(24, C, False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    def __init__(self, norm: type[nn.Module], attention: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2, self.mlp = norm(C), attention, norm(C), mlp

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Decoder(nn.Module):
    def __init__(self, tied: bool, positions: bool, norm: type[nn.Module], *blocks: nn.Module) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(VOCABULARY, C), nn.Linear(C, VOCABULARY, bias=False)
        self.positions = nn.Embedding(16, C) if positions else None
        self.blocks, self.norm = nn.Sequential(*blocks), norm(C)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))


def gpt2(by_hand: bool = False, activation: str = "tanh") -> nn.Module:
    mlp = nn.Sequential(nn.Linear(C, 32), nn.GELU(activation), nn.Linear(32, C), nn.Dropout(0.1))
    return Decoder(True, True, nn.LayerNorm, Block(nn.LayerNorm, Attention(C, 2, 2, by_hand, rotary=False), mlp))


def llama(norm: type[nn.Module] = nn.RMSNorm, tied: bool = False) -> nn.Module:
    """Grouped queries, rotary positions, SwiGLU, RMS norm."""
    return Decoder(tied, False, norm, Block(norm, Attention(C, 4, 2, False, rotary=True), SwiGLU(C)))


class LoRA(nn.Module):
    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(2, base.in_features)), nn.Parameter(torch.randn(base.out_features, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.dropout(x, 0.1) @ self.a.T @ self.b.T * 0.5


def lora() -> nn.Module:
    """A frozen decoder whose attention is adapted."""
    block = Block(nn.LayerNorm, Attention(C, 2, 2, False, rotary=True), SwiGLU(C))
    model: Any = Decoder(False, False, nn.LayerNorm, block).requires_grad_(False)
    model.blocks[0].attention.q = LoRA(model.blocks[0].attention.q)
    model.blocks[0].attention.kv = LoRA(model.blocks[0].attention.kv)
    return model


class Experts(nn.Module):
    """The two best of four experts, each computed for every token, with a balancing term."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts = nn.Linear(C, 4, bias=False), nn.ModuleList(SwiGLU(C) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        weight, chosen = torch.topk(self.router(x).softmax(-1), 2)
        weight = weight / weight.sum(-1, keepdim=True)
        gates = torch.zeros(*x.shape[:-1], 4).scatter(-1, chosen, weight)
        one_hot = F.one_hot(chosen, 4).sum(-2).to(x.dtype)
        balance = (gates.mean((0, 1)) * one_hot.mean((0, 1))).sum()
        return sum(gates[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts)) + 0.01 * balance


def experts() -> nn.Module:
    block = Block(nn.LayerNorm, Attention(C, 2, 2, False, rotary=False), Experts())
    return Decoder(True, True, nn.LayerNorm, block)


class Bert(nn.Module):
    """An encoder with a padding mask."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(C, 2, 32, dropout=0.1, batch_first=True, activation="gelu")
        self.tokens = nn.Embedding(VOCABULARY, C, padding_idx=0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(C, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.tokens(tokens), src_key_padding_mask=tokens == 0))


def masked_token(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The smoothed cross-entropy of the tokens that are hidden, three in ten."""
    hidden = torch.rand(batch["tokens"].shape) < 0.3
    logits = model(torch.where(hidden, 1, batch["tokens"]))
    return F.cross_entropy(logits.transpose(1, 2), batch["tokens"].masked_fill(~hidden, -100), label_smoothing=0.1)


class Translator(nn.Module):
    """An encoder and a decoder that attends to it."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(VOCABULARY, C), nn.Linear(C, VOCABULARY)
        self.body = nn.Transformer(C, 2, 1, 1, 32, dropout=0.1, batch_first=True, norm_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        x = self.tokens(tokens)
        return self.head(self.body(x, x, tgt_mask=mask, tgt_is_causal=True))


class Recurrent(nn.Module):
    """Two layers of a recurrent cell."""

    def __init__(self, cell: Any = nn.LSTM) -> None:
        super().__init__()
        self.tokens, self.cell = nn.Embedding(VOCABULARY, 8), cell(8, 12, 2, batch_first=True)
        self.head = nn.Linear(12, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.cell(self.tokens(tokens))[0])
