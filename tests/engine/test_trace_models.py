"""Families of models trace without change and train as plain torch trains them: three strict steps, tiny sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bench.plain_torch import job_of, require_equal
from torch import Tensor, nn

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 17, (12, 9))
IMAGES = RNG.standard_normal((12, 3, 8, 8)).astype(np.float32)
LABELS = RNG.integers(0, 5, 12)
Loss = Callable[[nn.Module, dict[str, Tensor]], Any]


def next_token(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    logits = model(batch["tokens"][:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten())


def classify(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch["image"]), batch["label"])


def trains(model: nn.Module, loss: Loss, data: dict[str, Any], **names: Any) -> None:
    require_equal(job_of(model, loss, data, **names))


# Perceptrons and convolutions


def test_mlp() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 5))
    trains(model, classify, {"image": IMAGES, "label": LABELS})


class BasicBlock(nn.Module):
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


@pytest.mark.parametrize(("block", "widening"), [(BasicBlock, 1), (Bottleneck, 4)])
def test_resnet(block: Any, widening: int) -> None:
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 7, 1, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)),
        *(block(4, 4, 1), block(4 * widening, 6, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6 * widening, 5)),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True)
    trains(model, classify, {"image": IMAGES, "label": LABELS}, optimizer=optimizer)


def test_batch_norm_that_is_frozen() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    model[1].running_mean.fill_(0.5)
    model[1].eval()
    trains(model, classify, {"image": IMAGES, "label": LABELS})


def test_convolutions_of_every_kind() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding="same", dilation=2, groups=3), nn.GroupNorm(2, 6), nn.SiLU()),
        *(nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1), nn.LeakyReLU(), nn.InstanceNorm2d(4, affine=True)),
        *(nn.Flatten(2), nn.Conv1d(4, 3, 5, stride=3), nn.ELU(), nn.Flatten(), nn.Linear(252, 5)),
    )
    trains(model, classify, {"image": IMAGES, "label": LABELS})


# Transformers


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
        angle = torch.outer(torch.arange(x.shape[2]).float(), self.frequencies)
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
        self.norm1, self.attention, self.norm2, self.mlp = norm(16), attention, norm(16), mlp

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Decoder(nn.Module):
    def __init__(self, tied: bool, positions: bool, norm: type[nn.Module], *blocks: nn.Module) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(17, 16), nn.Linear(16, 17, bias=False)
        self.positions = nn.Embedding(16, 16) if positions else None
        self.blocks, self.norm = nn.Sequential(*blocks), norm(16)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("activation", ["none", "tanh"])
def test_gpt2(by_hand: bool, activation: str) -> None:
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(activation), nn.Linear(32, 16), nn.Dropout(0.1))
    block = Block(nn.LayerNorm, Attention(16, 2, 2, by_hand, rotary=False), mlp)
    trains(Decoder(True, True, nn.LayerNorm, block), next_token, {"tokens": TOKENS}, clip_norm=1.0)


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
    block = Block(norm, Attention(16, 4, 2, False, rotary=True), SwiGLU(16))
    trains(Decoder(tied, False, norm, block), next_token, {"tokens": TOKENS})


class Masked(nn.Module):
    """A BERT-like encoder: padding mask, some tokens hidden, the loss on those alone."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True, activation="gelu")
        self.tokens, self.encoder = nn.Embedding(17, 16, padding_idx=0), nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(16, 17)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.tokens(tokens), src_key_padding_mask=tokens == 0))


def test_bert() -> None:
    def masked(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        hidden = torch.rand(batch["tokens"].shape) < 0.3
        logits = model(torch.where(hidden, 1, batch["tokens"]))
        target = batch["tokens"].masked_fill(~hidden, -100)
        return F.cross_entropy(logits.transpose(1, 2), target, label_smoothing=0.1)

    torch.manual_seed(0)
    trains(Masked(), masked, {"tokens": np.maximum(TOKENS, 1)})


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
def test_encoder_and_decoder() -> None:
    class Translator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.head = nn.Embedding(17, 16), nn.Linear(16, 17)
            self.body = nn.Transformer(16, 2, 1, 1, 32, dropout=0.1, batch_first=True, norm_first=True)

        def forward(self, tokens: Tensor) -> Tensor:
            mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
            return self.head(self.body(self.tokens(tokens), self.tokens(tokens), tgt_mask=mask, tgt_is_causal=True))

    torch.manual_seed(0)
    trains(Translator(), next_token, {"tokens": TOKENS})


def test_vision_transformer() -> None:
    class ViT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.first = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.zeros(1, 1, 16))
            self.positions = nn.Parameter(torch.randn(1, 5, 16) * 0.02)
            layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
            self.encoder, self.head = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Linear(16, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat((self.first.expand(x.shape[0], -1, -1), x), 1) + self.positions
            return self.head(self.encoder(x)[:, 0])

    torch.manual_seed(0)
    trains(ViT(), classify, {"image": IMAGES, "label": LABELS}, optimizer=None)


class LoRA(nn.Module):
    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(2, base.in_features)), nn.Parameter(torch.randn(base.out_features, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.dropout(x, 0.1) @ self.a.T @ self.b.T * 0.5


def test_lora() -> None:
    torch.manual_seed(0)
    block = Block(nn.LayerNorm, Attention(16, 2, 2, False, rotary=True), SwiGLU(16))
    model = Decoder(False, False, nn.LayerNorm, block).requires_grad_(False)
    model.blocks[0].attention.q = LoRA(model.blocks[0].attention.q)
    model.blocks[0].attention.kv = LoRA(model.blocks[0].attention.kv)
    adapters = [p for p in model.parameters() if p.requires_grad]
    assert len(adapters) == 4
    trains(model, next_token, {"tokens": TOKENS}, optimizer=torch.optim.AdamW(adapters, lr=1e-2))


def test_dense_mixture_of_experts() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router, self.experts = nn.Linear(16, 4, bias=False), nn.ModuleList(SwiGLU(16) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            weight, chosen = torch.topk(self.router(x).softmax(-1), 2)
            weight = weight / weight.sum(-1, keepdim=True)
            gates = torch.zeros(*x.shape[:-1], 4).scatter(-1, chosen, weight)
            one_hot = F.one_hot(chosen, 4).sum(-2).float()
            balance = (gates.mean((0, 1)) * one_hot.mean((0, 1))).sum()
            return sum(gates[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts)) + 0.01 * balance

    torch.manual_seed(0)
    block = Block(nn.LayerNorm, Attention(16, 2, 2, False, rotary=False), Experts())
    trains(Decoder(True, True, nn.LayerNorm, block), next_token, {"tokens": TOKENS})


# Diffusion


def timestep_embedding(t: Tensor, size: int) -> Tensor:
    frequencies = torch.exp(-math.log(10000) * torch.arange(size // 2) / (size // 2))
    angle = t[:, None].float() * frequencies
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


@pytest.mark.parametrize("net", [UNet, DiT])
def test_diffusion(net: type[nn.Module]) -> None:
    kept = torch.linspace(0.999, 0.01, 50)

    class Diffusion(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()
            self.register_buffer("kept", kept)

        def forward(self, x: Tensor) -> Tensor:
            t = torch.randint(0, 50, (x.shape[0],))
            noise = torch.randn_like(x)
            level = self.kept[t][:, None, None, None]
            return F.mse_loss(self.net(level.sqrt() * x + (1 - level).sqrt() * noise, t), noise)

    torch.manual_seed(0)
    trains(Diffusion(), lambda model, batch: model(batch["image"]), {"image": IMAGES})


# Recurrent


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent(cell: Any) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.cell, self.head = nn.Embedding(17, 8), cell(8, 12, 2, batch_first=True), nn.Linear(12, 17)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.head(self.cell(self.tokens(tokens))[0])

    torch.manual_seed(0)
    trains(Recurrent(), next_token, {"tokens": TOKENS})
