"""sin and cos of kernels/spec/functions.py in float64, step by step as csrc/cpu/functions_trig.h."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.coefficients import COS_TIES, INV_PI, PI, SIN, SIN_TIES
from kernels.triton.functions import bits_of, clamp, constant, constant_nan, double_of, polynomial, stepped

ROUNDER = tl.constexpr(6755399441055744.0)  # 1.5 * 2^52: adding it leaves no bits below 1, rounded to nearest even

TRIG_BOUND = tl.constexpr(4194304.0)  # 2^22: up to here n * PI[0] is exact under fma


@triton.jit
def sine(r, parity):
    """(-1)^parity sin(r) for |r| <= pi/2; the lowest bit of parity counts."""
    z = r * r
    y = tl.fma(r * z, polynomial(z, SIN, 8), r)
    return double_of(bits_of(y) ^ (parity << 63))


@triton.jit
def word_at(table, offset):
    """32 bits of 1/pi from a bit offset."""
    word = offset >> 5
    pair = (tl.load(table + word) << 32) | tl.load(table + word + 1)
    return ((pair << (offset & 31)) >> 32) & 0xFFFFFFFF


@triton.jit
def sine_of_large(a, half: tl.constexpr, table):
    """sin(a + half pi/2) for finite a >= 2^22 (Payne and Hanek): 128 bits of 1/pi leave an error below 2^-103."""
    bits = bits_of(a.to(tl.float64))
    m = ((bits >> 29) & 0x7FFFFF) | 0x800000
    offset = (bits >> 52) - 1015  # 1023 + 23 - 31
    p3 = m * word_at(table, offset + 96)
    p2 = m * word_at(table, offset + 64) + (p3 >> 32)
    p1 = m * word_at(table, offset + 32) + (p2 >> 32)
    p0 = m * word_at(table, offset) + (p1 >> 32)
    turns = ((p0 << 32) | (p1 & 0xFFFFFFFF)) + (half << 62)  # a/pi + half/2 in units of 2^-63, modulo 2
    fraction = (turns << 1) | ((p2 & 0xFFFFFFFF) >> 31)
    parity = ((turns >> 63) & 1) + ((fraction >> 63) & 1)  # to the nearest n
    rest = (p2 & 0x7FFFFFFF).to(tl.float64) * 4.656612873077393e-10  # 2^-31
    high = (fraction & -2048).to(tl.float64)
    low = (fraction & 2047).to(tl.float64) + rest
    pi = constant(high, PI[0])
    r = tl.fma(high, pi, tl.fma(high, constant(high, PI[1]), low * pi)) * 5.421010862427522e-20  # 2^-64
    return sine(r, parity)


@triton.jit
def sin(x, table):
    """sin x = (-1)^n sin(x - n pi)."""
    d = clamp(x, -TRIG_BOUND, TRIG_BOUND).to(tl.float64)
    shifted = tl.fma(d, constant(d, INV_PI[0]), constant(d, ROUNDER))
    n = shifted - constant(d, ROUNDER)
    r = tl.fma(-n, constant(d, PI[1]), tl.fma(-n, constant(d, PI[0]), d))
    y = stepped(tl.abs(x), sine(r, bits_of(shifted)).to(tl.float32), SIN_TIES, 2)
    small = tl.where(x == 0, x, y)
    return trig_limits(x, small, 0, table)


@triton.jit
def cos(x, table):
    """cos x = (-1)^n sin((n + 1/2) pi - |x|)."""
    a = clamp(tl.abs(x), 0.0, TRIG_BOUND).to(tl.float64)
    shifted = tl.fma(a, constant(a, INV_PI[0]), constant(a, -0.5)) + constant(a, ROUNDER)
    h = (shifted - constant(a, ROUNDER)) + 0.5
    r = tl.fma(h, constant(a, PI[1]), tl.fma(h, constant(a, PI[0]), -a))
    return trig_limits(x, sine(r, bits_of(shifted)).to(tl.float32), 1, table)


@triton.jit
def trig_limits(x, small, half: tl.constexpr, table):
    """The small-argument value below the bound, the reduced one above it, NaN where x is not finite."""
    a = tl.abs(x)
    regular = (a >= TRIG_BOUND) & (a < float("inf"))
    large = sine_of_large(tl.where(regular, a, TRIG_BOUND), half, table).to(tl.float32)
    if half == 0:
        large = tl.where(x < 0, -large, large)
    else:
        large = stepped(a, large, COS_TIES, 6)
    return tl.where(a < TRIG_BOUND, small, tl.where(regular, large, constant_nan(x)))
