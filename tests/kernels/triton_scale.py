"""Run by test_triton.py with TRITON_INTERPRET=1: scales and roundings without float64, against the definition."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from kernels.spec import rounding
from kernels.spec.matmul import LONG_QMAX, NARROW_QMAX, WIDE_QMAX
from kernels.triton.reduction import FRACTION_BITS, sum_scale
from kernels.triton.scale import product_scale, quantise, quantise_long, store

SIZE = 2**16


@triton.jit
def quantise_kernel(x, maxima, scales, out, QMAX: tl.constexpr, BITS: tl.constexpr, N: tl.constexpr):
    i = tl.arange(0, N)
    s = product_scale(tl.load(maxima + i), QMAX, BITS)
    tl.store(scales + i, s)
    tl.store(out + i, quantise(tl.load(x + i), s))


@triton.jit
def quantise_long_kernel(x, maxima, out, BITS: tl.constexpr, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, quantise_long(tl.load(x + i), sum_scale(tl.load(maxima + i), BITS)))


@triton.jit
def store_kernel(total, scales, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, store(tl.load(total + i), tl.load(scales + i)))


def pairs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Any finite x of any exponent, and a maximum that is at least as large: often of its exponent, sometimes far."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 0x7F800000, SIZE, dtype=np.uint32)
    bits[::5] = random.integers(0, 0x800000, len(bits[::5]), dtype=np.uint32)
    bits[::7] = 1 << random.integers(0, 23, len(bits[::7]), dtype=np.uint32)  # subnormal, and often the maximum
    above = np.minimum(bits + (random.integers(0, 30, SIZE) << 23) * (random.random(SIZE) < 0.7), 0x7F7FFFFF)
    above[::3] = np.maximum(bits[::3], random.integers(0, 0x7F800000, len(bits[::3])))
    ties = random.random(SIZE) < 0.3
    bits[ties] &= np.uint32(0xFFFFFFFF) << random.integers(0, 24, int(ties.sum())).astype(np.uint32)
    sign = random.integers(0, 2, SIZE, dtype=np.uint32) << 31
    return (bits | sign).view(np.float32), np.maximum(above, bits).astype(np.uint32)


def device(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.view(np.int32) if x.dtype == np.uint32 else x)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [NARROW_QMAX, WIDE_QMAX, LONG_QMAX])
def test_scales_and_integers_of_products(limit: int, seed: int) -> None:
    x, maxima = pairs(seed)
    scales, out = torch.empty(SIZE, dtype=torch.int32), torch.empty(SIZE, dtype=torch.int32)
    with np.errstate(all="ignore"):
        quantise_kernel[(1,)](device(x), device(maxima), scales, out, QMAX=limit, BITS=limit.bit_length(), N=SIZE)
    want = rounding.product_scale(maxima, limit)
    assert (scales.numpy() == want).all()
    assert (out.numpy() == rounding.quantise(x, want)).all() and np.abs(out.numpy()).max() > 0.99 * limit


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bits", [FRACTION_BITS, 40, 22])
def test_integers_of_sums(bits: int, seed: int) -> None:
    x, maxima = pairs(seed)
    out = torch.empty(SIZE, dtype=torch.int64)
    quantise_long_kernel[(1,)](device(x), device(maxima), out, BITS=bits, N=SIZE)
    scale = np.where(maxima > 0, bits - rounding.exponents(maxima), bits)
    assert (out.numpy() == rounding.quantise(x, scale)).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_last_rounding(seed: int) -> None:
    random = np.random.default_rng(seed)
    total = random.integers(-(2**63), 2**63, SIZE // 8) >> random.integers(0, 64, SIZE // 8)
    scales = random.integers(-230, 353, SIZE // 8)
    near = random.random(SIZE // 8) < 0.6  # results that are subnormal or about to be
    lengths = np.array([int(abs(int(n))).bit_length() for n in total])
    scales = np.where(near, np.clip(lengths + random.integers(118, 154, SIZE // 8), -230, 352), scales).astype(np.int32)
    out = torch.empty(SIZE // 8, dtype=torch.float32)
    with np.errstate(all="ignore"):
        store_kernel[(1,)](device(total), device(scales), out, N=SIZE // 8)
    assert out.numpy().tobytes() == rounding.store(total, scales.astype(np.int64)).tobytes()
