"""The families of models that a job file may hold, each at a tiny size: name -> the names of a job file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bench.models.families import diffusion, images, text

Names = dict[str, Any]


def _names(make: Callable[[], nn.Module], loss: Any, data: Names, rate: float = 1e-3, **names: Any) -> Names:
    """Trained with AdamW at a rate, or with SGD and Nesterov's momentum where the rate is 0."""
    torch.manual_seed(0)
    model = make()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if rate:
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.1)
    else:
        optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True)
    return {"model": model, "loss": loss, "data": data, "optimizer": optimizer, **names}


def _image(make: Callable[[], nn.Module], rate: float = 1e-3) -> Callable[[], Names]:
    return lambda: _names(make, images.classify, images.DATA, rate)


def _text(make: Callable[[], nn.Module], rate: float = 1e-3, loss: Any = text.next_token) -> Callable[[], Names]:
    return lambda: _names(make, loss, text.DATA, rate, clip_norm=1.0)


def _noise(net: type[nn.Module]) -> Callable[[], Names]:
    return lambda: _names(
        lambda: diffusion.Diffusion(net()), diffusion.denoise, {"image": images.IMAGES}, micro_batches=2
    )


FAMILIES: dict[str, Callable[[], Names]] = {
    "perceptron": _image(images.perceptron),
    "CNN": _image(images.convolutions, 0),
    "ResNet, basic blocks": _image(images.resnet, 0),
    "ResNet, bottlenecks": _image(lambda: images.resnet(images.Bottleneck), 0),
    "ViT": _image(images.VisionTransformer),
    "GPT-2": _text(text.gpt2),
    "Llama": _text(text.llama),
    "LoRA": _text(text.lora, 1e-2),
    "mixture of experts": _text(text.experts),
    "BERT": _text(text.Bert, loss=text.masked_token),
    "encoder-decoder": _text(text.Translator),
    "LSTM": _text(text.Recurrent),
    "U-Net": _noise(diffusion.UNet),
    "DiT": _noise(diffusion.DiT),
}
