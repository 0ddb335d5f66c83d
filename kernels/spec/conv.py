"""Convolution of images and its two gradients: exact integer products, rounded once.

Axes: N samples, G groups, C channels and O outputs of one group here, H W image, R S filter, P Q places of the filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kernels.spec.matmul import check_terms, qmax
from kernels.spec.operator import Array, AttributeKind, Attributes, Operator, check_dtypes, want
from kernels.spec.rounding import NAN, is_finite, maxima, product_scale, quantise, store
from kernels.spec.window import check_window, places, places_of
from kernels.types import TensorType

Types = Sequence[TensorType]
Groups = list[tuple[Array, tuple[int, ...]]]
Pair = Sequence[int]


def _conv_rule(types: Types, attributes: Attributes) -> TensorType:
    (x, w), groups = types, attributes["groups"]
    _check("conv", types, attributes, f"x {x} and w {w}")
    (n, c, h, wide), (o, c_group, r, s) = x.shape, w.shape
    want(c == groups * c_group, "conv", f"x {x}, w {w} and {groups} groups", "x.shape[1] == groups * w.shape[1]")
    want(o % groups == 0, "conv", f"w {w} and {groups} groups", "w.shape[0] divisible by groups")
    p, q = places("conv", (h, wide), (r, s), attributes)
    check_terms("conv", attributes["width"], c_group * r * s)
    return TensorType("float32", (n, o, p, q))


def _grad_input_rule(types: Types, attributes: Attributes) -> TensorType:
    (g, w), groups, size = types, attributes["groups"], tuple(attributes["size"])
    _check("conv_grad_input", types, attributes, f"g {g} and w {w}")
    (n, o, *pq), (o_filter, c_group, r, s) = g.shape, w.shape
    got = f"g {g}, w {w}, {groups} groups and size {size}"
    want(o == o_filter and o % groups == 0, "conv_grad_input", got, "g.shape[1] == w.shape[0], divisible by groups")
    want(tuple(pq) == places("conv_grad_input", size, (r, s), attributes), "conv_grad_input", got, "g of conv's shape")
    check_terms("conv_grad_input", attributes["width"], o // groups * r * s)
    return TensorType("float32", (n, groups * c_group, *size))


def _grad_weight_rule(types: Types, attributes: Attributes) -> TensorType:
    (g, x), groups, size = types, attributes["groups"], tuple(attributes["size"])
    _check("conv_grad_weight", types, attributes, f"g {g} and x {x}")
    (n, o, p, q), (n_image, c, h, wide) = g.shape, x.shape
    got = f"g {g}, x {x}, {groups} groups and size {size}"
    want(n == n_image, "conv_grad_weight", got, "g.shape[0] == x.shape[0]")
    want(o % groups == 0 and c % groups == 0, "conv_grad_weight", got, "g.shape[1] and x.shape[1] divisible by groups")
    placed = places("conv_grad_weight", (h, wide), size, attributes)
    want((p, q) == placed, "conv_grad_weight", got, "g of conv's shape")
    check_terms("conv_grad_weight", attributes["width"], n * p * q)
    return TensorType("float32", (o, c // groups, *size))


def _check(name: str, types: Types, attributes: Attributes, got: str) -> None:
    """What the three operators ask alike: float32, rank 4, groups, pairs in range."""
    check_dtypes(name, types, ("float32",))
    want(all(len(operand.shape) == 4 for operand in types), name, got, "rank 4")
    want(1 <= attributes["groups"] <= 2**31, name, f"{attributes['groups']} groups", "1 or more")
    check_window(name, attributes)
    size = attributes.get("size", (0, 0))
    want(len(size) == 2 and min(size) >= 0, name, f"size {tuple(size)}", "a pair of 0 or more")


def conv(x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int, width: str) -> Array:
    """The cross-correlation of images with filters, exact in integers and rounded once.

    x:       [N, G * C, H, W] float32
    w:       [G * O, C, R, S] float32
    returns: [N, G * O, P, Q] float32

    Value:    y[n, o, p, q] = sum over c, r, s of x[n, c, p * stride + r * dilation - padding, ...] * w[o, c, r, s]
    Scale:    a power of two per (sample, group) of x and per output channel of w; K = C * R * S
    Rounding: each operand once to an integer, the exact sum once to float32
    Special:  padding is integer 0; a NaN or an infinity makes every output that uses its scale NaN
    Gradient: x <- conv_grad_input(g, w), w <- conv_grad_weight(g, x)
    """
    limit = qmax(width, w.shape[1] * w.shape[2] * w.shape[3])
    images, filters = _grouped(x, 1, groups), _grouped(w, 0, groups)  # [N, G, C, H, W], [G, O, C, R, S]
    m, k = maxima(images, (2, 3, 4)), maxima(filters, (2, 3, 4))  # [N, G], [G, O]
    s, t = product_scale(m, limit), product_scale(k, limit)
    q_images = _padded(quantise(images, s[..., None, None, None]), padding)
    q_filters = quantise(filters, t[..., None, None, None])
    sizes = places_of(x.shape[2:], w.shape[2:], stride, padding, dilation)
    total = np.zeros((x.shape[0], *filters.shape[:2], *sizes), np.int64)  # [N, G, O, P, Q]
    for r, s_, window in windows(w.shape[2:], sizes, stride, dilation):
        total += np.einsum("ngcpq,goc->ngopq", q_images[window], q_filters[:, :, :, r, s_])
    scale = s[:, :, None, None, None] + t[None, :, :, None, None]
    finite = is_finite(m)[:, :, None, None, None] & is_finite(k)[None, :, :, None, None]
    return np.where(finite, store(total, scale), NAN).reshape(x.shape[0], w.shape[0], *sizes)


def conv_grad_input(
    g: Array, w: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int, width: str
) -> Array:
    """The gradient of conv by its images; also the transposed convolution.

    g:       [N, G * O, P, Q] float32
    w:       [G * O, C, R, S] float32
    returns: [N, G * C, H, W] float32 for size = (H, W)

    Value:    x[n, c, h, w] = sum of g[n, o, p, q] * w[o, c, r, s] over the o, p, q, r, s that meet it in conv
    Scale:    a power of two per (sample, group) of g and per (group, input channel) of w; K = O * R * S
    Rounding: each operand once to an integer, the exact sum once to float32
    Special:  a NaN or an infinity makes every output that uses its scale NaN; an element no window meets is +0
    Gradient: g <- conv(v, w), w <- conv_grad_weight(g, v), for the gradient v of the result
    """
    limit = qmax(width, w.shape[0] // groups * w.shape[2] * w.shape[3])
    grads, filters = _grouped(g, 1, groups), _grouped(w, 0, groups)  # [N, G, O, P, Q], [G, O, C, R, S]
    m, k = maxima(grads, (2, 3, 4)), maxima(filters, (1, 3, 4))  # [N, G], [G, C]
    s, t = product_scale(m, limit), product_scale(k, limit)
    q_grads = quantise(grads, s[..., None, None, None])
    q_filters = quantise(filters, t[:, None, :, None, None])
    height, width_ = (extent + 2 * edge for extent, edge in zip(size, padding, strict=True))
    total = np.zeros((g.shape[0], groups, w.shape[1], height, width_), np.int64)  # [N, G, C, H, W] with padding
    for r, s_, window in windows(w.shape[2:], g.shape[2:], stride, dilation):
        total[window] += np.einsum("ngopq,goc->ngcpq", q_grads, q_filters[:, :, :, r, s_])
    total = total[..., padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]
    scale = s[:, :, None, None, None] + t[None, :, :, None, None]
    finite = is_finite(m)[:, :, None, None, None] & is_finite(k)[None, :, :, None, None]
    return np.where(finite, store(total, scale), NAN).reshape(g.shape[0], groups * w.shape[1], *size)


def conv_grad_weight(
    g: Array, x: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int, width: str
) -> Array:
    """The gradient of conv by its filters.

    g:       [N, G * O, P, Q] float32
    x:       [N, G * C, H, W] float32
    returns: [G * O, C, R, S] float32 for size = (R, S)

    Value:    w[o, c, r, s] = sum over n, p, q of g[n, o, p, q] * x[n, c, p * stride + r * dilation - padding, ...]
    Scale:    a power of two per output channel of g and per input channel of x; K = N * P * Q
    Rounding: each operand once to an integer, the exact sum once to float32
    Special:  padding is integer 0; a NaN or an infinity makes every output that uses its scale NaN
    Gradient: g <- conv(x, v), x <- conv_grad_input(g, v), for the gradient v of the result
    """
    limit = qmax(width, g.shape[0] * g.shape[2] * g.shape[3])
    grads, images = _grouped(g, 1, groups), _grouped(x, 1, groups)  # [N, G, O, P, Q], [N, G, C, H, W]
    m, k = maxima(grads, (0, 3, 4)), maxima(images, (0, 3, 4))  # [G, O], [G, C]
    s, t = product_scale(m, limit), product_scale(k, limit)
    q_grads = quantise(grads, s[..., None, None])
    q_images = _padded(quantise(images, t[..., None, None]), padding)
    total = np.zeros((*m.shape, k.shape[1], *size), np.int64)  # [G, O, C, R, S]
    for r, s_, window in windows(size, g.shape[2:], stride, dilation):
        total[..., r, s_] = np.einsum("ngopq,ngcpq->goc", q_grads, q_images[window])
    scale = s[:, :, None, None, None] + t[:, None, :, None, None]
    finite = is_finite(m)[:, :, None, None, None] & is_finite(k)[:, None, :, None, None]
    return np.where(finite, store(total, scale), NAN).reshape(g.shape[1], k.shape[1], *size)


def _grouped(x: Array, axis: int, groups: int) -> Array:
    """x with its channels split: [..., G * C, ...] becomes [..., G, C, ...]."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def _padded(x: Array, padding: Pair) -> Array:
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(edge, edge) for edge in padding])


def windows(filters: Pair, sizes: Pair, stride: Pair, dilation: Pair) -> Iterator[tuple[int, int, Any]]:
    """(r, s, what to index the padded [..., H, W] with to get the [..., P, Q] that filter element (r, s) meets)."""
    for r in range(filters[0]):
        for s in range(filters[1]):
            first = r * dilation[0], s * dilation[1]
            yield r, s, (..., *(slice(a, a + (n - 1) * d + 1, d) for a, n, d in zip(first, sizes, stride, strict=True)))


def _conv_groups(inputs: Sequence[Array], attributes: Attributes) -> Groups:
    x, w = inputs
    return [(_grouped(x, 1, attributes["groups"]), (2, 3, 4)), (w, (1, 2, 3))]


def _grad_input_groups(inputs: Sequence[Array], attributes: Attributes) -> Groups:
    g, w = (_grouped(x, axis, attributes["groups"]) for x, axis in zip(inputs, (1, 0), strict=True))
    return [(g, (2, 3, 4)), (w, (1, 3, 4))]


def _grad_weight_groups(inputs: Sequence[Array], attributes: Attributes) -> Groups:
    return [(inputs[0], (0, 2, 3)), (inputs[1], (0, 2, 3))]


PAIRS: dict[str, AttributeKind] = {"stride": "ints", "padding": "ints", "dilation": "ints"}
WINDOW: dict[str, AttributeKind] = {**PAIRS, "groups": "int", "width": "width"}
SIZED: dict[str, AttributeKind] = {"size": "ints", **WINDOW}
OPERATORS = (
    Operator("conv", "product", ("x", "w"), _conv_rule, conv, WINDOW, _conv_groups),
    Operator("conv_grad_input", "product", ("g", "w"), _grad_input_rule, conv_grad_input, SIZED, _grad_input_groups),
    Operator(
        "conv_grad_weight", "product", ("g", "x"), _grad_weight_rule, conv_grad_weight, SIZED, _grad_weight_groups
    ),
)
