"""Sampling of images at places that the model computes: bilinear or nearest, from gathers and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

BILINEAR, NEAREST = 0, 1
ZEROS, BORDER, REFLECTION = 0, 1, 2


def grid_sampler(
    torchs: Callable[..., Any], image: Tensor, grid: Tensor, how: int, padding: int, align_corners: bool
) -> Tensor:
    """image [N, C, H, W] at grid [N, P, Q, 2], in units of -1 to 1 an axis, x first -> [N, C, P, Q]."""
    if image.dim() != 4 or how not in (BILINEAR, NEAREST):
        return torchs(image, grid, how, padding, align_corners)
    H, W = image.shape[-2:]
    x = _padded(_place(grid[..., 0], W, align_corners), W, padding, align_corners)
    y = _padded(_place(grid[..., 1], H, align_corners), H, padding, align_corners)
    if how == NEAREST:
        return _pixels(image, y.round(), x.round())
    top, left = y.floor().detach(), x.floor().detach()
    down, right = (y - top).unsqueeze(1), (x - left).unsqueeze(1)
    above = _pixels(image, top, left) * (1 - right) + _pixels(image, top, left + 1) * right
    below = _pixels(image, top + 1, left) * (1 - right) + _pixels(image, top + 1, left + 1) * right
    return above * (1 - down) + below * down


def _place(at: Tensor, size: int, align_corners: bool) -> Tensor:
    """In pixels."""
    return (at + 1) / 2 * (size - 1) if align_corners else ((at + 1) * size - 1) / 2


def _padded(at: Tensor, size: int, padding: int, align_corners: bool) -> Tensor:
    if padding == ZEROS:
        return at
    if padding == REFLECTION and (size > 1 or not align_corners):
        low, span = (0.0, float(size - 1)) if align_corners else (-0.5, float(size))
        far = (at - low).abs()
        inside = far.fmod(span)
        is_even = (far / span).floor().fmod(2) == 0
        at = torch.where(is_even, inside, span - inside) + low
    elif padding == REFLECTION:
        at = at * 0
    return at.clamp(0, size - 1)


def _pixels(image: Tensor, row: Tensor, col: Tensor) -> Tensor:
    """The pixels at whole numbers [N, P, Q]; zeros outside."""
    N, C, H, W = image.shape
    index = row.detach().clamp(0, H - 1).long() * W + col.detach().clamp(0, W - 1).long()
    inside = (row >= 0) & (row <= H - 1) & (col >= 0) & (col <= W - 1)
    found = image.flatten(2).gather(2, index.flatten(1).unsqueeze(1).expand(N, C, -1))
    return found.view(N, C, *row.shape[1:]) * inside.unsqueeze(1)
