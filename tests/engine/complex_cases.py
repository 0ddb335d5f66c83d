"""Functions of a [4, 6] tensor around complex numbers: each is traced and compared with torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def pairs(x: Tensor) -> Tensor:
    return torch.view_as_complex(x.view(3, 4, 2))


def turns() -> Tensor:
    return torch.polar(torch.ones(3, 4), torch.arange(12.0).view(3, 4))


COMPLEX: dict[str, Function] = {
    name: partial(lambda function, x: torch.view_as_real(function(pairs(x), turns())), function)
    for name, function in {
        "complex products": lambda x, y: x * y + x * x * 0.3 + (x * 2).conj() * x,
        "complex sums": lambda x, y: (x + y - 2.5) / (y + 3) + 1 / (x + 3) + x.sum(0) + x.mean(1, keepdim=True),
        "complex views": lambda x, y: torch.cat([x.view(4, 3).T, y * x]) + torch.stack([x, y], 1).flatten(0, 1)[:, :1],
        "complex matrices": lambda x, y: x @ y.mT + torch.einsum("ij,kj->ik", x, y),
        "complex exponential": lambda x, y: (x * y).exp(),
        "complex convolutions": lambda x, y: (
            F.conv2d(x.view(1, 1, 3, 4), y.view(3, 1, 2, 2)[:2], x.flatten()[:2], padding=1)[0]
            + F.conv1d(x.view(1, 3, 4), (x * y).view(2, 3, 2), padding=1).sum()
        ),
        "numbers times an imaginary one": lambda x, y: torch.ops.aten.mul.Scalar(x.abs(), 2j) + x.abs() * 1j + y,
        "made of parts": lambda x, y: torch.complex(x.real, x.abs()) * y,
    }.items()
} | {"parts": lambda x: pairs(x).real * torch.imag(pairs(x)) + pairs(x).imag * torch.real(turns()) + x.sum().real}
