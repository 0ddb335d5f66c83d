"""Matrix products and convolutions from plain float32 arrays: nothing is packed, quantised or reordered beforehand."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from bench.case import Case, Competitors, Work, backend, normal

Shape = tuple[int, int, int]
Sizes = tuple[tuple[int, ...], tuple[int, ...], int, int]

SQUARES = ((1024, 1024, 1024), (2048, 2048, 2048))
MODELS = ((4096, 768, 3072), (768, 4096, 3072))
SMALL = ((64, 64, 64), (128, 128, 128), (256, 256, 256))
VECTORS = ((1, 4096, 4096), (4096, 4096, 1))
ROWS = ((4, 4096, 4096), (8, 4096, 4096))  # a batch of decoding: some rows, a linear layer's weight
HEADS = (96, 256, 64)  # batch times heads, positions, features of a head
# (input, weight, stride, padding) at batch 8 of ResNet's stages, then of ConvNeXt's, EfficientNet's and MobileNet's
# depthwise filters and of ResNeXt's groups.
CONVOLUTIONS: dict[str, Sizes] = {
    "3x3 64 at 56": ((8, 64, 56, 56), (64, 64, 3, 3), 1, 1),
    "3x3 128 at 28": ((8, 128, 28, 28), (128, 128, 3, 3), 1, 1),
    "3x3 stride 2 128 to 256 at 28": ((8, 128, 28, 28), (256, 128, 3, 3), 2, 1),
    "3x3 512 at 7": ((8, 512, 7, 7), (512, 512, 3, 3), 1, 1),
    "1x1 256 to 64 at 56": ((8, 256, 56, 56), (64, 256, 1, 1), 1, 0),
    "1x1 64 to 256 at 56": ((8, 64, 56, 56), (256, 64, 1, 1), 1, 0),
    "1x1 stride 2 256 to 512 at 56": ((8, 256, 56, 56), (512, 256, 1, 1), 2, 0),
    "7x7 stride 2 3 to 64 at 224": ((8, 3, 224, 224), (64, 3, 7, 7), 2, 3),
    "depthwise 7x7 96 at 56": ((8, 96, 56, 56), (96, 1, 7, 7), 1, 3),
    "depthwise 5x5 672 at 14": ((8, 672, 14, 14), (672, 1, 5, 5), 1, 2),
    "depthwise 3x3 stride 2 96 at 112": ((8, 96, 112, 112), (96, 1, 3, 3), 2, 1),
    "grouped 3x3 128 in 32 at 56": ((8, 128, 56, 56), (128, 4, 3, 3), 1, 1),
}


def operands(layout: str, shape: Shape, batch: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """a [..., M, K] and b [..., K, N]; a letter T makes its operand a transposed view of a row-major array."""
    M, K, N = shape
    a = normal(*batch, M, K) if layout[0] == "N" else normal(*batch, K, M).swapaxes(-1, -2)
    b = normal(*batch, K, N, seed=1) if layout[1] == "N" else normal(*batch, N, K, seed=1).swapaxes(-1, -2)
    return a, b


def onednn(a: torch.Tensor, b: torch.Tensor) -> Work:
    """oneDNN's float32 inner product; b's transpose is its weight, given as a view and reordered inside the call."""
    return partial(torch.ops.mkldnn._linear_pointwise, a, b.t(), None, "none", [], "")


def product(width: str, layout: str, shape: Shape, batch: tuple[int, ...], threads: int) -> Competitors:
    """One product beside torch.matmul and, for plain matrices, oneDNN."""
    a, b = operands(layout, shape, batch)
    ours = partial(backend().run, "matmul", [a, b], {"width": width}, threads=threads)
    p, q = torch.from_numpy(a), torch.from_numpy(b)
    rivals: dict[str, Work] = {"torch": partial(torch.matmul, p, q)}
    if not batch and torch.backends.mkldnn.is_available():
        rivals["onednn"] = onednn(p, q)
    return Competitors(ours, rivals)


def product_case(
    width: str,
    layout: str,
    shape: Shape,
    label: str = "",
    batch: tuple[int, ...] = (),
    isa: str | None = None,
    quick: bool = False,
) -> Case:
    """The case of one width, layout and shape M x K x N; one with few rows or columns is bound by reading the other."""
    sizes = "x".join(map(str, (*batch, *shape)))
    name = " ".join(word for word in (isa or "", label, width, layout, sizes) if word)
    M, K, N = shape
    prepare = partial(product, width, layout, shape, batch)
    if min(M, N) <= 8:
        return Case(name, prepare, 4 * int(np.prod(batch)) * (M * K + K * N + M * N), "read", isa, quick)
    return Case(name, prepare, 2 * int(np.prod([*batch, *shape])), width, isa, quick)


def convolution(kind: str, width: str, sizes: Sizes, threads: int) -> Competitors:
    """A convolution or one of its gradients beside torch's, which is oneDNN's where torch has it."""
    x_shape, w_shape, stride, padding = sizes
    x, w, groups = normal(*x_shape), normal(*w_shape, seed=1), x_shape[1] // w_shape[1]
    p, q = torch.from_numpy(x), torch.from_numpy(w)
    forward = partial(torch.nn.functional.conv2d, p, q, None, stride, padding, 1, groups)
    strides, paddings = (stride, stride), (padding, padding)
    shared = {"stride": strides, "padding": paddings, "dilation": (1, 1), "groups": groups, "width": width}
    run = partial(backend().run, threads=threads)
    if kind == "conv":
        return Competitors(partial(run, "conv", [x, w], shared), {"torch": forward})
    gradient = normal(*forward().shape, seed=2)
    mask = [kind == "conv_grad_input", kind == "conv_grad_weight", False]
    numbers = (None, strides, paddings, (1, 1), False, (0, 0), groups, mask)
    theirs = partial(torch.ops.aten.convolution_backward, torch.from_numpy(gradient), p, q, *numbers)
    inputs = [gradient, w] if mask[0] else [gradient, x]
    size = x_shape[2:] if mask[0] else w_shape[2:]
    return Competitors(partial(run, kind, inputs, {"size": size, **shared}), {"torch": theirs})


def convolution_case(kind: str, width: str, label: str) -> Case:
    """The case of one convolution; its work counts the multiply-adds of all windows, also those in the padding."""
    sizes = CONVOLUTIONS[label]
    x, w, stride, _ = sizes
    work = 2 * x[0] * int(np.prod(w)) * (x[2] // stride) * (x[3] // stride)
    return Case(f"{kind} {width} {label}", partial(convolution, kind, width, sizes), work, width)


def cases() -> list[Case]:
    """Every product, narrow and wide."""
    found = []
    for width in ("narrow", "wide"):
        for shape in (*SQUARES, *MODELS):
            found += [product_case(width, layout, shape) for layout in ("NN", "NT", "TN")]
        found += [
            product_case(width, "NT", (HEADS[1], HEADS[2], HEADS[1]), "attention", HEADS[:1]),
            product_case(width, "NN", (HEADS[1], HEADS[1], HEADS[2]), "attention", HEADS[:1]),
        ]
        found += [product_case(width, "NN", shape, "small", quick=shape[0] < 256) for shape in SMALL]
        found += [product_case(width, "NN", shape, "vector") for shape in VECTORS]
        found += [product_case(width, "NT", shape, "vector") for shape in ROWS]
        found += [product_case(width, "NN", shape, isa="avx2") for shape in (*SQUARES, *MODELS)]
        for kind in ("conv", "conv_grad_input", "conv_grad_weight"):
            found += [convolution_case(kind, width, label) for label in CONVOLUTIONS]
    return found
