"""The law's roundings: integers to float32, float32 to integers at a power of two, and the maxima that choose it."""

from __future__ import annotations

import numpy as np

from kernels.spec.operator import Array
from kernels.types import CANONICAL_NAN

NAN = np.uint32(CANONICAL_NAN).view(np.float32)
INFINITY_BITS = 0x7F800000


def canonical(x: Array) -> Array:
    """x with every NaN replaced by the law's one pattern."""
    return np.where(np.isnan(x), NAN, x) if x.dtype == np.float32 else x


def rn24(total: int) -> int:
    """An integer rounded to 24 significant bits, ties to even."""
    total = int(total)
    magnitude = abs(total)
    drop = magnitude.bit_length() - 24
    if drop <= 0:
        return total
    kept, rest, half = magnitude >> drop, magnitude & ((1 << drop) - 1), 1 << (drop - 1)
    if rest > half or (rest == half and kept % 2 == 1):
        kept += 1
    return (kept << drop) * (1 if total > 0 else -1)


def store(total: Array, scale: Array | int) -> Array:
    """The float32 of total * 2^-scale: 24 bits once, then once more only where it is subnormal or overflows.

    total: [...] int64
    scale: [...] int64, broadcast against total
    """
    rounded = np.array([rn24(value) for value in np.ravel(total)], dtype=np.float64).reshape(np.shape(total))
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(rounded, np.negative(scale, dtype=np.int64)).astype(np.float32)


def quantise(x: Array, scale: Array | int) -> Array:
    """rne(x * 2^scale) as int64; a NaN or an infinity counts as 0. In float64 the product is exact.

    x:     [...] float32
    scale: [...] int64, broadcast against x
    """
    finite = np.where(np.isfinite(x), x, np.float32(0)).astype(np.float64)
    return np.rint(np.ldexp(finite, np.asarray(scale, np.int64))).astype(np.int64)


def maxima(x: Array, axes: tuple[int, ...]) -> Array:
    """The largest |x| over the axes, which are removed, as uint32 bit patterns: NaN is highest, an empty group 0."""
    bits = x.view(np.uint32) & np.uint32(0x7FFFFFFF)
    return np.asarray(bits.max(axis=axes, initial=0), dtype=np.uint32)


def is_finite(maximum: Array) -> Array:
    """Whether a scale group holds neither a NaN nor an infinity."""
    return maximum < INFINITY_BITS


def exponents(maximum: Array) -> Array:
    """e of max = f * 2^e, 1/2 <= f < 1, from bit patterns; 0 for zero, and 128, the highest, where it is not finite."""
    value = np.where(is_finite(maximum), maximum, np.uint32(0)).astype(np.uint32).view(np.float32)
    return np.where(is_finite(maximum), np.frexp(value.astype(np.float64))[1].astype(np.int64), 128)


def product_scale(maximum: Array, qmax: int) -> Array:
    """The largest s with rne(max * 2^s) <= qmax, for bit patterns of maxima; 0 for zero.

    maximum: [...] uint32
    returns: [...] int64
    """
    scale = qmax.bit_length() - exponents(maximum)  # the largest is now in [2^(bits-1), 2^bits)
    scale = scale - (quantise(np.asarray(maximum, np.uint32).view(np.float32), scale) > qmax)
    return np.where(maximum == 0, 0, scale)
