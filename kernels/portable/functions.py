"""The correctly rounded functions of kernels/exact/functions.py, compiled by numba: docs/functions.md."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kernels.portable import functions_exp, functions_log, functions_trig
from kernels.portable.double import INFINITY, NAN, fma, kernel


@kernel
def sqrt(x, out):
    """out = x^(1/2)."""
    for i in range(x.size):
        y = np.sqrt(x[i])
        out[i] = y if y == y else NAN


@kernel
def rsqrt(x, out):
    """out = x^(-1/2): one step of third order in double from the float32 estimate."""
    for i in range(x.size):
        estimate = np.float32(1) / np.sqrt(x[i])
        y = np.float64(estimate)
        residue = fma(-np.float64(x[i]), y * y, 1.0)
        refined = np.float32(fma(y * residue, fma(residue, 0.375, 0.5), y))
        limit = estimate if estimate == estimate else NAN
        out[i] = refined if x[i] > 0 and x[i] < INFINITY else limit


# name -> f(x, out) over contiguous float32 arrays of rank 1 and equal size, in IEEE mode; out may be x itself.
FUNCTIONS: dict[str, Callable[[np.ndarray, np.ndarray], None]] = {
    "sqrt": sqrt,
    "rsqrt": rsqrt,
    "exp": functions_exp.exp,
    "exp2": functions_exp.exp2,
    "expm1": functions_exp.expm1,
    "log": functions_log.log,
    "log2": functions_log.log2,
    "log10": functions_log.log10,
    "log1p": functions_log.log1p,
    "sin": functions_trig.sin,
    "cos": functions_trig.cos,
    "tanh": functions_exp.tanh,
    "erf": functions_exp.erf,
    "sigmoid": functions_exp.sigmoid,
}
