"""ATen's interpolations, the pools whose windows overlap or are uneven, and padding by the image's own elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.tracing import resampling
from engine.tracing.builder import Builder, Value
from engine.tracing.rules_elementwise import Rule
from kernels.types import TensorType

aten = torch.ops.aten
Array = np.ndarray
Sizes = Sequence[int]


# Interpolation: (rank, align_corners, [scales]) of a forward operator, or the same behind two sizes of a backward one


def _along(op: Callable[..., Tensor], size: int, align: bool | None, scale: float | None) -> resampling.Along:
    """An interpolation of the last axis by a two-dimensional operator, which keeps the other one as it is."""
    options = () if align is None else (align,)
    return lambda x: op(x[None, None], [x.shape[0], size], *options, None, scale)[0, 0]


def _matrices(op: Any, before: Sizes, after: Sizes, align: bool, scales: Sequence[float | None]) -> list[Array]:
    steps = zip(before, after, [*scales, *[None] * len(before)], strict=False)
    return [resampling.matrix(H, _along(op, P, align, scale)) for H, P, scale in steps]


def _interpolation(op: Any) -> Rule:
    def rule(b: Builder, out: TensorType, x: Value, size: Sizes, align: bool, *scales: float | None) -> Value:
        return resampling.apply(b, x, _matrices(op, x.shape[2:], size, align, scales))

    return rule


def _interpolation_backward(op: Any) -> Rule:
    def rule(b: Builder, out: Any, g: Value, size: Sizes, before: Sizes, align: bool, *scales: float | None) -> Value:
        matrices = _matrices(op, before[2:], size, align, scales)
        return resampling.apply(b, g, resampling.transposed(matrices))

    return rule


def nearest_indices(op: Any, before: Sizes, after: Sizes, scales: Sequence[float | None]) -> list[Array]:
    """The nearest element of each result, per axis."""
    steps = zip(before, after, [*scales, *[None] * len(before)], strict=False)
    return [resampling.indices(H, _along(op, P, None, scale)) for H, P, scale in steps]


def _nearest(op: Any) -> Rule:
    def rule(b: Builder, out: TensorType, x: Value, size: Sizes, *scales: float | None) -> Value:
        return resampling.take(b, x, nearest_indices(op, x.shape[2:], size, scales))

    return rule


def _nearest_backward(op: Any) -> Rule:
    def rule(b: Builder, out: TensorType, g: Value, size: Sizes, before: Sizes, *scales: float | None) -> Value:
        return resampling.put(b, g, nearest_indices(op, before[2:], size, scales), before[2:])

    return rule


# Padding by the image's own elements


def _pad_indices(op: Callable[..., Tensor], sizes: Sizes, padding: Sizes) -> list[Array]:
    axes = len(padding) // 2
    pairs = [list(padding[2 * i : 2 * i + 2]) for i in reversed(range(axes))]  # torch names the last axis first
    return [resampling.indices(n, partial(op, padding=pair)) for n, pair in zip(sizes, pairs, strict=True)]


def _own_pad(op: Any) -> Rule:
    def rule(b: Builder, out: TensorType, x: Value, padding: Sizes) -> Value:
        return resampling.take(b, x, _pad_indices(op, x.shape[-(len(padding) // 2) :], padding))

    return rule


def _own_pad_backward(op: Any) -> Rule:
    def rule(b: Builder, out: TensorType, g: Value, x: Value, padding: Sizes) -> Value:
        sizes = x.shape[-(len(padding) // 2) :]
        return resampling.put(b, g, _pad_indices(op, sizes, padding), sizes)

    return rule


# Pools


class Pool:
    """An average pool as sums by a matrix an axis and a division by the numbers of elements."""

    def __init__(self, sizes: Sizes, along: Callable[[int], resampling.Along], counts: Tensor) -> None:
        self.matrices = [resampling.matrix(size, along(axis)) for axis, size in enumerate(sizes)]
        self.counts = counts.numpy().astype(np.float32)

    def average(self, b: Builder, x: Value) -> Value:
        total = resampling.apply(b, x, self.matrices)
        return total / b.constant(np.broadcast_to(self.counts, total.shape))

    def spread(self, b: Builder, g: Value) -> Value:
        return resampling.apply(
            b, g / b.constant(np.broadcast_to(self.counts, g.shape)), resampling.transposed(self.matrices)
        )


def window_pool(
    sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, ceil: bool, padded: bool, divisor: int | None
) -> Pool:
    """The pool of torch's avg_pool of two or three axes."""
    n = len(sizes)
    kernel, stride, padding = (list(p) * (n if len(p) == 1 else 1) for p in (kernel, stride or kernel, padding))

    def along(axis: int) -> resampling.Along:
        one = (kernel[axis], 1), (stride[axis], 1), (padding[axis], 0)
        return lambda x: aten.avg_pool2d(x[None, :, :, None], *map(list, one), ceil, True, 1)[0, :, :, 0]

    ones = torch.ones(1, 1, *sizes, dtype=torch.float64)
    op = aten.avg_pool2d if n == 2 else aten.avg_pool3d
    total = op(ones, kernel, stride, padding, ceil, padded, 1)
    return Pool(sizes, along, torch.round(total / op(ones, kernel, stride, padding, ceil, padded, divisor))[0, 0])


def adaptive_pool(before: Sizes, after: Sizes) -> Pool:
    """The pool of torch's adaptive average."""
    spans = [[(p * H // P, -(-(p + 1) * H // P)) for p in range(P)] for H, P in zip(before, after, strict=True)]
    lengths = [torch.tensor([stop - start for start, stop in axis], dtype=torch.float64) for axis in spans]
    counts = lengths[0]
    for other in lengths[1:]:
        counts = counts[..., None] * other

    def along(axis: int) -> resampling.Along:
        return lambda x: torch.stack([x[:, start:stop].sum(1) for start, stop in spans[axis]], 1)

    return Pool(before, along, counts)


def _avg_pool3d(
    b: Builder,
    out: TensorType,
    x: Value,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    ceil: bool = False,
    padded: bool = True,
    divisor: int | None = None,
) -> Value:
    return window_pool(x.shape[-3:], kernel, stride, padding, ceil, padded, divisor).average(b, x)


def _avg_pool3d_backward(b: Builder, out: TensorType, g: Value, x: Value, *options: Any) -> Value:
    return window_pool(x.shape[-3:], *options).spread(b, g)


def _adaptive3d(b: Builder, out: TensorType, x: Value, size: Sizes) -> Value:
    return adaptive_pool(x.shape[-3:], size).average(b, x)


def _adaptive3d_backward(b: Builder, out: TensorType, g: Value, x: Value) -> Value:
    return adaptive_pool(x.shape[-3:], g.shape[-3:]).spread(b, g)


LINEAR = aten.upsample_bilinear2d.default
CUBIC, NEAREST = aten.upsample_bicubic2d.default, aten.upsample_nearest2d.default
LINEAR_AA, CUBIC_AA = aten._upsample_bilinear2d_aa.default, aten._upsample_bicubic2d_aa.default
EXACT = aten._upsample_nearest_exact2d.default
INTERPOLATIONS = {
    "upsample_linear1d": LINEAR,
    "upsample_bilinear2d": LINEAR,
    "upsample_trilinear3d": LINEAR,
    "upsample_bicubic2d": CUBIC,
    "_upsample_bilinear2d_aa": LINEAR_AA,
    "_upsample_bicubic2d_aa": CUBIC_AA,
}
NEARESTS = {"upsample_nearest1d": NEAREST, "upsample_nearest3d": NEAREST} | {
    f"_upsample_nearest_exact{n}d": EXACT for n in (1, 2, 3)
}
PADS = {f"reflection_pad{n}d": aten.reflection_pad1d.default for n in (1, 2, 3)} | {
    f"replication_pad{n}d": aten.replication_pad1d.default for n in (1, 2, 3)
}
KINDS = (
    (INTERPOLATIONS, _interpolation, _interpolation_backward),
    (NEARESTS, _nearest, _nearest_backward),
    (PADS, _own_pad, _own_pad_backward),
)
RULES: dict[Any, Rule] = {
    aten.avg_pool3d.default: _avg_pool3d,
    aten.avg_pool3d_backward.default: _avg_pool3d_backward,
    aten._adaptive_avg_pool3d.default: _adaptive3d,
    aten._adaptive_avg_pool3d_backward.default: _adaptive3d_backward,
}
for names, make, make_backward in KINDS:
    RULES |= {getattr(aten, name).default: make(op) for name, op in names.items()}
    RULES |= {getattr(aten, f"{name}_backward").default: make_backward(op) for name, op in names.items()}
