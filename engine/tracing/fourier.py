"""Discrete Fourier transforms as wide products with constant matrices of cosines and sines.

A transform of at most LONGEST points is one product of the pair of parts; a longer one is a transform of transforms
(Cooley and Tukey), which needs a length whose prime factors are at most LONGEST.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import pi, prod, sqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.complex_tensor import ComplexTensor

from engine.tracing.errors import TraceError
from engine.tracing.wide import wide_matmul

aten = torch.ops.aten
LONGEST = 256
Parts = tuple[Tensor, Tensor]


@cache
def _angles(n: int, count: int) -> np.ndarray:
    """[n, count] float64: 2 pi j k / n."""
    return np.outer(np.arange(n), np.arange(count)) % n * (2 * pi / n)


def _matrix(n: int, sign: int) -> Tensor:
    """[2n, 2n] float32: what a transform does to real parts before imaginary ones."""
    cos, sin = np.cos(_angles(n, n)), sign * np.sin(_angles(n, n))
    return torch.from_numpy(np.block([[cos, sin], [-sin, cos]]).astype(np.float32))


def _matrix_of_reals(n: int) -> Tensor:
    """[n, 2 (n // 2 + 1)]: the first half of the forward transform of real numbers."""
    angles = _angles(n, n // 2 + 1)
    return torch.from_numpy(np.concatenate([np.cos(angles), -np.sin(angles)], 1).astype(np.float32))


def _matrix_to_reals(n: int) -> Tensor:
    """[2 (n // 2 + 1), n]: the backward transform of the first half of what is its own mirror image."""
    angles = _angles(n, n // 2 + 1).T
    weight = np.full((n // 2 + 1, 1), 2.0)
    weight[0] = 1.0
    if n % 2 == 0:
        weight[-1] = 1.0
    return torch.from_numpy(np.concatenate([weight * np.cos(angles), -weight * np.sin(angles)]).astype(np.float32))


def _product(parts: Sequence[Tensor], matrix: Tensor) -> Tensor:
    x = torch.cat(list(parts), -1)
    return wide_matmul(x.reshape(-1, x.shape[-1]), matrix).reshape(*x.shape[:-1], matrix.shape[1])


def _factor(n: int) -> int:
    """The largest factor of n that is one product, of those that leave the fewest transforms."""
    found = max(factor for factor in range(1, LONGEST + 1) if n % factor == 0)
    if found == 1:
        raise TraceError(
            f"trace: fft: got a length with a factor of {n}, want factors of at most {LONGEST}; pad to another length"
        )
    return found


def _last(re: Tensor, im: Tensor, sign: int) -> Parts:
    """Along the last axis."""
    n = re.shape[-1]
    if n <= LONGEST:
        first, second = _product((re, im), _matrix(n, sign)).chunk(2, -1)
        return first, second
    a = _factor(n)
    re, im = (part.unflatten(-1, (a, n // a)).transpose(-1, -2) for part in (re, im))
    re, im = (part.transpose(-1, -2) for part in _last(re, im, sign))
    turn = np.outer(np.arange(a), np.arange(n // a)) * (2 * pi / n)
    cos, sin = (torch.from_numpy(part.astype(np.float32)) for part in (np.cos(turn), sign * np.sin(turn)))
    re, im = _last(re * cos - im * sin, re * sin + im * cos, sign)
    return re.transpose(-1, -2).flatten(-2), im.transpose(-1, -2).flatten(-2)


def _along(parts: Parts, dims: Sequence[int], sign: int) -> Parts:
    for dim in dims:
        re, im = (part.movedim(dim, -1) for part in parts)
        re, im = _last(re, im, sign)
        parts = re.movedim(-1, dim), im.movedim(-1, dim)
    return parts


def _scaled(part: Tensor, norm: int, count: int) -> Tensor:
    """norm: 0 leaves the sum, 1 divides by the root of the number of points, 2 by it."""
    return part * (1.0, 1 / sqrt(count), 1 / count)[norm] if norm else part


def _complex(parts: Parts, norm: int, count: int) -> ComplexTensor:
    re, im = (_scaled(part, norm, count) for part in parts)
    return ComplexTensor(re, im)


def _c2c(x: ComplexTensor, dims: Sequence[int], norm: int, forward: bool) -> ComplexTensor:
    return _complex(_along((x.re, x.im), dims, -1 if forward else 1), norm, prod(x.shape[dim] for dim in dims))


def _r2c(x: Tensor, dims: Sequence[int], norm: int, onesided: bool) -> ComplexTensor:
    moved, n = x.movedim(dims[-1], -1), x.shape[dims[-1]]
    kept = n // 2 + 1 if onesided else n
    if onesided and n <= LONGEST:
        re, im = _product((moved,), _matrix_of_reals(n)).chunk(2, -1)
    else:
        re, im = (part[..., :kept] for part in _last(moved, torch.zeros_like(moved), -1))
    parts = re.movedim(-1, dims[-1]), im.movedim(-1, dims[-1])
    return _complex(_along(parts, dims[:-1], -1), norm, prod(x.shape[dim] for dim in dims))


def _c2r(x: ComplexTensor, dims: Sequence[int], norm: int, size: int) -> Tensor:
    re, im = (part.movedim(dims[-1], -1) for part in _along((x.re, x.im), dims[:-1], 1))
    if size <= LONGEST:
        real = _product((re, im), _matrix_to_reals(size))
    else:
        mirrored = slice(1, size - size // 2)
        re, im = torch.cat([re, re[..., mirrored].flip(-1)], -1), torch.cat([im, -im[..., mirrored].flip(-1)], -1)
        real = _last(re, im, 1)[0]
    count = size * prod(x.shape[dim] for dim in dims[:-1])
    return _scaled(real.movedim(-1, dims[-1]), norm, count)


def stft(
    torchs: Callable[..., Any],
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    *_: Any,
) -> Tensor:
    """The transforms of overlapping windows: input [..., L] -> [..., frequencies, places]."""
    frames = input.unfold(-1, n_fft, hop_length or n_fft // 4)
    if window is not None:
        before = (n_fft - len(window)) // 2
        frames = frames * F.pad(window, (before, n_fft - len(window) - before))
    elif win_length is not None and win_length < n_fft:
        return torchs(input, n_fft, hop_length, win_length, window, normalized, onesided, return_complex)
    transform = torch.fft.fft if onesided is False else torch.fft.rfft
    found = transform(frames, norm="ortho" if normalized else None).transpose(-1, -2)
    return found if return_complex else torch.view_as_real(found)


def istft(
    torchs: Callable[..., Any],
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal [..., L] of its windows' transforms [..., frequencies, places]: their sum over that of the squares."""
    if onesided is False or return_complex or win_length not in (None, n_fft):
        options = (window, center, normalized, onesided, length, return_complex)
        return torchs(input, n_fft, hop_length, win_length, *options)
    hop, window = hop_length or n_fft // 4, torch.ones(n_fft) if window is None else window
    frames = torch.fft.irfft(input.transpose(-1, -2), n=n_fft, norm="ortho" if normalized else None) * window
    size = n_fft + hop * (frames.shape[-2] - 1)

    def overlapped(parts: Tensor) -> Tensor:
        columns = parts.reshape(-1, *parts.shape[-2:]).mT
        return F.fold(columns, (1, size), (1, n_fft), stride=(1, hop)).reshape(*parts.shape[:-2], size)

    start = n_fft // 2 if center else 0
    stop = start + length if length is not None else size - start
    kept = slice(start, min(stop, size))
    signal = overlapped(frames)[..., kept] / overlapped(window.square().expand(frames.shape[-2:]))[kept]
    return F.pad(signal, (0, max(stop - size, 0)))


RULES: dict[Any, Callable[..., Any]] = {
    aten._fft_c2c.default: _c2c,
    aten._fft_r2c.default: _r2c,
    aten._fft_c2r.default: _c2r,
}
