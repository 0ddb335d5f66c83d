"""ATen's matrix products and convolutions, with their gradients. builder.width is the width of each product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from engine.tracing.builder import Builder, Scalar, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule
from engine.tracing.rules_layout import spread
from engine.tracing.rules_reduction import total
from kernels.types import TensorType

aten = torch.ops.aten


def matmul(b: Builder, x: Value, y: Value) -> Value:
    """The product at the builder's width; integers are multiplied and added one by one."""
    if x.dtype != "float32":
        raise TraceError(f"trace: matmul: got {x.type} and {y.type}, want float32; cast with .float()")
    return b.emit("matmul", [x, y], width=b.width)


def _mm(b: Builder, out: TensorType, x: Value, y: Value) -> Value:
    return matmul(b, x, y)


def _addmm(
    b: Builder, out: TensorType, bias: Value, x: Value, y: Value, *, beta: Scalar = 1, alpha: Scalar = 1
) -> Value:
    product = matmul(b, x, y)
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    return product + (bias if beta == 1 else bias * beta)


def _mv(b: Builder, out: TensorType, x: Value, y: Value) -> Value:
    return b.reshape(matmul(b, x, b.reshape(y, (*y.shape, 1))), out.shape)


def _dot(b: Builder, out: TensorType, x: Value, y: Value) -> Value:
    return b.reshape(matmul(b, b.reshape(x, (1, *x.shape)), b.reshape(y, (*y.shape, 1))), ())


def _addbmm(
    b: Builder, out: TensorType, bias: Value, x: Value, y: Value, *, beta: Scalar = 1, alpha: Scalar = 1
) -> Value:
    return bias * beta + total(b, matmul(b, x, y), 0) * alpha


def _trilinear(
    b: Builder, out: TensorType, x: Value, y: Value, z: Value, *axes: Sequence[int], unroll_dim: int = 1
) -> Value:
    """The product of three tensors, each with axes of size 1 inserted, summed over axes."""
    *expanded, summed = axes[:4]
    product: Value | None = None
    for value, inserted in zip((x, y, z), expanded, strict=True):
        shape = list(value.shape)
        for axis in inserted:
            shape.insert(axis, 1)
        wide = b.reshape(value, shape)
        product = wide if product is None else product * wide
    assert product is not None
    return total(b, product, list(summed))


class Window:
    """The geometry of a convolution over one or two axes; a one-dimensional image is one row high."""

    def __init__(self, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int) -> None:
        self.flat = len(stride) == 1
        self.attributes: dict[str, Any] = {
            "stride": self._pair(stride, 1),
            "padding": self._pair(padding, 0),
            "dilation": self._pair(dilation, 1),
            "groups": groups,
        }

    def _pair(self, numbers: Sequence[int], missing: int) -> tuple[int, ...]:
        return (missing, *numbers) if self.flat else tuple(numbers)

    def image(self, b: Builder, x: Value) -> Value:
        """[N, C, H, W] of an image or filter."""
        return b.reshape(x, (*x.shape[:2], 1, x.shape[2])) if self.flat else x

    def apply(self, b: Builder, op: str, first: Value, second: Value, size: tuple[int, ...] | None = None) -> Value:
        """One of the three convolutions on images as torch holds them."""
        options = {**self.attributes, "width": b.width} | ({"size": size} if size else {})
        value = b.emit(op, [self.image(b, first), self.image(b, second)], **options)
        return b.reshape(value, (*value.shape[:2], value.shape[3])) if self.flat else value

    def size(self, x: Value) -> tuple[int, ...]:
        """(H, W) of an image or filter."""
        return (1, x.shape[2]) if self.flat else x.shape[2:]


class Volume:
    """The geometry of a convolution over three axes: one over two of them, whose channels hold the first one's window.

    So a result is one exact sum, as over one or two axes: [N, C, D, H, W] becomes [N * A, C * K, H, W] for A places of
    a window of K.
    """

    def __init__(self, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int) -> None:
        self.stride, self.padding, self.dilation = stride[0], padding[0], dilation[0]
        self.window = Window(stride[1:], padding[1:], dilation[1:], groups)

    def apply(self, b: Builder, op: str, first: Value, second: Value, size: tuple[int, ...] | None = None) -> Value:
        """One of the three convolutions."""
        if op == "conv":
            x, w = self._unfolded(b, first, second.shape[2]), self._filter(b, second)
            return self._apart(b, self.window.apply(b, op, x, w), first.shape[0])
        assert size is not None, "a gradient knows the size of what it is the gradient of"
        g = self._joined(b, first)
        if op == "conv_grad_weight":
            w = self.window.apply(b, op, g, self._unfolded(b, second, size[0], first.shape[2]), size[1:])
            return b.reshape(w, (w.shape[0], w.shape[1] // size[0], *size))
        x = self.window.apply(b, op, g, self._filter(b, second), size[1:])
        return self._folded(b, x, first.shape[0], second.shape[2], size[0])

    def size(self, x: Value) -> tuple[int, ...]:
        """(D, H, W) of an image or filter."""
        return x.shape[2:]

    def _filter(self, b: Builder, w: Value) -> Value:
        C_out, C, K, R, S = w.shape
        return b.reshape(w, (C_out, C * K, R, S))

    def _joined(self, b: Builder, x: Value) -> Value:
        N, C, D, H, W = x.shape
        return b.reshape(b.permute(x, (0, 2, 1, 3, 4)), (N * D, C, H, W))

    def _apart(self, b: Builder, x: Value, N: int) -> Value:
        rows, C, H, W = x.shape
        return b.permute(b.reshape(x, (N, rows // N, C, H, W)), (0, 2, 1, 3, 4))

    def _starts(self, K: int) -> list[int]:
        return [k * self.dilation for k in range(K)]

    def _unfolded(self, b: Builder, x: Value, K: int, places: int | None = None) -> Value:
        N, C, D, H, W = x.shape
        A = places or (D + 2 * self.padding - self.dilation * (K - 1) - 1) // self.stride + 1
        edge = (0, 0, self.padding, 0, 0)
        x, reach = b.pad(x, edge, edge), (A - 1) * self.stride + 1
        parts = [b.reshape(b.slice(x, 2, k, k + reach, self.stride), (N, C, 1, A, H, W)) for k in self._starts(K)]
        return b.reshape(b.permute(b.concat(parts, 2), (0, 3, 1, 2, 4, 5)), (N * A, C * K, H, W))

    def _folded(self, b: Builder, x: Value, N: int, K: int, D: int) -> Value:
        """Each window's share added where it was taken from, the padding cut off."""
        rows, channels, H, W = x.shape
        parted = b.permute(b.reshape(x, (N, rows // N, channels // K, K, H, W)), (0, 2, 3, 1, 4, 5))
        shape = (N, channels // K, rows // N, H, W)
        shares = [b.reshape(b.slice(parted, 2, k, k + 1), shape) for k in range(K)]
        wide = D + 2 * self.padding
        placed = [spread(b, s, wide, 2, k, self.stride) for s, k in zip(shares, self._starts(K), strict=True)]
        total_ = placed[0]
        for share in placed[1:]:
            total_ = total_ + share
        return b.slice(total_, 2, self.padding, self.padding + D)


def window_of(x: Value, *numbers: Sequence[int], groups: int) -> Window | Volume:
    """The geometry of a convolution of x over one, two or three axes: stride, padding, dilation, one number or more."""
    axes = x.rank - 2
    stride, padding, dilation = (list(values) * (axes if len(values) == 1 else 1) for values in numbers)
    return (Window if axes < 3 else Volume)(stride, padding, dilation, groups)


def _channelwise(b: Builder, bias: Value, rank: int) -> Value:
    return b.reshape(bias, (1, bias.shape[0], *(1,) * (rank - 2)))


def _convolution(
    b: Builder,
    out: TensorType,
    x: Value,
    w: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    window = window_of(x, stride, padding, dilation, groups=groups)
    size = (1, *out.shape[2:]) if x.rank == 3 else out.shape[2:]
    if transposed:
        value = window.apply(b, "conv_grad_input", x, w, size)
    else:
        value = window.apply(b, "conv", x, w)
    return value if bias is None else value + _channelwise(b, bias, value.rank)


def _convolution_backward(
    b: Builder,
    out: Any,
    g: Value,
    x: Value,
    w: Value,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Value | None, ...]:
    window = window_of(x, stride, padding, dilation, groups=groups)
    to_x = to_w = to_bias = None
    if wanted[0]:
        to_x = window.apply(b, "conv", g, w) if transposed else window.apply(b, "conv_grad_input", g, w, window.size(x))
    if wanted[1]:
        pair = (x, g) if transposed else (g, x)
        to_w = window.apply(b, "conv_grad_weight", *pair, window.size(w))
    if wanted[2]:
        to_bias = total(b, g, [axis for axis in range(g.rank) if axis != 1])
    return to_x, to_w, to_bias


RULES: dict[Any, Rule] = {
    aten.mm.default: _mm,
    aten.bmm.default: _mm,
    aten.addmm.default: _addmm,
    aten.baddbmm.default: _addmm,
    aten.addbmm.default: _addbmm,
    aten._trilinear.default: _trilinear,
    aten.mv.default: _mv,
    aten.dot.default: _dot,
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
}
