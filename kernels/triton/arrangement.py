"""Layout and movement, as kernels/spec/layout.py and movement.py define them: copies of bits, by torch's views."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from kernels.triton.elementwise import DTYPE, wrapped

Sizes = Sequence[int]


def slice_(x: torch.Tensor, start: Sizes, stop: Sizes, step: Sizes) -> torch.Tensor:
    """Every step-th element of [start, stop) along each axis."""
    return x[tuple(slice(*places) for places in zip(start, stop, step, strict=True))]


def concat(*operands: torch.Tensor, axis: int) -> torch.Tensor:
    """The operands one after another along an axis."""
    return wrapped(lambda *parts: torch.cat(parts, dim=axis))(*operands)


def reshape(x: torch.Tensor, shape: Sizes) -> torch.Tensor:
    """The elements in row-major order in another shape."""
    return wrapped(lambda t: t.reshape(list(shape)))(x)


def pad(x: torch.Tensor, fill: torch.Tensor, low: Sizes, high: Sizes) -> torch.Tensor:
    """x with fill around it."""
    return wrapped(lambda t, value: padded(t, value, low, high))(x, fill)


def padded(x: torch.Tensor, fill: torch.Tensor, low: Sizes, high: Sizes) -> torch.Tensor:
    out = fill.expand([size + a + b for size, a, b in zip(x.shape, low, high, strict=True)]).clone()
    out[tuple(slice(a, a + size) for size, a in zip(x.shape, low, strict=True))] = x
    return out


def iota(device: torch.device, shape: Sizes, axis: int, dtype: str) -> torch.Tensor:
    """The index along an axis."""
    index = torch.arange(shape[axis], dtype=DTYPE[dtype], device=device)
    return index.reshape([-1 if i == axis else 1 for i in range(len(shape))]).expand(list(shape)).contiguous()


OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    "reshape": reshape,
    "permute": lambda x, axes: x.permute(list(axes)),
    "broadcast": lambda x, shape: x.expand(list(shape)),
    "slice": slice_,
    "concat": concat,
    "pad": pad,
}
