"""A job without a gradient: every digit standardised, at twice its size. Then: isobit outputs RUN -o FILE."""

from pathlib import Path

import torch.nn.functional as F
from safetensors.numpy import load_file
from torch import Tensor, nn

batch_size = 64
data = load_file(Path(__file__).parent / "data" / "optdigits.safetensors")
model = nn.Identity()


def outputs(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    image = batch["image"].float() / 16
    centred = image - image.mean((1, 2, 3), keepdim=True)
    standard = centred / (centred.square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
    return {"image": F.interpolate(standard, scale_factor=2, mode="nearest"), "label": batch["label"]}
