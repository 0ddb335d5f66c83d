"""ATen's pooling and upsampling: window maxima by index, tiles by reshape and sum."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from engine.tracing.builder import Builder, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule
from engine.tracing.rules_reduction import total
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
    index = b.emit("max_pool_index", [image], **options, dilation=_pair(dilation, (1, 1)))
    if index.shape[2:] != out[1].shape[-2:]:
        raise TraceError("trace: max_pool2d: got ceil_mode=True with a last partial window, want ceil_mode=False")
    N, C, H, W = image.shape
    P, Q = index.shape[2:]
    flat = b.reshape(index, (N, C, P * Q))
    value = b.emit("gather", [b.reshape(image, (N, C, H * W)), flat], axis=2)
    return b.reshape(value, out[0].shape), b.reshape(index, out[1].shape)


def _max_pool_backward(b: Builder, out: TensorType, g: Value, x: Value, *rest: Any) -> Value:
    index = rest[-1]
    H, W = x.shape[-2:]
    rows = prod(x.shape[:-2])
    flat = (rows, prod(g.shape[-2:]))
    base = b.full(0, "float32", (rows, H * W))
    added = b.emit("scatter_add", [base, b.reshape(index, flat), b.reshape(g, flat)], axis=1)
    return b.reshape(added, x.shape)


class Tiles:
    """An average pool whose windows do not overlap: a reshape and a sum."""

    def __init__(
        self, x: Value, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], what: str
    ) -> None:
        self.kernel = _pair(kernel, ())
        H, W = x.shape[-2:]
        if _pair(stride, self.kernel) != self.kernel or any(padding) or H % self.kernel[0] or W % self.kernel[1]:
            raise TraceError(
                f"trace: {what}: got overlapping, padded or partial windows, want windows that tile the image"
            )
        self.P, self.Q = H // self.kernel[0], W // self.kernel[1]
        self.lead = x.shape[:-2]

    def average(self, b: Builder, x: Value) -> Value:
        parted = b.reshape(x, (prod(self.lead), self.P, self.kernel[0], self.Q, self.kernel[1]))
        summed = total(b, parted, (2, 4)) / float(prod(self.kernel))
        return b.reshape(summed, (*self.lead, self.P, self.Q))

    def repeat(self, b: Builder, g: Value) -> Value:
        R, S = self.kernel
        apart = b.reshape(g, (prod(self.lead), self.P, 1, self.Q, 1))
        wide = b.broadcast(apart, (prod(self.lead), self.P, R, self.Q, S))
        return b.reshape(wide, (*self.lead, self.P * R, self.Q * S))


def _avg_pool(
    b: Builder,
    out: TensorType,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    *_: Any,
) -> Value:
    return Tiles(x, kernel, stride, padding, "avg_pool2d").average(b, x)


def _avg_pool_backward(
    b: Builder,
    out: TensorType,
    g: Value,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    *_: Any,
) -> Value:
    tiles = Tiles(x, kernel, stride, padding, "avg_pool2d")
    return tiles.repeat(b, g / float(prod(tiles.kernel)))


def _adaptive(x: Value, size: Sequence[int]) -> Tiles:
    H, W = x.shape[-2:]
    if H % size[0] or W % size[1]:
        raise TraceError(f"trace: adaptive_avg_pool2d: got {H} x {W} to {size[0]} x {size[1]}, want sizes that divide")
    return Tiles(x, (H // size[0], W // size[1]), (), (), "adaptive_avg_pool2d")


def _adaptive_avg_pool(b: Builder, out: TensorType, x: Value, size: Sequence[int]) -> Value:
    return _adaptive(x, size).average(b, x)


def _adaptive_avg_pool_backward(b: Builder, out: TensorType, g: Value, x: Value) -> Value:
    tiles = _adaptive(x, g.shape[-2:])
    return tiles.repeat(b, g / float(prod(tiles.kernel)))


def _upsample(b: Builder, out: TensorType, x: Value, *_: Any) -> Value:
    (H, W), (P, Q) = x.shape[-2:], out.shape[-2:]
    if P % H or Q % W:
        raise TraceError(f"trace: upsample_nearest2d: got {H} x {W} to {P} x {Q}, want whole factors")
    lead = prod(x.shape[:-2])
    wide = b.broadcast(b.reshape(x, (lead, H, 1, W, 1)), (lead, H, P // H, W, Q // W))
    return b.reshape(wide, out.shape)


def _upsample_backward(b: Builder, out: TensorType, g: Value, *_: Any) -> Value:
    (H, W), (P, Q) = out.shape[-2:], g.shape[-2:]
    if P % H or Q % W:
        raise TraceError(f"trace: upsample_nearest2d: got {H} x {W} to {P} x {Q}, want whole factors")
    parted = b.reshape(g, (prod(out.shape[:-2]), H, P // H, W, Q // W))
    return b.reshape(total(b, parted, (2, 4)), out.shape)


RULES: dict[Any, Rule] = {
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
    aten.avg_pool2d.default: _avg_pool,
    aten.avg_pool2d_backward.default: _avg_pool_backward,
    aten._adaptive_avg_pool2d.default: _adaptive_avg_pool,
    aten._adaptive_avg_pool2d_backward.default: _adaptive_avg_pool_backward,
    aten.upsample_nearest2d.default: _upsample,
    aten.upsample_nearest2d_backward.default: _upsample_backward,
}
