"""Products of digits on tensor cores: of int8, or of a float type that holds every digit and is added in float32."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton import launch

INTERPRETED = tl.constexpr(launch.INTERPRETED)


@triton.jit
def multiply_add(a, b, c, DIGIT: tl.constexpr):
    """c + a b, exactly, for int8 digits [M, K] and [K, N], K <= 256: no float32 sum of theirs is beyond 2^22."""
    if DIGIT == "int8":
        return tl.dot(a, b, c, out_dtype=tl.int32)
    if DIGIT == "bfloat16":
        x, y = a.to(tl.float32).to(tl.bfloat16), b.to(tl.float32).to(tl.bfloat16)
        if INTERPRETED:  # whose products of bfloat16 are those of their bits as integers
            x, y = x.to(tl.float32), y.to(tl.float32)
    else:
        x, y = a.to(tl.float16), b.to(tl.float16)
    return c + tl.dot(x, y, out_dtype=tl.float32).to(tl.int32)
