"""The correctly rounded functions in pairs of float32, for GPUs whose float64 is slow (docs/functions.md).

A value is found as high + low, and is certain where an error up to a bound could not change the rounding of the sum;
functions.py decides where one of a block is not. All inputs were tried (bench/exhaustive_triton.py), so the bounds,
estimates of the rounding errors, are proven.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton import functions
from kernels.triton.functions import canonical, clamp, constant_nan, with_sign
from kernels.triton.functions_tables import (
    INVERSE_POLYNOMIAL,
    LN2,
    LN2_PARTS,
    PLACES,
    POWER,
    POWER_POLYNOMIAL,
    POWER_REST,
    SIXTH,
    TANH_POLYNOMIAL,
    THIRD,
)
from kernels.triton.pairs import (
    bits_of,
    exact_product,
    exact_sum,
    exact_sum_of_any,
    polynomial,
    quotient,
    rounded,
    single,
    times_power_of_two,
)

IN_PAIRS = frozenset({"erf", "exp", "log", "rsqrt", "sigmoid", "tanh"})
INVERSE, INVERSE_LOG = tl.constexpr(PLACES["INVERSE"]), tl.constexpr(PLACES["INVERSE_LOG"])
INVERSE_LOG_REST = tl.constexpr(PLACES["INVERSE_LOG_REST"])
INVERSE_LOG_TINY = tl.constexpr(PLACES["INVERSE_LOG_TINY"])
ERF_PAIRS = tl.constexpr(tuple(PLACES[f"ERF_{power}{rest}"] for power in range(4) for rest in ("", "_REST")))
ERF_SINGLES = tl.constexpr(tuple(PLACES[f"ERF_{power}"] for power in range(4, 9)))
ROUND_TO_8TH = tl.constexpr(1572864.0)  # 1.5 * 2^20
LEAST_OF_ERF = tl.constexpr(8.077935669463161e-28)  # 2^-90: below it a rest would underflow
BOUND = tl.constexpr(1.1368683772161603e-13)  # 2^-43, relative


@triton.jit
def entry(table, PLACE: tl.constexpr, index):
    """The entry of an index' low five bits in a table of functions_tables.py."""
    return tl.load(table.to(tl.pointer_type(tl.float32), bitcast=True) + PLACE + (index & 31))


@triton.jit
def one_of_eight(x, n, C: tl.constexpr):
    """C[n modulo 8]."""
    is_odd, is_second = (n & 1) != 0, (n & 2) != 0
    low = tl.where(
        is_second,
        tl.where(is_odd, single(x, C[3]), single(x, C[2])),
        tl.where(is_odd, single(x, C[1]), single(x, C[0])),
    )
    high = tl.where(
        is_second,
        tl.where(is_odd, single(x, C[7]), single(x, C[6])),
        tl.where(is_odd, single(x, C[5]), single(x, C[4])),
    )
    return tl.where((n & 4) != 0, high, low)


@triton.jit
def power_of_e(x):
    """(p, e, u, v) with e^x = 2^e p (1 + u + v), error 2^-44, for |x| <= 104: p = 2^(i/8) rounded, |u| <= 0.05.

    No table is read: Triton would copy its entries ahead in the loops of attention.
    """
    shifted = tl.fma(x, single(x, 1.4426950216293335), single(x, ROUND_TO_8TH))
    n = bits_of(shifted) - 0x49C00000  # 8 log2(e^x), rounded
    k = shifted - ROUND_TO_8TH
    r = tl.fma(-k, single(x, LN2[0]), x)  # exact
    rest = tl.fma(-k, single(x, LN2[1]), one_of_eight(x, n, POWER_REST))
    square, square_low = exact_product(r, r)
    cube, cube_low = exact_product(r, square)
    cube_low = tl.fma(r, square_low, cube_low)
    sixth, sixth_low = exact_product(cube, single(x, SIXTH[0]))
    tail = tl.fma(r, polynomial(r, POWER_POLYNOMIAL, 4), single(x, SIXTH[1]))
    sixth_low += tl.fma(cube, tail, cube_low * SIXTH[0])
    bent, bent_low = exact_sum(r, 0.5 * square)
    u, u_low = exact_sum(bent, sixth)
    v = tl.fma(rest, u, rest) + (u_low + (bent_low + tl.fma(square_low, single(x, 0.5), sixth_low)))
    return one_of_eight(x, n, POWER), n >> 3, u, v


@triton.jit
def fast_exp(x, table):
    p, e, u, v = power_of_e(clamp(x, -104.0, 89.0))
    high = tl.fma(p, u, p)
    low = tl.fma(p, v, tl.fma(p, u, p - high))
    y, sure = rounded(high, low, high * BOUND)
    y = times_power_of_two(y, e)
    y = tl.where(x <= -104.0, 0.0, tl.where(x >= 88.75, float("inf"), y))
    sure = (sure & (tl.abs(x) < 87.3125)) | (x <= -104.0) | (x >= 88.75) | (x != x)
    return canonical(tl.where(x == x, y, x)), sure


@triton.jit
def fast_sigmoid(x, table):
    """1 / (1 + e^-x), with the larger of 1 and e^-x first, so that what their sum leaves is exact."""
    p, e, u, v = power_of_e(-clamp(x, -87.0, 20.0))
    p = times_power_of_two(p, e)
    high = tl.fma(p, u, p)
    low = tl.fma(p, v, tl.fma(p, u, p - high))
    total, rest = exact_sum(tl.maximum(high, 1.0), tl.minimum(high, 1.0))
    y, y_low = quotient(single(x, 1.0), single(x, 0.0), total, rest + low)
    y, sure = rounded(y, y_low, y * BOUND)
    y = tl.where(x <= -104.0, 0.0, tl.where(x >= 20.0, 1.0, y))
    sure = (sure & (x > -69.0)) | (x <= -104.0) | (x >= 20.0) | (x != x)  # between them a rest would underflow
    return canonical(tl.where(x == x, y, x)), sure


@triton.jit
def fast_tanh(x, table):
    """(1 - e^-2a) / (1 + e^-2a) for a = |x|; a series below 1/16."""
    a = clamp(tl.abs(x), 0.0, 10.0)
    p, e, u, v = power_of_e(-2.0 * a)
    p = times_power_of_two(p, e)
    part, part_low = exact_product(p, u)
    gap, gap_low = exact_sum(single(a, 1.0), -p)
    top, top_low = exact_sum(gap, -part)  # 1 - e^-2a = top + top_low
    top_low = (top_low + gap_low) - tl.fma(p, v, part_low)
    total, total_low = exact_sum(single(a, 2.0), -top)
    high, low = quotient(top, top_low, total, total_low - top_low)
    series, series_low = small_tanh(a)
    is_small = a < 0.0625
    high, low = tl.where(is_small, series, high), tl.where(is_small, series_low, low)
    y, sure = rounded(high, low, high * (4.0 * BOUND))
    is_least = a <= 0.0001220703125
    y = tl.where(is_least, a, y)  # x^3 / 3 rounds away
    return tl.where(x == x, with_sign(y, x), constant_nan(x)), sure | is_least | (x != x)


@triton.jit
def small_tanh(a):
    """a - a^3 / 3 + a^5 P(a^2) as a pair."""
    square, square_low = exact_product(a, a)
    cube, cube_low = exact_product(a, square)
    cube_low = tl.fma(a, square_low, cube_low)
    third, third_low = exact_product(cube, single(a, -THIRD[0]))
    tail = tl.fma(square, polynomial(square, TANH_POLYNOMIAL, 4), single(a, -THIRD[1]))
    high, low = exact_sum(a, third)
    return high, low + (third_low + tl.fma(cube, tail, cube_low * single(a, -THIRD[0])))


@triton.jit
def fast_log(x, table):
    """x = 2^k m, m c = 1 + r with r exact: k ln 2 - ln c + (r - r^2/2 + r^3/3 + r^4 Q(r))."""
    is_small = x < 1.1754943508222875e-38
    bits = bits_of(tl.where(is_small, x * 16777216.0, x))
    k = ((bits >> 23) - tl.where(is_small, 151, 127)).to(tl.float32)
    m = ((bits & 0x7FFFFF) | 0x3F800000).to(tl.float32, bitcast=True)
    i = bits >> 18
    r = tl.fma(m, entry(table, INVERSE, i), single(m, -1.0))
    whole = tl.fma(k, single(k, LN2_PARTS[0]), entry(table, INVERSE_LOG, i))  # exact
    rest, rest_low = exact_sum_of_any(k * single(k, LN2_PARTS[1]), entry(table, INVERSE_LOG_REST, i))
    tiny = tl.fma(k, single(k, LN2_PARTS[2]), entry(table, INVERSE_LOG_TINY, i)) + rest_low
    square, square_low = exact_product(r, r)
    bent, bent_low = exact_sum(r, -0.5 * square)
    cube, cube_low = exact_product(r, square)
    third, third_low = exact_product(cube, single(r, THIRD[0]))
    quartic = r * polynomial(r, INVERSE_POLYNOMIAL, 5)
    third_low += tl.fma(cube, quartic + THIRD[1], tl.fma(r, square_low, cube_low) * THIRD[0])
    high, high_low = exact_sum(whole, bent)
    low, low_low = exact_sum_of_any(rest, third)
    low, sum_low = exact_sum_of_any(low, high_low)
    high, high_low = exact_sum(high, low)
    low = high_low + ((sum_low + low_low) + (third_low + tl.fma(square_low, single(r, -0.5), bent_low + tiny)))
    y, sure = rounded(high, low, tl.fma(tl.abs(cube), tl.abs(quartic) * 2.384185791015625e-07, tl.abs(high) * BOUND))
    below = tl.where(x == 0, float("-inf"), constant_nan(x))
    y = tl.where(x > 0, tl.where(x < float("inf"), y, float("inf")), below)
    return y, sure | (x != x) | (x <= 0) | (x == float("inf"))


@triton.jit
def fast_erf(x, table):
    """erf(c + r) for the multiple c of 1/8 nearest to |x|; from 3.925 on it rounds to 1."""
    a = clamp(tl.abs(x), LEAST_OF_ERF, 3.93)
    shifted = a + ROUND_TO_8TH
    i = bits_of(shifted)
    r = a - (shifted - ROUND_TO_8TH)
    q = entry(table, ERF_SINGLES[4], i)
    for power in tl.static_range(3, -1, -1):
        q = tl.fma(q, r, entry(table, ERF_SINGLES[power], i))
    high, low = q, single(r, 0.0)
    for power in tl.static_range(3, -1, -1):
        product, product_low = exact_product(high, r)
        product_low = tl.fma(low, r, product_low)
        high, low = exact_sum_of_any(entry(table, ERF_PAIRS[2 * power], i), product)
        low += product_low + entry(table, ERF_PAIRS[2 * power + 1], i)
    square = r * r
    bound = tl.fma(square * square, tl.abs(q) * 2.384185791015625e-07, high * BOUND)
    y, sure = rounded(high, low, bound)
    y = tl.where(x == 0, 0.0, y)
    return tl.where(x == x, with_sign(y, x), constant_nan(x)), (sure & (tl.abs(x) > LEAST_OF_ERF)) | (x == 0) | (x != x)


@triton.jit
def fast_rsqrt(x, table):
    """y (1 + e/2 + 3/8 e^2) for an estimate y and e = 1 - x y^2."""
    y = tl.math.div_rn(single(x, 1.0), tl.math.sqrt_rn(x))
    t, t_low = exact_product(x, y)
    e = tl.fma(-t_low, y, tl.fma(-t, y, single(x, 1.0)))
    z, sure = rounded(y, y * e * tl.fma(e, single(x, 0.375), single(x, 0.5)), y * (0.25 * BOUND))
    is_regular = (x > 0) & (x < float("inf"))
    return tl.where(is_regular, z, canonical(y)), sure | (is_regular == 0)


@triton.jit
def decided(x, y, sure, function: tl.constexpr):
    """y, where it is sure; the others by a function in float64, which a block without any does not run."""
    if tl.min(sure.to(tl.int32), axis=None) == 0:
        y = tl.where(sure, y, function(x))
    return y


@triton.jit
def erf(x, table):
    y, sure = fast_erf(x, table)
    return decided(x, y, sure, functions.erf)


@triton.jit
def exp(x, table):
    y, sure = fast_exp(x, table)
    return decided(x, y, sure, functions.exp)


@triton.jit
def log(x, table):
    y, sure = fast_log(x, table)
    return decided(x, y, sure, functions.log)


@triton.jit
def rsqrt(x, table):
    y, sure = fast_rsqrt(x, table)
    return decided(x, y, sure, functions.rsqrt)


@triton.jit
def sigmoid(x, table):
    y, sure = fast_sigmoid(x, table)
    return decided(x, y, sure, functions.sigmoid)


@triton.jit
def tanh(x, table):
    y, sure = fast_tanh(x, table)
    return decided(x, y, sure, functions.tanh)
