"""A small denoising diffusion model of handwritten digits. Names that are already set win: steps, seed."""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.numpy import load_file
from torch import Tensor, nn

steps = globals().get("steps", 200)
seed = globals().get("seed", 0)
batch_size, clip_norm = 16, 1.0
LEVELS, C = 100, 16
data = {"image": load_file(Path(__file__).parent / "data" / "optdigits.safetensors")["image"]}


def embedding(t: Tensor) -> Tensor:
    frequencies = torch.exp(torch.arange(C // 2) * (-math.log(10000) / (C // 2)))
    angle = t[:, None] * frequencies
    return torch.cat((angle.cos(), angle.sin()), 1)


class Residual(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.norm, self.first = nn.GroupNorm(4, c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time, self.second = nn.Linear(C, c_out), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.skip = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.first(F.silu(self.norm(x))) + self.time(time)[:, :, None, None]
        return self.skip(x) + self.second(F.silu(h))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(C, C), nn.SiLU())
        self.entry, self.exit = nn.Conv2d(1, C, 3, padding=1), nn.Conv2d(C, 1, 3, padding=1)
        self.down, self.middle, self.up = Residual(C, C), Residual(C, 2 * C), Residual(3 * C, C)
        self.register_buffer("kept", torch.cos(torch.linspace(0.02, 1.55, LEVELS)) ** 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time = self.time(embedding(t))
        fine = self.down(self.entry(x), time)
        coarse = self.middle(F.avg_pool2d(fine, 2), time)
        wide = F.interpolate(coarse, scale_factor=2, mode="nearest")
        return self.exit(self.up(torch.cat((wide, fine), 1), time))


def loss(model: UNet, batch: dict[str, Tensor]) -> Tensor:
    image = batch["image"].float() / 8 - 1
    t = torch.randint(0, LEVELS, (image.shape[0],))
    noise = torch.randn_like(image)
    kept = model.kept[t][:, None, None, None]
    return F.mse_loss(model(kept.sqrt() * image + (1 - kept).sqrt() * noise, t), noise)


torch.manual_seed(seed)
model = UNet()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
