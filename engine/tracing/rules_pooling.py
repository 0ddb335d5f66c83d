"""ATen's pooling and upsampling: window maxima by index, tiles by reshape and sum."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch

from engine.tracing import resampling
from engine.tracing.builder import Builder, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule
from engine.tracing.rules_reduction import total
from engine.tracing.rules_resampling import NEAREST, Pool, adaptive_pool, nearest_indices, window_pool
from kernels.types import TensorType

aten = torch.ops.aten


def _pair(numbers: Sequence[int], default: Sequence[int]) -> tuple[int, int]:
    chosen = list(numbers) or list(default)
    return (chosen[0], chosen[-1])


def _image(b: Builder, x: Value) -> Value:
    return x if x.rank == 4 else b.reshape(x, (1, *x.shape))


def _max_pool(
    b: Builder,
    out: Any,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Value, Value]:
    image, kernel = _image(b, x), _pair(kernel, ())
    options = {"kernel": kernel, "stride": _pair(stride, kernel), "padding": _pair(padding, (0, 0))}
    N, C, H, W = image.shape
    P, Q = out[1].shape[-2:]
    low = _windows_beyond(image.shape[2:], (P, Q), **options, dilation=_pair(dilation, (1, 1)))
    padded = b.pad(image, (0,) * 4, (0, 0, *low), float("-inf"))
    index = b.emit("max_pool_index", [padded], **options, dilation=_pair(dilation, (1, 1)))
    if low[1]:  # rows of the padded image are longer
        row, column = (b.binary(op, index, W + low[1]) for op in ("floor_divide", "remainder"))
        index = row * W + column
    flat = b.reshape(index, (N, C, P * Q))
    value = b.emit("gather", [b.reshape(image, (N, C, H * W)), flat], axis=2)
    return b.reshape(value, out[0].shape), b.reshape(index, out[1].shape)


def _windows_beyond(
    sizes: Sequence[int], after: Sequence[int], kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[int, int]:
    """How far the last windows reach beyond the image and its padding, where ceil_mode keeps partial ones."""
    spans = zip(sizes, after, kernel, stride, padding, dilation, strict=True)
    first, second = (max(0, (P - 1) * s + d * (k - 1) + 1 - (H + 2 * p)) for H, P, k, s, p, d in spans)
    return first, second


def _max_pool_backward(b: Builder, out: TensorType, g: Value, x: Value, *rest: Any) -> Value:
    index = rest[-1]
    H, W = x.shape[-2:]
    rows = prod(x.shape[:-2])
    flat = (rows, prod(g.shape[-2:]))
    base = b.full(0, "float32", (rows, H * W))
    added = b.emit("scatter_add", [base, b.reshape(index, flat), b.reshape(g, flat)], axis=1)
    return b.reshape(added, x.shape)


class Tiles:
    """An average pool whose windows tile the image: a reshape and a sum."""

    def __init__(self, sizes: Sequence[int], kernel: Sequence[int]) -> None:
        self.kernel = kernel
        self.P, self.Q = sizes[0] // kernel[0], sizes[1] // kernel[1]

    def average(self, b: Builder, x: Value) -> Value:
        """The means of the windows of x[..., H, W]."""
        lead = x.shape[:-2]
        parted = b.reshape(x, (prod(lead), self.P, self.kernel[0], self.Q, self.kernel[1]))
        summed = total(b, parted, (2, 4)) / float(prod(self.kernel))
        return b.reshape(summed, (*lead, self.P, self.Q))

    def spread(self, b: Builder, g: Value) -> Value:
        """The gradient: each mean's share to every element of its window."""
        (R, S), lead = self.kernel, g.shape[:-2]
        apart = b.reshape(g / float(R * S), (prod(lead), self.P, 1, self.Q, 1))
        wide = b.broadcast(apart, (prod(lead), self.P, R, self.Q, S))
        return b.reshape(wide, (*lead, self.P * R, self.Q * S))


def _avg_pool_of(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil: bool = False,
    padded: bool = True,
    divisor: int | None = None,
) -> Tiles | Pool:
    kernel = _pair(kernel, ())
    tiles = _pair(stride, kernel) == kernel and not any(padding) and divisor in (None, prod(kernel))
    if tiles and not (sizes[0] % kernel[0] or sizes[1] % kernel[1]):
        return Tiles(sizes, kernel)
    return window_pool(sizes, kernel, _pair(stride, kernel), _pair(padding, ()), ceil, padded, divisor)


def _avg_pool(b: Builder, out: TensorType, x: Value, *options: Any) -> Value:
    return _avg_pool_of(x.shape[-2:], *options).average(b, x)


def _avg_pool_backward(b: Builder, out: TensorType, g: Value, x: Value, *options: Any) -> Value:
    return _avg_pool_of(x.shape[-2:], *options).spread(b, g)


def _adaptive(sizes: Sequence[int], after: Sequence[int]) -> Tiles | Pool:
    H, W = sizes
    if H % after[0] or W % after[1]:
        return adaptive_pool(sizes, after)
    return Tiles(sizes, (H // after[0], W // after[1]))


def _adaptive_avg_pool(b: Builder, out: TensorType, x: Value, size: Sequence[int]) -> Value:
    return _adaptive(x.shape[-2:], size).average(b, x)


def _adaptive_avg_pool_backward(b: Builder, out: TensorType, g: Value, x: Value) -> Value:
    return _adaptive(x.shape[-2:], g.shape[-2:]).spread(b, g)


def _adaptive_max_pool(b: Builder, out: Any, x: Value, size: Sequence[int]) -> tuple[Value, Value]:
    H, W = x.shape[-2:]
    if H % size[0] or W % size[1]:
        raise TraceError(f"trace: adaptive_max_pool2d: got {H} x {W} to {size[0]} x {size[1]}, want sizes that divide")
    return _max_pool(b, out, x, (H // size[0], W // size[1]))


def _is_whole(before: Sequence[int], after: Sequence[int], scales: Sequence[float | None]) -> bool:
    """Whether each element is repeated a whole number of times."""
    chosen = nearest_indices(NEAREST, before, after, scales)
    return all(
        P % H == 0 and np.array_equal(ids, np.arange(P) // (P // H))
        for H, P, ids in zip(before, after, chosen, strict=True)
    )


def _upsample(b: Builder, out: TensorType, x: Value, size: Sequence[int], *scales: float | None) -> Value:
    (H, W), (P, Q) = x.shape[-2:], out.shape[-2:]
    if not _is_whole((H, W), (P, Q), scales):
        return resampling.take(b, x, nearest_indices(NEAREST, (H, W), (P, Q), scales))
    lead = prod(x.shape[:-2])
    wide = b.broadcast(b.reshape(x, (lead, H, 1, W, 1)), (lead, H, P // H, W, Q // W))
    return b.reshape(wide, out.shape)


def _upsample_backward(
    b: Builder, out: TensorType, g: Value, size: Sequence[int], before: Sequence[int], *scales: float | None
) -> Value:
    (H, W), (P, Q) = out.shape[-2:], g.shape[-2:]
    if not _is_whole((H, W), (P, Q), scales):
        return resampling.put(b, g, nearest_indices(NEAREST, (H, W), (P, Q), scales), (H, W))
    parted = b.reshape(g, (prod(out.shape[:-2]), H, P // H, W, Q // W))
    return b.reshape(total(b, parted, (2, 4)), out.shape)


RULES: dict[Any, Rule] = {
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
    aten.avg_pool2d.default: _avg_pool,
    aten.avg_pool2d_backward.default: _avg_pool_backward,
    aten._adaptive_avg_pool2d.default: _adaptive_avg_pool,
    aten._adaptive_avg_pool2d_backward.default: _adaptive_avg_pool_backward,
    aten.adaptive_max_pool2d.default: _adaptive_max_pool,
    aten.adaptive_max_pool2d_backward.default: _max_pool_backward,
    aten.upsample_nearest2d.default: _upsample,
    aten.upsample_nearest2d_backward.default: _upsample_backward,
}
