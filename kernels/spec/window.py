"""Where a sliding window lies: the size of its output and the attributes that the law allows."""

from __future__ import annotations

from collections.abc import Sequence

from kernels.spec.operator import Attributes, want

Pair = Sequence[int]
MAX_STEP = 2**16


def output_size(size: int, window: int, stride: int, padding: int, dilation: int) -> int:
    """How many places a window of `window` elements has along an axis."""
    return (size + 2 * padding - dilation * (window - 1) - 1) // stride + 1


def places_of(sizes: Pair, windows: Pair, stride: Pair, padding: Pair, dilation: Pair) -> tuple[int, int]:
    """The output sizes (P, Q) of a window over (H, W)."""
    p, q = (output_size(*axis) for axis in zip(sizes, windows, stride, padding, dilation, strict=True))
    return p, q


def check_window(name: str, attributes: Attributes) -> None:
    """Refuses stride, padding or dilation that is not a pair in range."""
    for key, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
        pair = attributes[key]
        fits = len(pair) == 2 and all(least <= value <= MAX_STEP for value in pair)
        want(fits, name, f"{key} {tuple(pair)}", f"a pair in [{least}, {MAX_STEP}]")


def places(name: str, sizes: Pair, windows: Pair, attributes: Attributes) -> tuple[int, int]:
    """The output sizes (P, Q); a ValueError where the window is empty or does not fit."""
    stride, padding, dilation = attributes["stride"], attributes["padding"], attributes["dilation"]
    got = f"size {tuple(sizes)}, window {tuple(windows)}, stride {tuple(stride)}, padding {tuple(padding)}"
    got += f", dilation {tuple(dilation)}"
    want(min(windows) >= 1, name, got, "a window of one element or more")
    p, q = places_of(sizes, windows, stride, padding, dilation)
    want(min(p, q) >= 1, name, got, "a window no larger than the padded input")
    return p, q
