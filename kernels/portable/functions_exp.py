"""exp exp2 expm1 sigmoid tanh erf, as csrc/cpu/functions_exp.h and functions.h compute them: docs/functions.md."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from kernels.portable.double import (
    ROUND,
    bits_of,
    double_of,
    doubles,
    fma,
    kernel,
    limit,
    polynomial,
    step_at,
    unless_nan,
)

EXP = doubles(
    """
    0x1.0000000000005p-1 0x1.555555555555cp-3 0x1.55555555520f9p-5 0x1.111111110e780p-7 0x1.6c16c17f364ddp-10
    0x1.a01a01b5a08bcp-13 0x1.a019a6891d3c6p-16 0x1.71ddea7eeb0e0p-19 0x1.28a2a85e8d861p-22 0x1.af75efaed7e1ep-26
    """
)
EXP2 = doubles(
    """
    0x1.62e42fefa39efp-1 0x1.ebfbdff82c598p-3 0x1.c6b08d704a0c9p-5 0x1.3b2ab6fba1e69p-7 0x1.5d87fe78a3385p-10
    0x1.4309130952479p-13 0x1.ffcbfc72073fep-17 0x1.62bfd4bf26092p-20 0x1.b524e185c8afdp-24 0x1.e605cbafabb22p-28
    0x1.e9fd00bf618a4p-32
    """
)
ERF = doubles(
    """
    0x1.6fcd22af732c0p-2 -0x1.7b26f08c9b346p-6 0x1.237b69152a75ep-9 -0x1.ea83a92770e10p-13 0x1.a51fecdf5aadbp-16
    -0x1.642a6adc7c9bdp-19 0x1.2240dad80bde3p-22 -0x1.c18ac05b879cbp-26 0x1.4826fb8b7ee12p-29 -0x1.c1d07a3b45baep-33
    0x1.2116da64d2a03p-36 -0x1.5c95110b3021fp-40 0x1.8ad7eb34aeb5ep-44 -0x1.a4f26dfbf82adp-48 0x1.a750de21810b3p-52
    -0x1.927795e14db02p-56 0x1.6a964ea482f07p-60 -0x1.3636acc8274a3p-64 0x1.f934efd551f36p-69 -0x1.887676ba6ba36p-73
    0x1.231dc17cdba1dp-77 -0x1.9bd316c876ddfp-82 0x1.18c9dfb24ac69p-86 -0x1.7a66eb2a8ab00p-91 0x1.d813ee048197dp-96
    -0x1.d59f903dc65f3p-101 0x1.1c55e5e6acbefp-105 -0x1.28f53cf020f91p-109 0x1.3743d4a54745ep-114
    """
)
LN2 = doubles("0x1.62e42fefa39efp-1 0x1.abc9e3b39803fp-56")
LOG2E = float.fromhex("0x1.71547652b82fep+0")
SLOPE = float.fromhex("0x0.ffffffcp-2")
BIASED = ROUND + 1023.0
EXP2_TIES = {0x3B429D37: 1, 0xBCF3A937: 1}
SIGMOID_TIES = {0xBA928601: 1}
BOUND = 104.5  # beyond it every function here is at its limit

exp_tail, exp2_quotient, erf_quotient = polynomial(EXP), polynomial(EXP2), polynomial(ERF)
exp2_step, sigmoid_step = step_at(EXP2_TIES), step_at(SIGMOID_TIES)


@kernel
def exp_split(x):
    """(2^k, r) for x = k ln(2) + r, |r| <= ln(2)/2."""
    shifted = fma(x, LOG2E, BIASED)
    k = shifted - BIASED
    r = fma(-k, LN2[1], fma(-k, LN2[0], x))
    return double_of(bits_of(shifted) << np.uint64(52)), r


@kernel
def exp_double(x):
    """e^x = 2^k + 2^k r (1 + r Q(r)) to about 2^-52."""
    scale, r = exp_split(x)
    return fma(scale * r, fma(r, exp_tail(r), 1.0), scale)


@kernel
def expm1_double(x):
    """e^x - 1 = 2^k (e^r - 1) + (2^k - 1) to about 2^-52."""
    scale, r = exp_split(x)
    return fma(scale, fma(r * r, exp_tail(r), r), scale - 1.0)


@kernel
def exp(x, out):
    """out = e^x."""
    for i in range(x.size):
        out[i] = unless_nan(x[i], exp_double(limit(x[i], BOUND)))


@kernel
def exp2(x, out):
    """out = 2^x."""
    for i in range(x.size):
        d = limit(x[i], 151.0)
        shifted = d + BIASED
        r = d - (shifted - BIASED)
        scale = double_of(bits_of(shifted) << np.uint64(52))
        out[i] = exp2_step(x[i], unless_nan(x[i], fma(scale * r, exp2_quotient(r), scale)))


@kernel
def expm1(x, out):
    """out = e^x - 1."""
    for i in range(x.size):
        y = unless_nan(x[i], expm1_double(limit(x[i], BOUND)))
        out[i] = x[i] if x[i] == 0 else y


@kernel
def sigmoid(x, out):
    """out = 1 / (1 + e^-x)."""
    for i in range(x.size):
        general = 1.0 / (1.0 + exp_double(-limit(x[i], BOUND)))
        small = fma(np.float64(x[i]), SLOPE, 0.5)
        out[i] = sigmoid_step(x[i], unless_nan(x[i], small if abs(x[i]) < np.float32(2.0**-13) else general))


@kernel
def tanh(x, out):
    """out = tanh x."""
    for i in range(x.size):
        q = expm1_double(-2.0 * abs(limit(x[i], 10.0)))
        out[i] = unless_nan(x[i], np.copysign(q / (2.0 + q), np.float64(x[i])))


@kernel
def erf(x, out):
    """out = erf x."""
    for i in range(x.size):
        a = abs(limit(x[i], 3.925))
        out[i] = unless_nan(x[i], np.copysign(a * erf_quotient(fma(a, a, -7.75)), np.float64(x[i])))
