"""ATen's creation of tensors: constants and index ramps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.tracing.builder import Builder, Scalar, Value
from engine.tracing.rules_elementwise import Rule
from kernels.types import TensorType

aten = torch.ops.aten


def _filled(value: Scalar) -> Rule:
    return lambda b, out, *_, **__: b.full(value, out.dtype, out.shape)


def _full(b: Builder, out: TensorType, size: Any, value: Scalar, **_: Any) -> Value:
    return b.full(value, out.dtype, out.shape)


def _new_full(b: Builder, out: TensorType, x: Value, size: Any, value: Scalar, **_: Any) -> Value:
    return b.full(value, out.dtype, out.shape)


def _scalar_tensor(b: Builder, out: TensorType, value: Scalar, **_: Any) -> Value:
    return b.full(value, out.dtype, ())


def _arange(b: Builder, out: TensorType, *limits: Scalar, **_: Any) -> Value:
    start, step = (limits[0] if len(limits) > 1 else 0), (limits[2] if len(limits) > 2 else 1)
    index = b.cast(b.iota(out.shape, 0), out.dtype)
    return index * step + start if start else index * step


def _linspace(b: Builder, out: TensorType, start: Scalar, stop: Scalar, steps: int, **_: Any) -> Value:
    if out.dtype == "float32":
        return b.constant(np.linspace(start, stop, steps).astype(np.float32))
    index = b.cast(b.iota(out.shape, 0), out.dtype)
    return index * ((stop - start) / max(steps - 1, 1)) + start


def _frequencies(onesided: bool) -> Rule:
    made = np.fft.rfftfreq if onesided else np.fft.fftfreq
    return lambda b, out, n, spacing=1.0, **_: b.constant(made(n, spacing).astype(np.float32))


def _window(op: Any) -> Rule:
    def rule(b: Builder, out: TensorType, *args: Any, **_: Any) -> Value:
        return b.constant(op(*args, dtype=torch.float64).numpy().astype(np.float32))

    return rule


def _eye(b: Builder, out: TensorType, n: int, m: int | None = None, **_: Any) -> Value:
    M, N = out.shape
    return b.cast(b.binary("eq", b.iota((M, 1), 0), b.iota((1, N), 1)), out.dtype)


WINDOWS = {
    "hann_window": ("default", "periodic"),
    "hamming_window": ("default", "periodic", "periodic_alpha", "periodic_alpha_beta"),
    "blackman_window": ("default", "periodic"),
    "bartlett_window": ("default", "periodic"),
    "kaiser_window": ("default", "periodic", "beta"),
}
RULES: dict[Any, Rule] = {
    **{op: _window(op) for name, kinds in WINDOWS.items() for op in (getattr(getattr(aten, name), k) for k in kinds)},
    aten.new_empty_strided.default: _filled(0),
    aten.zeros.default: _filled(0),
    aten.ones.default: _filled(1),
    aten.empty.memory_format: _filled(0),
    aten.zero.default: _filled(0),
    aten.zeros_like.default: _filled(0),
    aten.ones_like.default: _filled(1),
    aten.empty_like.default: _filled(0),
    aten.new_zeros.default: _filled(0),
    aten.new_ones.default: _filled(1),
    aten.new_empty.default: _filled(0),
    aten.full.default: _full,
    aten.full_like.default: _full,
    aten.new_full.default: _new_full,
    aten.fill.Scalar: _full,
    aten.scalar_tensor.default: _scalar_tensor,
    aten.arange.default: _arange,
    aten.arange.start: _arange,
    aten.arange.start_step: _arange,
    aten.linspace.default: _linspace,
    aten.fft_fftfreq.default: _frequencies(onesided=False),
    aten.fft_rfftfreq.default: _frequencies(onesided=True),
    aten.eye.default: _eye,
    aten.eye.m: _eye,
}
