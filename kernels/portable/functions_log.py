"""log log2 log10 log1p, as csrc/cpu/functions_log.h computes them: docs/functions.md."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from kernels.portable.double import INFINITY, NAN, bits_of, double_of, doubles, fma, kernel, polynomial, step_at

LOG = doubles(
    """
    0x1.5555555555592p-1 0x1.999999997fdaep-2 0x1.24924941f1375p-2 0x1.c71c52098a33ep-3 0x1.74663ed88e217p-3
    0x1.39a1bc8f97591p-3 0x1.2f05517f51b16p-3
    """
)
LN2 = doubles("0x1.62e42fefa39efp-1 0x1.abc9e3b39803fp-56")
LOG10_2 = doubles("0x1.34413509f79ffp-2 -0x1.9dc1da994fd21p-59")
LOG2E = float.fromhex("0x1.71547652b82fep+0")
LOG10E = float.fromhex("0x1.bcb7b1526e50ep-2")
UNIT, HALF_ROOT = np.uint64(0x3FF0000000000000), np.uint64(0x3FE6A09E667F3BCD)  # 1, sqrt(1/2)
EXPONENT, INTEGER = np.uint64(0xFFF0000000000000), np.uint64(0x4330000000000000)  # 2^52
LOG_TIES = {0x3C413D3A: -1, 0x41178FEB: -1, 0x4C5D65A5: 1, 0x65D890D3: 1, 0x6F31A8EC: 1}
LOG10_TIES = {0x0EFEEE7A: 1}
LOG1P_TIES = {
    **{0x35400003: 1, 0x3710001B: 1, 0x3EFD81AD: -1, 0x41078FEB: -1, 0x65D890D3: 1},
    **{0x6F31A8EC: 1, 0xB53FFFFD: -1, 0xB70FFFE5: -1, 0xBB0EC8C4: 1},
}

atanh_tail = polynomial(LOG)
log_step, log10_step, log1p_step = step_at(LOG_TIES), step_at(LOG10_TIES), step_at(LOG1P_TIES)


@kernel
def log_split(u):
    """(k, m) with u = 2^k m, sqrt(1/2) <= m < sqrt(2), for a normal u > 0."""
    bits = bits_of(u)
    moved = bits - HALF_ROOT + UNIT
    k = double_of((moved >> np.uint64(52)) | INTEGER) - (2.0**52 + 1023.0)
    return k, double_of(bits - (moved & EXPONENT) + UNIT)


@kernel
def log_defect(f):
    """f - ln(1 + f) = f^2/2 - s (f^2/2 + z W(z)) with s = f / (2 + f), z = s^2."""
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    return fma(-s, fma(z, atanh_tail(z), half_square), half_square)


@kernel
def log_sum(k, f):
    """k ln(2) + ln(1 + f)."""
    return fma(k, LN2[0], f - fma(-k, LN2[1], log_defect(f)))


@kernel
def limits(u, y):
    """y where 0 < u < infinity, else what a logarithm gives there."""
    below = -INFINITY if u == 0 else NAN
    return (y if u < INFINITY else INFINITY) if u > 0 else below


@kernel
def log(x, out):
    """out = ln x."""
    for i in range(x.size):
        k, m = log_split(np.float64(x[i]))
        out[i] = limits(x[i], log_step(x[i], np.float32(log_sum(k, m - 1.0))))


@kernel
def log2(x, out):
    """out = log2 x."""
    for i in range(x.size):
        k, m = log_split(np.float64(x[i]))
        f = m - 1.0
        out[i] = limits(x[i], np.float32(fma(f - log_defect(f), LOG2E, k)))


@kernel
def log10(x, out):
    """out = log10 x."""
    for i in range(x.size):
        k, m = log_split(np.float64(x[i]))
        f = m - 1.0
        near_one = fma(k, LOG10_2[1], (f - log_defect(f)) * LOG10E)
        out[i] = limits(x[i], log10_step(x[i], np.float32(fma(k, LOG10_2[0], near_one))))


@kernel
def log1p(x, out):
    """out = ln(1 + x)."""
    for i in range(x.size):
        d = np.float64(x[i])
        u = 1.0 + d
        k, m = log_split(u)
        y = log1p_step(x[i], np.float32(log_sum(k, d if k == 0 else m - 1.0)))
        out[i] = x[i] if x[i] == 0 else limits(np.float32(u), y)
