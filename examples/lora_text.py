"""Low-rank adapters on the attention of the small GPT, its own weights frozen. Names that are already set win:
weights, steps, seed. weights: what `isobit export` wrote of a run of gpt_text.py; without it the GPT is a fresh one."""

import torch
import torch.nn.functional as F
from gpt_text import GPT, data, loss, symbols, window
from safetensors.torch import load_file
from torch import Tensor, nn

__all__ = ["data", "loss", "window"]

weights = globals().get("weights")
steps = globals().get("steps", 100)
seed = globals().get("seed", 0)
batch_size, clip_norm, learning_rate = 8, 1.0, lambda step: 1e-3 * (1 - step / steps)
RANK, SCALE = 4, 2.0


class Adapted(nn.Module):
    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.down = nn.Parameter(torch.randn(RANK, linear.in_features) / linear.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, RANK))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + F.linear(F.linear(x, self.down), self.up) * SCALE


torch.manual_seed(seed)
model = GPT(len(symbols))
if weights is not None:
    state = {name.removeprefix("parameter."): tensor for name, tensor in load_file(weights).items()}
    adapted_from = {**state, "head.weight": state["token.weight"]}  # tied, so it is written once
    model.load_state_dict({name: adapted_from[name] for name in model.state_dict()})
model.requires_grad_(False)
for block in model.blocks:
    block.attention.qkv, block.attention.out = Adapted(block.attention.qkv), Adapted(block.attention.out)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)
