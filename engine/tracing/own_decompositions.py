"""ATen's operators that are written as others here: torch has no decomposition of them, or none of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

aten = torch.ops.aten
Running = tuple[Tensor, Tensor]


def _vdot(x: Tensor, y: Tensor) -> Tensor:
    return torch.dot(x, y)


def _euclidean_dist(x: Tensor, y: Tensor) -> Tensor:
    """x [..., P, M], y [..., R, M] -> [..., P, R], through a product as torch does."""
    squares = x.square().sum(-1, keepdim=True) + y.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * x @ y.mT).clamp_min(0).sqrt()


def _cdist(x: Tensor, y: Tensor, p: float, mode: int | None) -> Tensor:
    """x [..., P, M], y [..., R, M] -> [..., P, R], from the differences of all pairs."""
    return torch.linalg.vector_norm(x.unsqueeze(-2) - y.unsqueeze(-3), p, dim=-1)


def _cdist_backward(grad: Tensor, x: Tensor, y: Tensor, p: float, cdist: Tensor) -> Tensor:
    """The gradient of x; none where a distance is 0."""
    difference, norm = x.unsqueeze(-2) - y.unsqueeze(-3), cdist.unsqueeze(-1)
    if p == 0:
        return torch.zeros_like(x)
    if p == 1:
        slope = difference.sign()
    elif p == inf:
        slope = difference.sign() * (difference.abs() == norm)
    else:
        ratio = difference.abs() / norm
        slope = difference.sign() * (ratio if p == 2 else torch.where(difference == 0, 0.0, ratio.pow(p - 1)))
    return (grad.unsqueeze(-1) * torch.where(norm == 0, 0.0, slope)).sum(-2)


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> tuple[Tensor, Tensor]:
    norm = torch.linalg.vector_norm(v, 2, dim=_others(v, dim), keepdim=True)
    return v * (g / norm), norm


def _weight_norm_backward(grad: Tensor, v: Tensor, g: Tensor, norm: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    along = (grad * v).sum(_others(v, dim), keepdim=True)
    return (g / norm) * (grad - v * (along / norm.square())), along / norm


def _others(x: Tensor, dim: int) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != dim]


def _running(is_later: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, int], Running]:
    """The running extreme of an axis and its place, the last of equals, in log2 of the length steps."""

    def rule(x: Tensor, dim: int) -> Running:
        best = x.movedim(dim, -1)
        place = torch.arange(best.shape[-1]).expand_as(best)
        step = 1
        while step < best.shape[-1]:
            kept, earlier = best[..., step:], best[..., :-step]
            wins = ~(is_later(kept, earlier) | kept.isnan()) | (earlier.isnan() & ~kept.isnan())
            best = torch.cat([best[..., :step], torch.where(wins, earlier, kept)], -1)
            place = torch.cat([place[..., :step], torch.where(wins, place[..., :-step], place[..., step:])], -1)
            step *= 2
        return best.movedim(-1, dim), place.movedim(-1, dim)

    return rule


def _log_of_running_sums(x: Tensor, dim: int) -> Tensor:
    """The logarithm of the running sum of exponentials, in log2 of the length steps."""
    total, step = x.movedim(dim, -1), 1
    while step < total.shape[-1]:
        total = torch.cat([total[..., :step], torch.logaddexp(total[..., step:], total[..., :-step])], -1)
        step *= 2
    return total.movedim(-1, dim)


def _histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """[bins]: the numbers of elements in equal parts of a range, or of all from the least to the most."""
    x = x.flatten()
    low, high = (torch.full((), float(end)) for end in (min, max)) if min != max else (x.min(), x.max())
    low, high = torch.where(low == high, low - 1, low), torch.where(low == high, high + 1, high)
    inside = (x >= low) & (x <= high)
    part = torch.where(inside, (x - low) * bins / (high - low), 0.0).long().clamp_max(bins - 1)
    return torch.zeros(bins).scatter_add(0, part, inside.float())


def _take(x: Tensor, index: Tensor) -> Tensor:
    return x.flatten()[index]


def _put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    return x.flatten().index_put((index.flatten(),), source.flatten(), accumulate).view(x.shape)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of the source in their order, where the mask says so."""
    input, mask = torch.broadcast_tensors(input, mask)
    place = (mask.flatten().long().cumsum(0) - 1).clamp_min(0).view(mask.shape)
    return torch.where(mask, source.flatten()[place], input)


def _searchsorted(
    edges: Tensor,
    x: Tensor,
    *,
    right: bool = False,
    side: str | None = None,
    out_int32: bool = False,
    sorter: Any = None,
) -> Tensor:
    """How many edges [..., N] lie below each x [..., M], or at it where it belongs to the right."""
    edges = edges if sorter is None else edges.gather(-1, sorter)
    edges = edges.unsqueeze(-2) if edges.dim() > 1 else edges
    below = edges <= x.unsqueeze(-1) if right or side == "right" else edges < x.unsqueeze(-1)
    return below.sum(-1, dtype=torch.int32 if out_int32 else torch.int64)


def _fake_quantized(x: Tensor, scale: Any, zero: Any, least: int, most: int) -> tuple[Tensor, Tensor]:
    """x on a grid of integers, and where it was within it."""
    steps = (x * (1.0 / scale)).round() + zero
    return (steps.clamp(least, most) - zero) * scale, (steps >= least) & (steps <= most)


def _fake_quantized_by_tensors(
    x: Tensor, scale: Tensor, zero: Tensor, enabled: Tensor, least: int, most: int
) -> tuple[Tensor, Tensor]:
    value, mask = _fake_quantized(x, scale, zero, least, most)
    return torch.where(enabled >= 1, value, x), mask | (enabled < 1)


def _fake_quantized_by_channels(
    x: Tensor, scale: Tensor, zero: Tensor, axis: int, least: int, most: int
) -> tuple[Tensor, Tensor]:
    shape = [-1 if a == axis else 1 for a in range(x.dim())]
    return _fake_quantized(x, scale.view(shape), zero.view(shape), least, most)


def _ldexp(x: Tensor, power: Tensor) -> Tensor:
    return x * torch.exp2(power.float())


def _round(x: Tensor, *, decimals: int) -> Tensor:
    scale = 10.0 ** abs(decimals)
    return (x * scale).round() / scale if decimals >= 0 else (x / scale).round() * scale


def _renorm(x: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice along dim with a norm of at most maxnorm."""
    norm = torch.linalg.vector_norm(x, p, _others(x, dim % x.dim()), keepdim=True)
    return x * torch.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0)


def _max_pool3d(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """x [..., C, D, H, W]: windows of H and W, then of D among their maxima; of equals the first, as one window's."""
    k, p, d = (_three(value) for value in (kernel, padding, dilation))
    s = _three(stride) if len(stride) else k
    D, H, W = x.shape[-3:]
    planes, inside = F.max_pool2d(x.reshape(1, -1, H, W), k[1:], s[1:], p[1:], d[1:], ceil_mode, return_indices=True)
    rows, cols = planes.shape[-2:]
    columns = planes.reshape(1, -1, D, rows * cols)
    values, where = F.max_pool2d(columns, (k[0], 1), (s[0], 1), (p[0], 0), (d[0], 1), ceil_mode, return_indices=True)
    plane = where.div(rows * cols, rounding_mode="floor")
    index = plane * (H * W) + inside.reshape(1, -1, D, rows * cols).gather(2, plane)
    shape = (*x.shape[:-3], values.shape[2], rows, cols)
    return values.reshape(shape), index.reshape(shape)


def _max_pool3d_backward(grad: Tensor, x: Tensor, *options: Any) -> Tensor:
    """The last option is the index of every maximum in its volume."""
    size = prod(x.shape[-3:])
    grad, index = grad.reshape(-1, prod(grad.shape[-3:])), options[-1].reshape(-1, prod(grad.shape[-3:]))
    return torch.zeros(len(grad), size).scatter_add(1, index, grad).reshape(x.shape)


def _three(value: Sequence[int]) -> tuple[int, ...]:
    return tuple(value) * 3 if len(value) == 1 else tuple(value)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.vdot.default: _vdot,
    aten._euclidean_dist.default: _euclidean_dist,
    aten._cdist_forward.default: _cdist,
    aten._cdist_backward.default: _cdist_backward,
    aten._weight_norm_interface.default: _weight_norm,
    aten._weight_norm_interface_backward.default: _weight_norm_backward,
    aten.cummax.default: _running(torch.ge),
    aten.cummin.default: _running(torch.le),
    aten.logcumsumexp.default: _log_of_running_sums,
    aten.histc.default: _histc,
    aten.fake_quantize_per_tensor_affine_cachemask.default: _fake_quantized,
    aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default: _fake_quantized_by_tensors,
    aten.fake_quantize_per_channel_affine_cachemask.default: _fake_quantized_by_channels,
    aten.masked_scatter.default: masked_scatter,
    aten.searchsorted.Tensor: _searchsorted,
    aten.ldexp.Tensor: _ldexp,
    aten.renorm.default: _renorm,
    aten.round.decimals: _round,
    aten.take.default: _take,
    aten.put.default: _put,
    aten.max_pool3d_with_indices.default: _max_pool3d,
    aten.max_pool3d_with_indices_backward.default: _max_pool3d_backward,
}
