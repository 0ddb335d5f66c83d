"""Convolution and its gradients, as kernels/spec/conv.py defines them: products of patches on int8 tensor cores.

Patches are views of the padded operand, so a scale belongs to a whole group of rows; the digits are the products'.
N samples, C input and K output channels (O in the law), c and o of them a group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from kernels.spec.conv import places_of
from kernels.spec.matmul import qmax
from kernels.spec.rounding import INFINITY_BITS as INFINITY
from kernels.triton.elementwise import canonical
from kernels.triton.matmul import Multiply, fastest, product
from kernels.triton.scale import digits, maxima
from kernels.triton.tilings import DIGITS

Pair = Sequence[int]


def padded(x: torch.Tensor, size: Pair, offset: Pair, stride: Pair = (1, 1)) -> torch.Tensor:
    """Zeros [N, C, *size] with x's element i at offset + i * stride along both axes, where that is inside."""
    out = torch.zeros((*x.shape[:2], *size), dtype=torch.float32, device=x.device)
    source, target = [], []
    for count, length, start, step in zip(x.shape[2:], size, offset, stride, strict=True):
        first = max(0, -(start // step))
        last = max(first, min(count, -((start - length) // step)))
        source.append(slice(first, last))
        target.append(slice(start + first * step, start + (last - 1) * step + 1, step) if last > first else slice(0, 0))
    out[:, :, target[0], target[1]] = x[:, :, source[0], source[1]]
    return out


def patches(x: torch.Tensor, places: Pair, taps: Pair, stride: Pair, dilation: Pair) -> torch.Tensor:
    """The windows of x as a view: [N, C, P, Q, R, S]."""
    n, c, h, w = x.stride()
    strides = (n, c, h * stride[0], w * stride[1], h * dilation[0], w * dilation[1])
    return x.as_strided((*x.shape[:2], *places, *taps), strides)


def extent(places: Pair, taps: Pair, stride: Pair, dilation: Pair) -> list[int]:
    """The elements along both axes that the windows reach over."""
    steps = zip(places, taps, stride, dilation, strict=True)
    return [max(0, (p - 1) * s + (t - 1) * d + 1) for p, t, s, d in steps]


def exact(
    rows: torch.Tensor,
    columns: torch.Tensor,
    highest_a: torch.Tensor,
    highest_b: torch.Tensor,
    width: str,
    multiply: Multiply | None,
) -> torch.Tensor:
    """The product of [B, M, K] and [B, N, K] at given maxima [B, M] and [B, N]: [B, M, N]."""
    B, M, K = rows.shape
    N = columns.shape[1]
    if 0 in (B, M, N, K):
        finite = (highest_a < INFINITY)[:, :, None] & (highest_b < INFINITY)[:, None, :]
        return canonical(torch.where(finite, 0.0, torch.nan))
    limit = qmax(width, K)
    highest_a, highest_b = highest_a.contiguous(), highest_b.contiguous()
    operands = (digits(rows, highest_a, DIGITS[width], limit), digits(columns, highest_b, DIGITS[width], limit))
    out = torch.empty((B, M, N), dtype=torch.float32, device=rows.device)
    if multiply is not None:
        return multiply(width, operands, highest_a, highest_b, limit, out)
    tiling = fastest(width, operands, highest_a, highest_b, limit, out)
    return product(width, operands, highest_a, highest_b, limit, tiling, out)


def conv(
    x: torch.Tensor,
    w: torch.Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    width: str,
    multiply: Multiply | None = None,
) -> torch.Tensor:
    """The cross-correlation, [N, O, P, Q]; one scale per sample and group of x, and per output channel of w.

    multiply: as matmul's, here and in the gradients
    """
    N, _, H, W = x.shape
    K, c, R, S = w.shape
    P, Q = places_of((H, W), (R, S), stride, padding, dilation)
    reach = extent((P, Q), (R, S), stride, dilation)
    size = [max(a, b + 2 * p) for a, b, p in zip(reach, (H, W), padding, strict=True)]
    windows = patches(padded(x, size, padding), (P, Q), (R, S), stride, dilation)
    rows = windows.reshape(N, groups, c, P, Q, R, S).permute(0, 1, 3, 4, 2, 5, 6)
    rows = rows.reshape(N * groups, P * Q, c * R * S)
    columns = w.reshape(1, groups, K // groups, c * R * S).expand(N, -1, -1, -1)
    highest_x = maxima(x.reshape(1, N * groups, c * H * W))[0][:, None].expand(-1, P * Q)
    highest_w = maxima(w.reshape(1, K, c * R * S)).reshape(1, groups, -1).expand(N, -1, -1)
    out = exact(
        rows,
        columns.reshape(N * groups, K // groups, c * R * S),
        highest_x,
        highest_w.reshape(N * groups, K // groups),
        width,
        multiply,
    )
    return out.reshape(N, groups, P, Q, K // groups).permute(0, 1, 4, 2, 3).reshape(N, K, P, Q)


def conv_grad_input(
    g: torch.Tensor,
    w: torch.Tensor,
    size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    width: str,
    multiply: Multiply | None = None,
) -> torch.Tensor:
    """The gradient [N, C, H, W]: the correlation of the spread g with the mirrored w, channels exchanged."""
    N, K, P, Q = g.shape
    _, c, R, S = w.shape
    H, W = size
    o = K // groups
    reach = [n + (t - 1) * d for n, t, d in zip(size, (R, S), dilation, strict=True)]
    offset = [(t - 1) * d - p for t, d, p in zip((R, S), dilation, padding, strict=True)]
    windows = patches(padded(g, reach, offset, stride), size, (R, S), (1, 1), dilation)
    rows = windows.reshape(N, groups, o, H, W, R, S).permute(0, 1, 3, 4, 2, 5, 6).reshape(N * groups, H * W, o * R * S)
    mirrored = w.flip(2, 3).reshape(groups, o, c, R, S).permute(0, 2, 1, 3, 4).reshape(1, groups, c, o * R * S)
    highest_g = maxima(g.reshape(1, N * groups, o * P * Q))[0][:, None].expand(-1, H * W)
    highest_w = maxima(mirrored[0]).reshape(1, groups, c).expand(N, -1, -1).reshape(N * groups, c)
    columns = mirrored.expand(N, -1, -1, -1).reshape(N * groups, c, o * R * S)
    out = exact(rows, columns, highest_g, highest_w, width, multiply)
    return out.reshape(N, groups, H, W, c).permute(0, 1, 4, 2, 3).reshape(N, groups * c, H, W)


def conv_grad_weight(
    g: torch.Tensor,
    x: torch.Tensor,
    size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    width: str,
    multiply: Multiply | None = None,
) -> torch.Tensor:
    """The gradient [O, C/groups, R, S]; one scale per output channel of g, and per input channel of x."""
    N, K, P, Q = g.shape
    C, H, W = x.shape[1:]
    R, S = size
    c = C // groups
    reach = extent((P, Q), size, stride, dilation)
    full = [max(a, b + 2 * p) for a, b, p in zip(reach, (H, W), padding, strict=True)]
    windows = patches(padded(x, full, padding), (P, Q), size, stride, dilation)
    columns = windows.reshape(N, groups, c, P, Q, R, S).permute(1, 2, 5, 6, 0, 3, 4)
    columns = columns.reshape(groups, c * R * S, N * P * Q)
    rows = g.reshape(N, groups, K // groups, P * Q).permute(1, 2, 0, 3).reshape(groups, K // groups, N * P * Q)
    channels = x.transpose(0, 1).reshape(1, C, N * H * W)
    highest_x = maxima(channels).reshape(groups, c, 1).expand(-1, -1, R * S).reshape(groups, c * R * S)
    return exact(rows, columns, maxima(rows), highest_x, width, multiply).reshape(K, c, R, S)


OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    "conv": conv,
    "conv_grad_input": conv_grad_input,
    "conv_grad_weight": conv_grad_weight,
}
