"""Functions of a [4, 6] tensor around Fourier transforms and writes to complex tensors, compared with torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fft

Function = Callable[[Tensor], Tensor]
parts = torch.view_as_real


def pairs(x: Tensor) -> Tensor:
    return torch.view_as_complex(x.view(3, 4, 2))


def signal(x: Tensor, length: int) -> Tensor:
    """x repeated with other weights."""
    return torch.outer(x.flatten(), torch.arange(-(-length // 24)).add(1).cos()).flatten()[:length]


def cut(x: Tensor) -> Tensor:
    found = fft.rfft(x)
    kept = torch.zeros(4, 4, dtype=torch.cfloat)
    kept[:, :2] = found[:, :2] * 2
    kept[:, 3] = 1j
    return fft.irfft(kept, n=6)


def changed(x: Tensor) -> Tensor:
    y = pairs(x).clone()
    y[:, 1:] *= pairs(x)[:, :3]
    y[0] += 2.0
    y[1].mul_(0.5)
    return parts(y)


def windows(x: Tensor) -> Tensor:
    return torch.stft(x.flatten(), 8, 4, window=torch.hann_window(8), return_complex=True)


TRANSFORMS: dict[str, Function] = {
    "of pairs": lambda x: parts(fft.fft(pairs(x)) + fft.ifft(pairs(x), dim=0, norm="ortho")),
    "of reals": lambda x: parts(fft.rfft(x)) + parts(fft.rfft(x[:, :5], n=6, norm="forward")),
    "of an odd length": lambda x: parts(fft.rfft(x[:, :5])),
    "to reals": lambda x: fft.irfft(pairs(x)) + fft.irfft(pairs(x), n=6, norm="forward"),
    "to an odd length": lambda x: fft.irfft(pairs(x), n=7),
    "all frequencies of reals": lambda x: fft.fft(x).real + fft.fft(x, dim=0).imag.sum(),
    "of two axes": lambda x: fft.fft2(x).abs() + parts(fft.rfft2(x, s=(4, 6))).sum(),
    "back from two axes": lambda x: fft.irfft2(fft.rfft2(x) * 2, s=(4, 6)),
    "of three axes": lambda x: fft.irfftn(fft.rfftn(x.view(2, 2, 6)) * 1j, s=(2, 2, 6)),
    "of mirrored pairs": lambda x: fft.hfft(pairs(x)) + fft.ihfft(x[:3]).abs().sum(),
    "frequencies": lambda x: fft.fftshift(fft.fft(x).real) + fft.fftfreq(6) + fft.rfftfreq(10)[:6],
    "600 pairs": lambda x: parts(fft.fft(torch.complex(signal(x, 600), signal(x, 600) * 0.5))),
    "1024 reals": lambda x: parts(fft.rfft(signal(x, 1024))),
    "1024 reals and back": lambda x: fft.irfft(fft.rfft(signal(x, 1024)) * torch.arange(513).sin(), n=1024),
    "625 reals and back": lambda x: fft.irfft(fft.rfft(signal(x, 625)) * torch.arange(313).cos(), n=625),
    "correlation": lambda x: fft.irfft(fft.rfft(x).conj() * fft.rfft(x.flip(0)), n=6),
    "phases": lambda x: fft.rfft(x)[:, 1:3].angle() + torch.polar(fft.rfft(x).abs(), fft.rfft(x).abs())[:, :2].real,
    "windowed": lambda x: parts(windows(x)) + torch.hamming_window(5).sum(),
    "windowed and back": lambda x: torch.istft(windows(x) * 2, 8, 4, window=torch.hann_window(8), length=24),
    "windows": lambda x: (
        x * torch.hann_window(6, periodic=False)
        + torch.hamming_window(6, False)
        + torch.hamming_window(6, True, 0.5)
        + torch.hamming_window(6, True, 0.5, 0.4)
        + torch.blackman_window(6)
        + torch.blackman_window(6, False)
        + torch.bartlett_window(6)
        + torch.bartlett_window(6, False)
        + torch.kaiser_window(6)
        + torch.kaiser_window(6, False)
        + torch.kaiser_window(6, True, beta=3.0)
    ),
}
WRITES: dict[str, Function] = {"a part of zeros": cut, "in place": changed}
CASES: dict[str, Function] = {f"fourier: {name}": f for group in (TRANSFORMS, WRITES) for name, f in group.items()}
