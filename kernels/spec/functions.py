"""The functions of the law over arrays; `kernels.exact.functions` defines them, from bit pattern to bit pattern."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kernels.exact.functions import BITS, Bits
from kernels.spec.operator import Array


def elementwise(of_bits: Bits) -> Callable[[Array], Array]:
    """The function over a float32 array of any shape: each distinct bit pattern is computed once."""

    def value(x: Array) -> Array:
        patterns, inverse = np.unique(np.ascontiguousarray(x).view(np.uint32), return_inverse=True)
        table = np.array([of_bits(int(bits)) for bits in patterns], dtype=np.uint32)
        return table[inverse].reshape(np.shape(x)).view(np.float32)

    return value


FUNCTIONS = {name: elementwise(of_bits) for name, of_bits in BITS.items()}
sqrt, rsqrt, exp, exp2, expm1, log, log2, log10, log1p, sin, cos, tanh, erf, sigmoid = FUNCTIONS.values()
