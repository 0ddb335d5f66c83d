"""Maxima of scale groups, scales, quantised digits and the last rounding, as kernels/spec/rounding.py has them."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import torch
import triton
import triton.language as tl

from kernels.triton.launch import INTERPRETED, OPTIONS

INFINITY = tl.constexpr(0x7F800000)
CANONICAL_NAN = tl.constexpr(0x7FC00000)
ROUNDER = tl.constexpr(6755399441055744.0)  # 1.5 * 2^52: adding it leaves no bits below 1, rounded to nearest even
# A program in the interpreter costs milliseconds, whatever its size.
ROW_BLOCK, TERM_BLOCK, TERMS_PER_PROGRAM = (16, 4096, 65536) if INTERPRETED else (32, 128, 8192)
ALIGNMENT = 128  # rows of digits are padded with zeros to a multiple of this many terms


@triton.jit
def magnitude(x):
    """The bits of |x|, which order like the magnitudes; NaN above all."""
    return x.to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def power_of_two(s):
    """2^s in float64, for s in [-1022, 1023]."""
    return ((s.to(tl.int64) + 1023) << 52).to(tl.float64, bitcast=True)


@triton.jit
def exponent(value):
    """e of value = f * 2^e, 1/2 <= f < 1, for a positive finite float32 held in float64."""
    return (((value.to(tl.int64, bitcast=True) >> 52) & 0x7FF) - 1022).to(tl.int32)


@triton.jit
def quantise(value, s):
    """rne(value * 2^s) for a result below 2^51: the product is exact, so the addition rounds once."""
    return (value * power_of_two(s) + ROUNDER) - ROUNDER


@triton.jit
def largest(maximum):
    """The maximum's value in float64, 1 where it is zero or not finite, and whether it is neither."""
    usable = (maximum > 0) & (maximum < INFINITY)
    return tl.where(usable, maximum, 0x3F800000).to(tl.float32, bitcast=True).to(tl.float64), usable


@triton.jit
def product_scale(maximum, QMAX: tl.constexpr, BITS: tl.constexpr):
    """The largest s with rne(max * 2^s) <= QMAX, a number of BITS bits; 0 where the maximum is zero or not finite."""
    value, usable = largest(maximum)
    s = BITS - exponent(value)
    s = tl.where(quantise(value, s) > QMAX, s - 1, s)
    return tl.where(usable, s, 0)


@triton.jit
def store(total, s):
    """float32(rn24(total) * 2^-s): int64 to float32 is rn24, and float64 holds the scaled value exactly."""
    return (total.to(tl.float32).to(tl.float64) * power_of_two(-s)).to(tl.float32)


@triton.jit
def canonical_nan(like):
    """The law's one NaN, in a tensor's shape."""
    return (like * 0 + CANONICAL_NAN).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit(do_not_specialize=["rows", "terms", "batch_stride"])
def maxima_kernel(
    x, out, rows, terms, batch_stride, row_stride, term_stride, R: tl.constexpr, T: tl.constexpr, SPAN: tl.constexpr
):
    blocks = tl.cdiv(rows, R)
    batch = (tl.program_id(0) // blocks).to(tl.int64)
    row = (tl.program_id(0) % blocks) * R + tl.arange(0, R)
    start = tl.program_id(1) * SPAN
    highest = tl.zeros((R, T), tl.int32)
    for k in range(start, min(start + SPAN, terms), T):
        term = k + tl.arange(0, T)
        inside = (row < rows)[:, None] & (term < terms)[None, :]
        place = row.to(tl.int64)[:, None] * row_stride + term.to(tl.int64)[None, :] * term_stride
        highest = tl.maximum(highest, magnitude(tl.load(x + batch * batch_stride + place, inside, 0.0)))
    tl.atomic_max(out + batch * rows + row, tl.max(highest, 1), row < rows)


@triton.jit(do_not_specialize=["rows", "terms", "batch_stride"])
def digits_kernel(
    x,
    maxima,
    out,
    rows,
    terms,
    padded,
    batch_stride,
    row_stride,
    term_stride,
    DIGITS: tl.constexpr,
    QMAX: tl.constexpr,
    BITS: tl.constexpr,
    R: tl.constexpr,
    T: tl.constexpr,
):
    blocks = tl.cdiv(rows, R)
    batch = (tl.program_id(0) // blocks).to(tl.int64)
    row = (tl.program_id(0) % blocks) * R + tl.arange(0, R)
    term = tl.program_id(1) * T + tl.arange(0, T)
    maximum = tl.load(maxima + batch * rows + row, row < rows, 0)
    inside = (row < rows)[:, None] & (term < terms)[None, :] & (maximum < INFINITY)[:, None]
    place = row.to(tl.int64)[:, None] * row_stride + term.to(tl.int64)[None, :] * term_stride
    value = tl.load(x + batch * batch_stride + place, inside, 0.0).to(tl.float64)
    q = quantise(value, product_scale(maximum, QMAX, BITS)[:, None]).to(tl.int32)
    plane = tl.cast(rows, tl.int64) * padded
    target = out + batch * DIGITS * plane + row.to(tl.int64)[:, None] * padded + term[None, :]
    writes = (row < rows)[:, None] & (term < padded)[None, :]
    for digit in tl.static_range(DIGITS):
        low = ((q + 128) & 255) - 128  # balanced: in [-128, 127], and the last digit is what is left
        tl.store(target + digit * plane, low.to(tl.int8), writes)
        q = (q - low) >> 8


def maxima(x: torch.Tensor) -> torch.Tensor:
    """The largest |x| of each row, as bit patterns.

    x:       [B, R, K] float32, any strides
    returns: [B, R] int32
    """
    B, R, K = x.shape
    out = torch.zeros((B, R), dtype=torch.int32, device=x.device)
    if out.numel() and K:
        grid = (B * triton.cdiv(R, ROW_BLOCK), triton.cdiv(K, TERMS_PER_PROGRAM))
        sizes = {"R": ROW_BLOCK, "T": TERM_BLOCK, "SPAN": TERMS_PER_PROGRAM}
        maxima_kernel[grid](x, out, R, K, *x.stride(), **sizes, **OPTIONS)
    return out


def digits(x: torch.Tensor, highest: torch.Tensor, count: int, qmax: int, alignment: int = ALIGNMENT) -> torch.Tensor:
    """The quantised rows as balanced digits of base 256, lowest first.

    x:       [B, R, K] float32, any strides
    highest: [B, R] int32, from maxima
    returns: [B, count, R, P] int8, P = K padded with zeros to the alignment
    """
    B, R, K = x.shape
    P = triton.cdiv(K, alignment) * alignment
    out = torch.empty((B, count, R, P), dtype=torch.int8, device=x.device)
    grid = (B * triton.cdiv(R, ROW_BLOCK), triton.cdiv(P, TERM_BLOCK))
    constants = {"DIGITS": count, "QMAX": qmax, "BITS": qmax.bit_length(), "R": ROW_BLOCK, "T": TERM_BLOCK}
    digits_kernel[grid](x, highest, out, R, K, P, *x.stride(), **constants, **OPTIONS)
    return out
