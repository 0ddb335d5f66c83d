"""A small GPT on text, one symbol per byte. Names that are already set win: text_file, steps, seed."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

text_file = globals().get("text_file") or Path(__file__).parent / "data" / "python_library.txt"
steps = globals().get("steps", 200)
seed = globals().get("seed", 0)
batch_size, clip_norm = 8, 1.0
T, LAYERS, HEADS, C, DROPOUT = 64, 2, 4, 64, 0.1

text = np.frombuffer(Path(text_file).read_bytes(), np.uint8)
symbols = np.unique(text)
data = {"tokens": np.searchsorted(symbols, text).astype(np.uint8)}
window = T + 1


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(C, 3 * C), nn.Linear(C, C)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in self.qkv(x).split(C, dim=2))
        dropout = DROPOUT if self.training else 0.0
        return self.out(
            F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout).transpose(1, 2).flatten(2)
        )


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.mlp = Attention(), nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(), nn.Linear(4 * C, C))
        self.norm_attention, self.norm_mlp, self.dropout = nn.LayerNorm(C), nn.LayerNorm(C), nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm_attention(x)))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


class GPT(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, C), nn.Embedding(T, C)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.dropout = nn.LayerNorm(C), nn.Dropout(DROPOUT)
        self.head = nn.Linear(C, vocabulary, bias=False)
        self.head.weight = self.token.weight
        self.apply(self.initialise)

    @staticmethod
    def initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(self.dropout(x))))


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    logits = model(batch["tokens"][:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten())


def learning_rate(step: int) -> float:
    warm_up, peak, low = 20, 3e-3, 3e-4
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(steps - warm_up, 1)
    return low + (peak - low) * (1 + math.cos(math.pi * done)) / 2


torch.manual_seed(seed)
model = GPT(len(symbols))
matrices = [p for p in model.parameters() if p.dim() >= 2]
others = [p for p in model.parameters() if p.dim() < 2]
groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
