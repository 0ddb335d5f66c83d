"""sin cos, as csrc/cpu/functions_trig.h computes them: docs/functions.md."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from kernels.portable.double import INFINITY, NAN, ROUND, bits_of, double_of, doubles, fma, kernel, polynomial, step_at

SIN = doubles(
    """
    -0x1.5555555555555p-3 0x1.11111111110cbp-7 -0x1.a01a01a01519cp-13 0x1.71de3a52c2026p-19 -0x1.ae6454e4f00d5p-26
    0x1.6123d15a31079p-33 -0x1.ae44ab7ec5e48p-41 0x1.88521fb6d72d8p-49
    """
)
PI = doubles("0x1.921fb54442d18p+1 0x1.1a62633145c07p-53")
INV_PI = float.fromhex("0x1.45f306dc9c883p-2")
# 1 / pi in binary: 32 zero bits, then the first 288 bits of its fraction.
INV_PI_BITS = (
    0x00000000,
    0x517CC1B7,
    0x27220A94,
    0xFE13ABE8,
    0xFA9A6EE0,
    0x6DB14ACC,
    0x9E21C820,
    0xFF28B1D5,
    0xEF5DE2B0,
    0xDB92371D,
)
INV_PI_WORDS = np.array(INV_PI_BITS, dtype=np.uint64)
SIN_TIES = {0x46199998: -1}  # of |x|
COS_TIES = {0x5F18B878: -1, 0x6115CB11: 1, 0x7908CD73: -1}  # of |x|
BOUND = np.float32(2.0**22)  # up to here n * PI[0] is exact under fma

sine_tail = polynomial(SIN)
sin_step, cos_step = step_at(SIN_TIES), step_at(COS_TIES)


@kernel
def sine(r, parity):
    """(-1)^parity sin(r) for |r| <= pi/2; the lowest bit of parity counts."""
    z = r * r
    y = fma(r * z, sine_tail(z), r)
    return double_of(bits_of(y) ^ (parity << np.uint64(63)))


@kernel
def sin_small(x):
    """sin x = (-1)^n sin(x - n pi), for |x| < 2^22."""
    d = np.float64(x)
    shifted = fma(d, INV_PI, ROUND)
    n = shifted - ROUND
    r = fma(-n, PI[1], fma(-n, PI[0], d))
    y = sin_step(abs(x), np.float32(sine(r, bits_of(shifted))))
    return x if x == 0 else y


@kernel
def cos_small(x):
    """cos x = (-1)^n sin((n + 1/2) pi - |x|), for |x| < 2^22."""
    a = np.float64(abs(x))
    shifted = fma(a, INV_PI, -0.5) + ROUND
    h = (shifted - ROUND) + 0.5
    r = fma(h, PI[1], fma(h, PI[0], -a))
    return np.float32(sine(r, bits_of(shifted)))


@kernel
def word_at(offset):
    """32 bits of 1/pi from a bit offset."""
    word = offset >> np.uint64(5)
    pair = (INV_PI_WORDS[word] << np.uint64(32)) | INV_PI_WORDS[word + np.uint64(1)]
    return (pair << (offset & np.uint64(31))) >> np.uint64(32)


@kernel
def sine_of_large(x, half):
    """sin(|x| + half pi/2) for finite |x| >= 2^22 (Payne and Hanek): 128 bits of 1/pi leave an error below 2^-103."""
    low32, s32 = np.uint64(0xFFFFFFFF), np.uint64(32)
    bits = bits_of(np.float64(abs(x)))
    m = ((bits >> np.uint64(29)) & np.uint64(0x7FFFFF)) | np.uint64(0x800000)
    offset = (bits >> np.uint64(52)) - np.uint64(1023 + 23 - 31)
    p3 = m * word_at(offset + np.uint64(96))
    p2 = m * word_at(offset + np.uint64(64)) + (p3 >> s32)
    p1 = m * word_at(offset + s32) + (p2 >> s32)
    p0 = m * word_at(offset) + (p1 >> s32)
    turns = ((p0 << s32) | (p1 & low32)) + (half << np.uint64(62))  # |x|/pi + half/2 in units of 2^-63, mod 2
    fraction = (turns << np.uint64(1)) | ((p2 & low32) >> np.uint64(31))
    parity = (turns >> np.uint64(63)) + (fraction >> np.uint64(63))  # to the nearest n
    rest = np.float64(p2 & np.uint64(0x7FFFFFFF)) * 2.0**-31
    high = np.float64(np.int64(fraction & ~np.uint64(0x7FF)))
    low = np.float64(fraction & np.uint64(0x7FF)) + rest
    r = fma(high, PI[0], fma(high, PI[1], low * PI[0])) * 2.0**-64
    return sine(r, parity)


@kernel
def sin_large(x):
    """sin x for |x| >= 2^22, infinite or NaN."""
    if not abs(x) < INFINITY:
        return NAN
    y = np.float32(sine_of_large(x, np.uint64(0)))
    return -y if x < 0 else y


@kernel
def cos_large(x):
    """cos x for |x| >= 2^22, infinite or NaN."""
    return cos_step(abs(x), np.float32(sine_of_large(x, np.uint64(1)))) if abs(x) < INFINITY else NAN


@kernel
def all_small(x):
    """Whether every |x| is below the bound."""
    large = False
    for i in range(x.size):
        large |= not abs(x[i]) < BOUND
    return not large


@kernel
def sin(x, out):
    """out = sin x."""
    if all_small(x):
        for i in range(x.size):
            out[i] = sin_small(x[i])
    else:
        for i in range(x.size):
            out[i] = sin_small(x[i]) if abs(x[i]) < BOUND else sin_large(x[i])


@kernel
def cos(x, out):
    """out = cos x."""
    if all_small(x):
        for i in range(x.size):
            out[i] = cos_small(x[i])
    else:
        for i in range(x.size):
            out[i] = cos_small(x[i]) if abs(x[i]) < BOUND else cos_large(x[i])
