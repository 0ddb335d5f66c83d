"""Where elements lie: flat row-major indices, layouts followed backwards, scale groups, the terms of an element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]
Attributes = Mapping[str, Any]
PRODUCTS = ("matmul", "conv", "conv_grad_input", "conv_grad_weight")
SCATTERS = ("add_rows", "scatter_add")


def size_of(shape: Sequence[int]) -> int:
    """The number of elements."""
    size = 1
    for axis in shape:
        size *= axis
    return size


def place_of(index: int, shape: Sequence[int]) -> Shape:
    """The place along each axis of a flat index."""
    place = []
    for axis in reversed(shape):
        place.append(index % axis)
        index //= axis
    return tuple(reversed(place))


def index_of(place: Sequence[int], shape: Sequence[int]) -> int:
    """The flat index of a place."""
    index = 0
    for at, axis in zip(place, shape, strict=True):
        index = index * axis + at
    return index


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout operator between a committed tensor and an operand.

    before, after: the shapes around it
    numbers:       permute: its axes; slice: the starts, then the steps; otherwise none
    """

    op: str
    before: Shape
    after: Shape
    numbers: Shape


def source_index(layouts: Sequence[Layout], index: int) -> int:
    """The flat index, before the layouts, of the element at a flat index behind them."""
    for layout in reversed(layouts):
        if layout.op != "reshape":
            index = index_of(_backwards(layout, place_of(index, layout.after)), layout.before)
    return index


def _backwards(layout: Layout, place: Shape) -> Shape:
    match layout.op:
        case "permute":
            return tuple(place[layout.numbers.index(axis)] for axis in range(len(layout.before)))
        case "broadcast":
            return tuple(at if axis != 1 else 0 for at, axis in zip(place, layout.before, strict=True))
        case "slice":
            starts, steps = layout.numbers[: len(place)], layout.numbers[len(place) :]
            return tuple(start + at * step for start, at, step in zip(starts, place, steps, strict=True))
    raise ValueError(f"layout: got {layout.op!r}, want reshape, permute, broadcast or slice")


@dataclass(frozen=True, slots=True)
class Groups:
    """A partition of a tensor, seen in the shape `view`: the kept axes number a group, the others run through it."""

    view: Shape
    kept: Shape

    @property
    def shape(self) -> Shape:
        """One number a group: the shape of what a reduction leaves."""
        return tuple(self.view[axis] for axis in self.kept)

    @property
    def members(self) -> int:
        """The number of elements of a group."""
        return size_of([axis for at, axis in enumerate(self.view) if at not in self.kept])

    def member(self, group: int, number: int) -> int:
        """The flat index of a group's element; they are numbered in row-major order."""
        free = [at for at in range(len(self.view)) if at not in self.kept]
        place = [0] * len(self.view)
        for at, where in zip(self.kept, place_of(group, self.shape), strict=True):
            place[at] = where
        for at, where in zip(free, place_of(number, [self.view[axis] for axis in free]), strict=True):
            place[at] = where
        return index_of(place, self.view)


def reduced(shape: Shape, axes: Sequence[int]) -> Groups:
    """The groups of a reduction over axes."""
    return Groups(shape, tuple(axis for axis in range(len(shape)) if axis not in axes))


def scale_groups(op: str, operand: int, shape: Shape, attributes: Attributes) -> Groups:
    """The groups of an operand that share one scale (docs/numerics.md, last table)."""
    match op, operand:
        case "sum", 0:
            return reduced(shape, attributes["axes"])
        case "cumsum", 0:
            return reduced(shape, [attributes["axis"]])
        case "matmul", 0:
            return reduced(shape, [len(shape) - 1])
        case "matmul", 1:
            return reduced(shape, [len(shape) - 2])
        case (("add_rows" | "scatter_add"), 2):
            return Groups(shape, ())
    return _conv_groups(op, operand, shape, attributes)


def _conv_groups(op: str, operand: int, shape: Shape, attributes: Attributes) -> Groups:
    first, channels, rest = shape[0], shape[1], size_of(shape[2:])
    match op, operand:
        case (("conv" | "conv_grad_input"), 0):
            groups = attributes["groups"]
            return Groups((first, groups, channels // groups * rest), (0, 1))
        case "conv", 1:
            return Groups((first, channels * rest), (0,))
        case "conv_grad_input", 1:
            groups = attributes["groups"]
            return Groups((groups, first // groups, channels, rest), (0, 2))
        case "conv_grad_weight", (0 | 1):
            return Groups((first, channels, rest), (1,))
    raise ValueError(f"scale: got operand {operand} of {op!r}, want an operand that is quantised")


def scale_index(
    op: str, operand: int, element: int, shapes: Sequence[Shape], out: Shape, attributes: Attributes
) -> int:
    """Which scale of an operand an output element uses. shapes: of the operands; out: of the output."""
    if op in SCATTERS:
        return 0
    if op == "sum":
        return element
    place = place_of(element, out)
    if op == "cumsum":
        axis = attributes["axis"]
        return index_of(place[:axis] + place[axis + 1 :], out[:axis] + out[axis + 1 :])
    if op == "matmul":
        kept = len(out) - 2 if operand == 0 else len(out) - 1
        return index_of((*place[:-2], place[kept]), (*out[:-2], out[kept]))
    return _conv_scale(op, operand, place, shapes, out, attributes)


def _conv_scale(
    op: str, operand: int, place: Shape, shapes: Sequence[Shape], out: Shape, attributes: Attributes
) -> int:
    groups = attributes["groups"]
    if op == "conv":
        return place[0] * groups + place[1] // (out[1] // groups) if operand == 0 else place[1]
    each = shapes[1][1]  # input channels of a group
    if op == "conv_grad_input":
        group = place[1] // each
        return place[0] * groups + group if operand == 0 else group * each + place[1] % each
    if operand == 0:
        return place[0]
    return place[0] // (out[0] // groups) * out[1] + place[1]


def product_terms(op: str, shapes: Sequence[Shape], out: Shape, attributes: Attributes) -> int:
    """The number of terms of an element of a product: padding counts, as a term of zero."""
    a, b = shapes
    match op:
        case "matmul":
            return a[-1]
        case "conv":
            return size_of(b[1:])
        case "conv_grad_input":
            return b[0] // attributes["groups"] * size_of(b[2:])
    return a[0] * size_of(a[2:])


def product_term(
    op: str, element: int, term: int, shapes: Sequence[Shape], out: Shape, attributes: Attributes
) -> tuple[int, int] | None:
    """The flat indices of the two factors of a term; None where one lies in the padding.

    Terms are numbered in row-major order of: matmul k; conv (channel in group, r, s); conv_grad_input (output channel
    in group, r, s); conv_grad_weight (n, p, q).
    """
    place = place_of(element, out)
    if op == "matmul":
        return _matmul_term(place, term, shapes)
    match op:
        case "conv":
            return _conv_term(place, term, shapes, out, attributes)
        case "conv_grad_input":
            return _grad_input_term(place, term, shapes, attributes)
    return _grad_weight_term(place, term, shapes, out, attributes)


def _matmul_term(place: Shape, term: int, shapes: Sequence[Shape]) -> tuple[int, int]:
    a, b = shapes
    return index_of((*place[:-1], term), a), index_of((*place[:-2], term, place[-1]), b)


def _conv_term(
    place: Shape, term: int, shapes: Sequence[Shape], out: Shape, attributes: Attributes
) -> tuple[int, int] | None:
    x, w = shapes
    (n, o, p, q), (c, r, s) = place, place_of(term, w[1:])
    group = o // (out[1] // attributes["groups"])
    h, v = _inside((p, q), (r, s), x[2:], attributes) or (-1, -1)
    if h < 0:
        return None
    return index_of((n, group * w[1] + c, h, v), x), index_of((o, c, r, s), w)


def _grad_input_term(
    place: Shape, term: int, shapes: Sequence[Shape], attributes: Attributes
) -> tuple[int, int] | None:
    g, w = shapes
    each = w[0] // attributes["groups"]  # output channels of a group
    (n, c, h, v), (number, r, s) = place, place_of(term, (each, *w[2:]))
    o = c // w[1] * each + number
    at = []
    for axis, (where, tap) in enumerate(((h, r), (v, s))):
        reached = where + attributes["padding"][axis] - tap * attributes["dilation"][axis]
        stride = attributes["stride"][axis]
        if reached % stride or not 0 <= reached // stride < g[2 + axis]:
            return None
        at.append(reached // stride)
    return index_of((n, o, *at), g), index_of((o, c % w[1], r, s), w)


def _grad_weight_term(
    place: Shape, term: int, shapes: Sequence[Shape], out: Shape, attributes: Attributes
) -> tuple[int, int] | None:
    g, x = shapes
    (o, c, r, s), (n, p, q) = place, place_of(term, (g[0], *g[2:]))
    group = o // (out[0] // attributes["groups"])
    h, v = _inside((p, q), (r, s), x[2:], attributes) or (-1, -1)
    if h < 0:
        return None
    return index_of((n, o, p, q), g), index_of((n, group * out[1] + c, h, v), x)


def _inside(
    window: tuple[int, int], tap: tuple[int, int], image: Sequence[int], attributes: Attributes
) -> tuple[int, int] | None:
    """The pixel under a tap of a window; None where it lies in the padding."""
    at = []
    for axis in range(2):
        where = window[axis] * attributes["stride"][axis] - attributes["padding"][axis]
        at.append(where + tap[axis] * attributes["dilation"][axis])
    return (at[0], at[1]) if all(0 <= at[axis] < image[axis] for axis in range(2)) else None


def copy_source(op: str, element: int, shapes: Sequence[Shape], out: Shape, attributes: Attributes) -> tuple[int, int]:
    """(operand, flat index in it) of what concat, pad or iota puts at an element; operand -1: the number itself."""
    place = list(place_of(element, out))
    if op == "iota":
        return -1, place[attributes["axis"]]
    if op == "concat":
        return _concat_source(place, shapes, attributes["axis"])
    inner = [at - low for at, low in zip(place, attributes["low"], strict=True)]
    if all(0 <= at < axis for at, axis in zip(inner, shapes[0], strict=True)):
        return 0, index_of(inner, shapes[0])
    return 1, 0


def _concat_source(place: list[int], shapes: Sequence[Shape], axis: int) -> tuple[int, int]:
    for operand, shape in enumerate(shapes):
        if place[axis] < shape[axis]:
            return operand, index_of(place, shape)
        place[axis] -= shape[axis]
    raise ValueError("concat: got an element behind the last operand")
