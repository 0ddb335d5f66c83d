"""The correctly rounded functions of the law in float64, step by step as csrc/cpu/functions.h; sin and cos are in
functions_trig.py.

tl.fma of float64 rounds once on a GPU; Triton's interpreter does so from version 3.8 on. A constant that is no float32
goes through `constant`: Triton may round a bare Python number to float32.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.coefficients import (
    ERF,
    EXP,
    EXP2,
    EXP2_TIES,
    LN2,
    LOG,
    LOG1P_TIES,
    LOG2E,
    LOG10_2,
    LOG10_TIES,
    LOG10E,
    LOG_TIES,
    SIGMOID_SLOPE,
    SIGMOID_TIES,
)
from kernels.triton.scale import CANONICAL_NAN

BIASED = tl.constexpr(6755399441055744.0 + 1023.0)
UNIT, HALF_ROOT = tl.constexpr(0x3FF0000000000000), tl.constexpr(0x3FE6A09E667F3BCD)  # the bits of 1 and sqrt(1/2)
EXPONENT, INTEGER = tl.constexpr(0x7FF0000000000000), tl.constexpr(0x4330000000000000)  # a mask, the bits of 2^52


@triton.jit
def constant(like, C: tl.constexpr):
    """A double in a tensor's shape, exactly."""
    return tl.full(like.shape, C, tl.float64)


@triton.jit
def bits_of(x):
    return x.to(tl.int64, bitcast=True)


@triton.jit
def double_of(bits):
    return bits.to(tl.float64, bitcast=True)


@triton.jit
def constant_nan(like):
    return tl.full(like.shape, CANONICAL_NAN, tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def canonical(x):
    """x, or the law's NaN."""
    return tl.where(x == x, x, constant_nan(x))


@triton.jit
def with_sign(magnitude, sign):
    """|magnitude| with the sign of the other, in float32."""
    unsigned = magnitude.to(tl.int32, bitcast=True) & 0x7FFFFFFF
    return (unsigned | (sign.to(tl.int32, bitcast=True) & -0x80000000)).to(tl.float32, bitcast=True)


@triton.jit
def clamp(x, low: tl.constexpr, high: tl.constexpr):
    """x within [low, high]; a NaN passes through."""
    above = tl.where(x < low, low, x)
    return tl.where(above > high, high, above)


@triton.jit
def polynomial(x, C: tl.constexpr, COUNT: tl.constexpr):
    """C[0] + C[1] x + ... as one chain of fused multiply-adds."""
    total = constant(x, C[COUNT - 1])
    for i in tl.static_range(COUNT - 2, -1, -1):
        total = tl.fma(total, x, constant(x, C[i]))
    return total


@triton.jit
def stepped(x, y, TIES: tl.constexpr, COUNT: tl.constexpr):
    """y, one step aside where the bits of x are among the ties: (pattern, step) pairs, one after another."""
    bits, moved = x.to(tl.int32, bitcast=True), y.to(tl.int32, bitcast=True)
    for i in tl.static_range(0, COUNT, 2):
        moved += tl.where(bits == TIES[i], TIES[i + 1], 0)
    return moved.to(tl.float32, bitcast=True)


@triton.jit
def exp_split(x):
    """(2^k, r) for x = k ln(2) + r, |r| <= ln(2)/2: the bits' exponent field is k + 1023."""
    shifted = tl.fma(x, constant(x, LOG2E[0]), constant(x, BIASED))
    k = shifted - constant(x, BIASED)
    r = tl.fma(-k, constant(x, LN2[1]), tl.fma(-k, constant(x, LN2[0]), x))
    return double_of(bits_of(shifted) << 52), r


@triton.jit
def exp_double(x):
    """e^x = 2^k + 2^k r (1 + r Q(r))."""
    scale, r = exp_split(x)
    return tl.fma(scale * r, tl.fma(r, polynomial(r, EXP, 10), constant(r, 1.0)), scale)


@triton.jit
def expm1_double(x):
    """e^x - 1 = 2^k (e^r - 1) + (2^k - 1)."""
    scale, r = exp_split(x)
    return tl.fma(scale, tl.fma(r * r, polynomial(r, EXP, 10), r), scale - 1.0)


@triton.jit
def exp(x):
    return canonical(exp_double(clamp(x, -104.5, 89.0).to(tl.float64)).to(tl.float32))


@triton.jit
def exp2(x):
    d = clamp(x, -151.0, 129.0).to(tl.float64)
    shifted = d + constant(d, BIASED)
    r = d - (shifted - constant(d, BIASED))
    scale = double_of(bits_of(shifted) << 52)
    y = tl.fma(scale * r, polynomial(r, EXP2, 11), scale).to(tl.float32)
    return canonical(stepped(x, y, EXP2_TIES, 4))


@triton.jit
def expm1(x):
    y = expm1_double(clamp(x, -104.5, 89.0).to(tl.float64)).to(tl.float32)
    return tl.where(x == 0, x, canonical(y))


@triton.jit
def sigmoid(x):
    general = 1.0 / (1.0 + exp_double(-clamp(x, -104.5, 89.0).to(tl.float64)))
    d = x.to(tl.float64)
    small = tl.fma(d, constant(d, SIGMOID_SLOPE[0]), constant(d, 0.5))
    y = tl.where(tl.abs(x) < 0.0001220703125, small, general).to(tl.float32)
    return canonical(stepped(x, y, SIGMOID_TIES, 2))


@triton.jit
def tanh(x):
    q = expm1_double(-2.0 * clamp(tl.abs(x), 0.0, 10.0).to(tl.float64))
    return canonical(with_sign((q / (2.0 + q)).to(tl.float32), x))


@triton.jit
def erf(x):
    a = clamp(tl.abs(x), 0.0, 3.924999952316284).to(tl.float64)
    y = a * polynomial(tl.fma(a, a, constant(a, -7.75)), ERF, 29)
    return tl.where(x == x, with_sign(y.to(tl.float32), x), constant_nan(x))


@triton.jit
def log_split(u):
    """(k, m) with u = 2^k m, sqrt(1/2) <= m < sqrt(2), for a normal u > 0."""
    bits = bits_of(u)
    moved = bits - HALF_ROOT + UNIT
    k = double_of((moved >> 52) | INTEGER) - constant(u, 4503599627371519.0)  # 2^52 + 1023
    return k, double_of(bits - (moved & EXPONENT) + UNIT)


@triton.jit
def log_defect(f):
    """f - ln(1 + f) = f^2/2 - s (f^2/2 + z W(z)) with s = f / (2 + f), z = s^2."""
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    return tl.fma(-s, tl.fma(z, polynomial(z, LOG, 7), half_square), half_square)


@triton.jit
def log_sum(k, f):
    """k ln(2) + ln(1 + f)."""
    return tl.fma(k, constant(k, LN2[0]), f - tl.fma(-k, constant(k, LN2[1]), log_defect(f)))


@triton.jit
def log_limits(u, y):
    """y where 0 < u < infinity, else what a logarithm gives there."""
    below = tl.where(u == 0, float("-inf"), constant_nan(u))
    return tl.where(u > 0, tl.where(u < float("inf"), y, float("inf")), below)


@triton.jit
def log(x):
    k, m = log_split(x.to(tl.float64))
    return log_limits(x, stepped(x, log_sum(k, m - 1.0).to(tl.float32), LOG_TIES, 10))


@triton.jit
def log2(x):
    k, m = log_split(x.to(tl.float64))
    f = m - 1.0
    return log_limits(x, tl.fma(f - log_defect(f), constant(k, LOG2E[0]), k).to(tl.float32))


@triton.jit
def log10(x):
    k, m = log_split(x.to(tl.float64))
    f = m - 1.0
    near_one = tl.fma(k, constant(k, LOG10_2[1]), (f - log_defect(f)) * constant(k, LOG10E[0]))
    y = tl.fma(k, constant(k, LOG10_2[0]), near_one).to(tl.float32)
    return log_limits(x, stepped(x, y, LOG10_TIES, 2))


@triton.jit
def log1p(x):
    d = x.to(tl.float64)
    u = 1.0 + d
    k, m = log_split(u)
    y = stepped(x, log_sum(k, tl.where(k == 0, d, m - 1.0)).to(tl.float32), LOG1P_TIES, 18)
    return tl.where(x == 0, x, log_limits(u.to(tl.float32), y))


@triton.jit
def rsqrt(x):
    """One step of third order in float64 from the float32 estimate; y * y is exact, and so the residue nearly so."""
    estimate = tl.math.div_rn(tl.full(x.shape, 1.0, tl.float32), tl.math.sqrt_rn(x))
    y = estimate.to(tl.float64)
    residue = tl.fma(-x.to(tl.float64), y * y, constant(y, 1.0))
    step = tl.fma(residue, constant(y, 0.375), constant(y, 0.5))
    refined = tl.fma(y * residue, step, y).to(tl.float32)
    return tl.where((x > 0) & (x < float("inf")), refined, canonical(estimate))
