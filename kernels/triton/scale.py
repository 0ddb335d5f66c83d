"""Maxima of scale groups, scales, quantised digits and the last rounding, as kernels/spec/rounding.py has them.

In float32 and integers alone: many GPUs have a float64 unit for every 64 of float32.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import torch
import triton
import triton.language as tl

from kernels.triton.launch import INTERPRETED, OPTIONS

INFINITY = tl.constexpr(0x7F800000)
CANONICAL_NAN = tl.constexpr(0x7FC00000)
# A program in the interpreter costs milliseconds, whatever its size.
ROW_BLOCK, TERM_BLOCK, TERMS_PER_PROGRAM = (16, 4096, 65536) if INTERPRETED else (32, 128, 8192)
MOST_PROGRAMS = 65535  # along any axis of a grid but the first
ALIGNMENT = 128  # rows of digits are padded with zeros to a multiple of this many terms


@triton.jit
def magnitude(x):
    """The bits of |x|, which order like the magnitudes; NaN above all."""
    return x.to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def power_of_two(s):
    """2^s in float32, for s in [-126, 127]."""
    return ((s + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def field(bits):
    """e of f * 2^e, 1/2 <= f < 1, for the bits of a positive normal float32."""
    return (bits >> 23) - 126


@triton.jit
def exponent(bits):
    """The same of any positive finite float32: a subnormal one is its bits times 2^-149."""
    return tl.where(bits >= 0x800000, field(bits), field(bits.to(tl.float32).to(tl.int32, bitcast=True)) - 149)


@triton.jit
def usable(maximum):
    """A maximum's bits, or those of 1 where it is zero or not finite; and whether it is neither."""
    is_usable = (maximum > 0) & (maximum < INFINITY)
    return tl.where(is_usable, maximum, 0x3F800000), is_usable


@triton.jit
def quantise(x, s):
    """rne(x * 2^s) as int32, for a result of at most 2^23: only what rounds to 0 is not scaled exactly.

    x: float32; s in [-115, 171], so that each half of it is the exponent of a float32
    """
    half = s >> 1
    scaled = (x * power_of_two(half)) * power_of_two(s - half)
    whole = ((tl.abs(scaled) + 8388608.0) - 8388608.0).to(tl.int32)  # at and above 2^23 a float32 has no fraction
    return tl.where(scaled < 0, -whole, whole)


@triton.jit
def quantise_long(x, s):
    """rne(x * 2^s) as int64, for a result below 2^47, in integers alone."""
    bits = magnitude(x)
    is_normal = bits >= 0x800000
    fraction = tl.where(is_normal, (bits & 0x7FFFFF) | 0x800000, bits).to(tl.int64)
    shift = tl.where(is_normal, bits >> 23, 1) - 150 + s
    left = fraction << tl.maximum(tl.minimum(shift, 46), 0).to(tl.int64)
    by = tl.maximum(tl.minimum(-shift, 26), 1).to(tl.int64)  # 25 and more leave less than half
    right = (fraction + (((fraction >> by) & 1) - 1) + (tl.full(by.shape, 1, tl.int64) << (by - 1))) >> by
    whole = tl.where(shift >= 0, left, right)
    return tl.where(x < 0, -whole, whole)


@triton.jit
def product_scale(maximum, QMAX: tl.constexpr, BITS: tl.constexpr):
    """The largest s with rne(max * 2^s) <= QMAX, a number of BITS bits; 0 where the maximum is zero or not finite."""
    bits, is_usable = usable(maximum)
    s = -exponent(bits) + BITS
    s = tl.where(quantise(bits.to(tl.float32, bitcast=True), s) > QMAX, s - 1, s)
    return tl.where(is_usable, s, 0)


@triton.jit
def store(total, s):
    """float32(rn24(total) * 2^-s), s in [-230, 352]: int64 to float32 is rn24, and only the last product can round."""
    first = tl.maximum(tl.minimum(s, 126), -110)
    second = tl.minimum(s - first, 126)
    return (total.to(tl.float32) * power_of_two(-first)) * power_of_two(-second)


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
    start = tl.program_id(1).to(tl.int64) * SPAN
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
    value = tl.load(x + batch * batch_stride + place, inside, 0.0)
    q = quantise(value, product_scale(maximum, QMAX, BITS)[:, None])
    plane = tl.cast(rows, tl.int64) * padded
    target = out + batch * DIGITS * plane + row.to(tl.int64)[:, None] * padded + term[None, :]
    writes = (row < rows)[:, None] & (term < padded)[None, :]
    for digit in tl.static_range(DIGITS):
        low = ((q + 128) & 255) - 128  # balanced: in [-128, 127], and the last digit is what is left
        tl.store(target + digit * plane, low.to(tl.int8), writes)
        q = (q - low) >> 8


def widened(terms: int, total: int) -> int:
    """Terms of a program, doubled until a grid has enough programs for them all along its second axis."""
    while triton.cdiv(total, terms) > MOST_PROGRAMS:
        terms *= 2
    return terms


def maxima(x: torch.Tensor) -> torch.Tensor:
    """The largest |x| of each row, as bit patterns.

    x:       [B, R, K] float32, any strides
    returns: [B, R] int32
    """
    B, R, K = x.shape
    out = torch.zeros((B, R), dtype=torch.int32, device=x.device)
    if out.numel() and K:
        span = widened(TERMS_PER_PROGRAM, K)
        grid = (B * triton.cdiv(R, ROW_BLOCK), triton.cdiv(K, span))
        sizes = {"R": ROW_BLOCK, "T": TERM_BLOCK, "SPAN": span}
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
    T = widened(TERM_BLOCK, P)
    grid = (B * triton.cdiv(R, ROW_BLOCK), triton.cdiv(P, T))
    constants = {"DIGITS": count, "QMAX": qmax, "BITS": qmax.bit_length(), "R": ROW_BLOCK, "T": T}
    digits_kernel[grid](x, highest, out, R, K, P, *x.stride(), **constants, **OPTIONS)
    return out
