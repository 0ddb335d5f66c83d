"""The functions by MPFR: the correctly rounded value of a bit pattern, and how near to a rounding boundary it lies."""

from __future__ import annotations

from collections.abc import Callable

import gmpy2
import numpy as np
from gmpy2 import mpfr

NAMES = "sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tanh erf sigmoid".split()
NAN = 0x7FC00000
FLOAT32 = gmpy2.context(precision=24, emin=-148, emax=128, subnormalize=True)
WIDE = gmpy2.context(precision=400, emin=-(10**9), emax=10**9)


def _rsqrt(x: mpfr) -> mpfr:
    return gmpy2.rec_sqrt(x) if x != 0 else gmpy2.copy_sign(gmpy2.inf(), x)


def _sigmoid(x: mpfr) -> mpfr:
    return 1 / (1 + gmpy2.exp(-x))


OWN = {name: getattr(gmpy2, name) for name in NAMES if name not in ("rsqrt", "sigmoid")}
FUNCTIONS: dict[str, Callable[[mpfr], mpfr]] = {**OWN, "rsqrt": _rsqrt, "sigmoid": _sigmoid}


def value(name: str, bits: int) -> mpfr:
    """The function's value to 400 bits."""
    x = float(np.uint32(bits).view(np.float32))
    with WIDE:
        return FUNCTIONS[name](mpfr(x))


def nearest(name: str, bits: int) -> int:
    """The float32 bits of the value, rounded once: by MPFR itself, and for sigmoid from 400 bits."""
    x = float(np.uint32(bits).view(np.float32))
    exact = value(name, bits) if name == "sigmoid" else None
    with FLOAT32:
        result = FUNCTIONS[name](mpfr(x)) if exact is None else +exact
        return NAN if gmpy2.is_nan(result) else int(np.float32(float(result)).view(np.uint32))


def distance(name: str, bits: int) -> mpfr:
    """How far the value lies from the nearest tie between two float32, relative to the value."""
    exact = value(name, bits)
    with WIDE:
        exact = abs(exact)  # this, too, rounds to the context's precision
        quantum = mpfr(2) ** max(int(gmpy2.floor(gmpy2.log2(exact))) - 23, -149)
        part = gmpy2.frac(exact / quantum)
        return abs(part - mpfr("0.5")) * quantum / exact
