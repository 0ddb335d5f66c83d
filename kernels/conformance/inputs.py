"""Arrays for the conformance cases, the same everywhere: special values, random bit patterns, odd memory layouts."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from kernels.spec.operator import Array
from kernels.spec.rounding import canonical
from kernels.types import NUMPY_DTYPE

SPECIAL_BITS = (
    *(
        0x00000000,
        0x00000001,
        0x00000002,
        0x00400000,
        0x007FFFFF,
        0x00800000,
        0x00800001,
    ),  # 0, subnormals, least normal
    *(0x33000000, 0x33800000, 0x34000000, 0x3DCCCCCD, 0x3EFFFFFF, 0x3F000000, 0x3F000001, 0x3F7FFFFF, 0x3F800000),
    *(0x3F800001, 0x3FC00000, 0x40000000, 0x40200000, 0x40490FDB, 0x42B17218, 0x42D00000, 0x47FF8000),
    *(
        0x4AFFFFFF,
        0x4B000001,
        0x4B800000,
        0x4EFFFFFF,
        0x4F000000,
        0x4F7FFFFF,
        0x4F800000,
    ),  # around 2^23, 2^24, 2^31, 2^32
    *(
        0x5EFFFFFF,
        0x5F000000,
        0x5F000001,
        0x7E800000,
        0x7F000000,
        0x7F7FFFFF,
        0x7F800000,
    ),  # around 2^63, largest, infinity
)
NAN_BITS = 0x7FC00000
SPECIAL_INTEGERS = (
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    63,
    64,
    2**24 + 1,
    2**25 + 3,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53 + 1,
    2**62,
)


def bits(seed: str, shape: Sequence[int]) -> Array:
    """Random uint32; PCG64's raw stream is the same in every version of NumPy."""
    raw = np.random.PCG64(zlib.crc32(seed.encode())).random_raw(prod(shape))
    return (np.asarray(raw, np.uint64) >> np.uint64(32)).astype(np.uint32).reshape(tuple(shape))


def any_floats(seed: str, shape: Sequence[int]) -> Array:
    """float32 of any bit pattern, NaNs made canonical."""
    return np.asarray(canonical(bits(seed, shape).view(np.float32)))


def floats(seed: str, shape: Sequence[int], exponent: int = 0, spread: int = 8) -> Array:
    """Finite float32 of either sign and |x| within [2^(exponent - spread), 2^exponent), all mantissa bits in use."""
    raw = bits(seed, shape)
    fraction = (raw & np.uint32(0x807FFFFF) | np.uint32(0x3F000000)).view(np.float32).astype(np.float64)
    drop = bits(seed + "/exponent", shape).astype(np.int64) % spread
    return np.asarray(np.ldexp(fraction, exponent - drop)).astype(np.float32)


def integers(seed: str, shape: Sequence[int], dtype: str) -> Array:
    """Integers of any bit pattern, or bools."""
    if dtype == "bool":
        return bits(seed, shape) % 2 == 1
    wide = bits(seed, shape).astype(np.uint64) << np.uint64(32) | bits(seed + "/low", shape)
    return np.asarray(wide >> np.uint64(0 if dtype == "int64" else 32)).astype(NUMPY_DTYPE[dtype])


def any_values(seed: str, shape: Sequence[int], dtype: str) -> Array:
    """Values of any bit pattern that the law allows."""
    return any_floats(seed, shape) if dtype == "float32" else integers(seed, shape, dtype)


def specials(dtype: str) -> Array:
    """The awkward values of a dtype, as a list."""
    if dtype == "float32":
        positive = np.array(SPECIAL_BITS, np.uint32)
        return np.concatenate([positive, positive | 0x80000000, [NAN_BITS]]).astype(np.uint32).view(np.float32)
    if dtype == "bool":
        return np.array([False, True])
    modulus = 2 ** (8 * NUMPY_DTYPE[dtype].itemsize)
    values = sorted({sign * value % modulus for value in SPECIAL_INTEGERS for sign in (1, -1)} | {modulus // 2})
    return np.array(values, np.uint64).astype(f"<u{NUMPY_DTYPE[dtype].itemsize}").view(NUMPY_DTYPE[dtype])


def indices(seed: str, shape: Sequence[int], size: int) -> Array:
    """int64 in [0, size)."""
    return bits(seed, shape).astype(np.int64) % size


def relaid(x: Array) -> Iterator[tuple[str, Array]]:
    """The same array with other strides: columns first, every second element of a larger one, backwards, misaligned."""
    yield "columns first", np.array(x, order="F")
    stepped = np.zeros([2 * size + 1 for size in x.shape], x.dtype)
    place = tuple(slice(1, None, 2) for _ in x.shape)
    stepped[place] = x
    yield "stepped", stepped[place]
    back = tuple(slice(None, None, -1) for _ in x.shape)
    yield "backwards", np.array(x[back], order="C")[back]
