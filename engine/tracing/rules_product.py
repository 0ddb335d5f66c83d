"""ATen's matrix products and convolutions, with their gradients. builder.width is the width of each product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from engine.tracing.builder import Builder, Scalar, Value
from engine.tracing.errors import TraceError
from engine.tracing.rules_elementwise import Rule
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


class Window:
    """The geometry of a convolution, one- or two-dimensional; a one-dimensional image is one row high."""

    def __init__(self, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int) -> None:
        self.flat = len(stride) == 1
        if len(stride) > 2:
            raise TraceError("trace: convolution: got 3 spatial axes, want 1 or 2")
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
    window = Window(stride, padding, dilation, groups)
    size = (1, out.shape[2]) if window.flat else out.shape[2:]
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
    window = Window(stride, padding, dilation, groups)
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
    aten.mv.default: _mv,
    aten.dot.default: _dot,
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
}
