"""Layout operators followed on paper: which element of its source each element of a view is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Element (i, j, ...) of the view is element offset + i * strides[0] + j * strides[1] + ... of the source.

    The source is counted in row-major order.
    """

    source: int
    shape: Shape
    strides: Shape
    offset: int = 0

    @property
    def size(self) -> int:
        return prod(self.shape)

    def axes(self) -> list[tuple[int, int]]:
        """(size, stride) of the axes that are longer than 1."""
        return [(size, stride) for size, stride in zip(self.shape, self.strides, strict=True) if size != 1]


def contiguous(shape: Shape) -> Shape:
    """The strides, in elements, of a row-major array."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def whole(source: int, shape: Shape) -> View:
    """A value seen as itself."""
    return View(source, shape, contiguous(shape))


def follow(view: View, op: str, attributes: Mapping[str, Any]) -> View | None:
    """The view after one more layout operator; None where its elements have no strides and must be copied."""
    if op == "permute":
        axes = attributes["axes"]
        return View(view.source, _pick(view.shape, axes), _pick(view.strides, axes), view.offset)
    if op == "broadcast":
        return _broadcast(view, attributes["shape"])
    if op == "slice":
        return _slice(view, attributes["start"], attributes["stop"], attributes["step"])
    assert op == "reshape", f"{op} is not a layout operator"
    strides = _reshape_strides(view, attributes["shape"])
    return None if strides is None else View(view.source, attributes["shape"], strides, view.offset)


def _pick(values: Shape, axes: Sequence[int]) -> Shape:
    return tuple(values[axis] for axis in axes)


def _broadcast(view: View, shape: Shape) -> View:
    sizes = zip(view.shape, shape, view.strides, strict=True)
    return View(view.source, shape, tuple(stride if old == new else 0 for old, new, stride in sizes), view.offset)


def _slice(view: View, start: Shape, stop: Shape, step: Shape) -> View:
    shape = tuple(max(0, -(-(last - first) // by)) for first, last, by in zip(start, stop, step, strict=True))
    offset = view.offset + sum(first * stride for first, stride in zip(start, view.strides, strict=True))
    return View(view.source, shape, tuple(s * by for s, by in zip(view.strides, step, strict=True)), offset)


def _reshape_strides(view: View, shape: Shape) -> Shape | None:
    """New strides where each block of new axes lies within one evenly strided block of old axes."""
    if 0 in shape:
        return contiguous(shape)
    blocks = coalesce(view.axes())
    strides: list[int] = []
    left = 1
    for size in reversed(shape):
        if size == 1:
            strides.append(0)
            continue
        if left == 1:
            left, stride = blocks.pop()
        if left % size:
            return None
        strides.append(stride)
        left, stride = left // size, stride * size
    return tuple(reversed(strides))


def coalesce(axes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The (size, stride) axes with neighbours joined wherever they step evenly through memory."""
    joined: list[tuple[int, int]] = []
    for size, stride in axes:
        if joined and joined[-1][1] == size * stride:
            joined[-1] = (joined[-1][0] * size, stride)
        else:
            joined.append((size, stride))
    return joined


def is_flat(view: View, elements: int) -> bool:
    """Whether the view is all of a source of so many elements, in the same row-major order."""
    return view.size == elements and view.offset == 0 and coalesce(view.axes()) in ([], [(elements, 1)])


def is_row_wise(view: View, rows: int, columns: int) -> bool:
    """Whether the view repeats each of the source's `rows` elements `columns` times in row-major order."""
    blocks = coalesce(view.axes())
    want = [(size, stride) for size, stride in ((rows, 1), (columns, 0)) if size != 1]
    return view.offset == 0 and view.size == rows * columns and blocks == want
