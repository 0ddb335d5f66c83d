"""Arc, gamma and error functions as compositions of the law's operators, in float32. Each is a few roundings long.

The arc functions follow Moshier's single precision Cephes, the inverse error function Giles (GPU Computing Gems, 2011);
the gamma functions are their series around 2, Stirling's series above 8, and the reflection formula below 0.
docs/tracing.md says how far each is from the mathematical function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial, log, pi, sqrt
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
# pi / 2 as the sum of two float32
HALF_PI, HALF_PI_REST = 1.5707963705062866, -4.371139000186241e-08
EULER = 0.5772156649015329
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66)  # of index 2, 4, ...
SHIFT = 8  # above it Stirling's series are exact in float32


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """The highest power's coefficient first."""
    value = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


def _with_sign(x: Tensor, size: Tensor) -> Tensor:
    """A size with the sign of x, for a function whose zeros are x's."""
    return torch.where(x == 0, x, torch.where(x < 0, -size, size))


# Arcs


def _arc_of_ratio(ratio: Tensor) -> Tensor:
    """The arc tangent on [0, 1]."""
    is_large = ratio > 0.41421356
    x = torch.where(is_large, (ratio - 1) / (ratio + 1), ratio)
    z = x * x
    small = _polynomial(z, (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)) * z * x + x
    return torch.where(is_large, small + HALF_PI / 2, small)


def _atan(x: Tensor) -> Tensor:
    size = x.abs()
    is_steep = size > 1
    arc = _arc_of_ratio(torch.where(is_steep, 1 / size, size))
    return _with_sign(x, torch.where(is_steep, HALF_PI - arc, arc))


def _is_negative(x: Tensor) -> Tensor:
    """-0 too."""
    return (x < 0) | (1 / x < 0)


def _atan2(y: Tensor, x: Tensor) -> Tensor:
    rise, run = y.abs(), x.abs()
    equal = torch.where(rise == 0, rise, 1.0)
    arc = _arc_of_ratio(torch.where(rise == run, equal, torch.minimum(rise, run) / torch.maximum(rise, run)))
    is_left = _is_negative(x)
    flat = torch.where(is_left, 2 * HALF_PI - (arc - 2 * HALF_PI_REST), arc)
    arc = torch.where(rise > run, HALF_PI + (torch.where(is_left, arc, -arc) + HALF_PI_REST), flat)
    return torch.where(_is_negative(y), -arc, arc)


def _arc_of_sine(size: Tensor) -> tuple[Tensor, Tensor]:
    """Of |x|: whether it is above 1/2, and the arc sine of |x|, or there of sqrt((1 - |x|) / 2)."""
    is_large = size > 0.5
    z = torch.where(is_large, (1 - size) * 0.5, size * size)
    x = torch.where(is_large, z.sqrt(), size)
    series = (4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1)
    return is_large, _polynomial(z, series) * z * x + x


def _asin(x: Tensor) -> Tensor:
    is_large, arc = _arc_of_sine(x.abs())
    return _with_sign(x, torch.where(is_large, HALF_PI - (2 * arc - HALF_PI_REST), arc))


def _acos(x: Tensor) -> Tensor:
    is_large, arc = _arc_of_sine(x.abs())
    middle = HALF_PI - (torch.where(x < 0, -arc, arc) - HALF_PI_REST)
    return torch.where(is_large, torch.where(x < 0, 2 * HALF_PI - (2 * arc - 2 * HALF_PI_REST), 2 * arc), middle)


# Gamma


def _zeta_less_one(n: int) -> float:
    """The sum of k^-n from k = 2, by Euler and Maclaurin from 20."""
    head = sum(k**-n for k in range(20, 1, -1)) if n else 0.0
    return head + 20 ** (1 - n) / (n - 1) - 0.5 * 20.0**-n + n * 20.0 ** (-n - 1) / 12


AROUND_TWO = (*((-1) ** k * _zeta_less_one(k) / k for k in range(15, 1, -1)), 1 - EULER, 0.0)


def _mirrored(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether x is below 0, 1 - x there and x elsewhere, and pi times x's distance from the nearest integer."""
    is_below = x < 0
    return is_below, torch.where(is_below, 1 - x, x), (x - x.round()) * pi


def _lgamma(x: Tensor) -> Tensor:
    is_below, above, turn = _mirrored(x)
    near = above.clamp(max=SHIFT)
    n = near.round()
    t = near - n
    low = _polynomial(t, AROUND_TWO) - torch.where(n < 2, torch.log1p(t), 0.0) - torch.where(n < 1, near.log(), 0.0)
    product = torch.ones_like(x)
    for k in range(2, SHIFT):
        product = torch.where(n > k, product * (t + k), product)
    low = low + product.log()
    z = 1 / above.clamp(min=SHIFT)
    series = _polynomial(z * z, (1 / 1260, -1 / 360, 1 / 12)) * z
    high = (above - 0.5) * (above.log() - 1) + (series + (0.5 * log(2 * pi) - 0.5))
    value = torch.where(above < SHIFT, low, torch.where(above == torch.inf, above, high))
    value = torch.where(is_below, log(pi) - turn.sin().abs().log() - value, value)
    return torch.where(x.abs() == torch.inf, torch.inf, value)


def _shifted(above: Tensor, term: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """x above SHIFT, and what the steps up to it add: the sum of a function of x, x + 1, ..."""
    is_low = above < SHIFT
    start = torch.where(is_low, above, 1.0)
    total = term(start + (SHIFT - 1))
    for k in reversed(range(SHIFT - 1)):
        total = total + term(start + k)
    return torch.where(is_low, above + SHIFT, above), torch.where(is_low, total, 0.0)


def _digamma(x: Tensor) -> Tensor:
    is_below, above, turn = _mirrored(x)
    far, steps = _shifted(above, torch.reciprocal)
    z = 1 / (far * far)
    series = _polynomial(z, [-b / (2 * k) for k, b in reversed(list(enumerate(BERNOULLI[:4], start=1)))]) * z
    value = far.log() - 0.5 / far + series - steps
    return torch.where(is_below, value - torch.where(turn == 0, torch.nan, pi * turn.cos() / turn.sin()), value)


def _polygamma(n: int, x: Tensor) -> Tensor:
    if n == 0:
        return _digamma(x)
    is_below, above, turn = _mirrored(x)
    far, steps = _shifted(above, lambda y: factorial(n) / y.pow(n + 1))
    z = 1 / (far * far)
    ratios = [b * factorial(2 * k + n - 1) / factorial(2 * k) for k, b in enumerate(BERNOULLI, start=1)]
    series = (_polynomial(z, ratios[::-1]) * z + factorial(n) / (2 * far) + factorial(n - 1)) / far.pow(n)
    value = series + steps
    if n == 1:
        return torch.where(is_below, (pi / turn.sin()).square() - value, value)
    return torch.where(is_below, torch.nan, value if n % 2 else -value)


# Error functions


def _over_exponential(size: Tensor) -> Tensor:
    """exp(x^2) erfc(x), for x of at least 1."""
    q = 1 / size
    y = q * q
    return torch.where(size < 2, _polynomial(y, ONE_TO_TWO), _polynomial(y, ABOVE_TWO)) * q


def _erfc(x: Tensor) -> Tensor:
    size = x.abs().clamp_min(1)
    head = (size * 128).round() / 128  # its square is exact
    power = (-head * head).exp() * (-(size - head) * (size + head)).exp()
    tail = torch.where(size < 11, _over_exponential(size) * power, 0.0)
    return torch.where(x < 1, torch.where(x <= -1, 2 - tail, 1 - torch.erf(x)), tail)


def _erfcx(x: Tensor) -> Tensor:
    size = x.abs()
    far = _over_exponential(size.clamp_min(1))
    power = (x * x).exp()
    return torch.where(x >= 1, far, torch.where(x <= -1, 2 * power - far, power * (1 - torch.erf(x))))


def _ndtri(x: Tensor) -> Tensor:
    return _erfinv(2 * x - 1) * sqrt(2)


def _erfinv(x: Tensor) -> Tensor:
    w = -((1 - x) * (1 + x)).log()
    middle = _polynomial(w - 2.5, MIDDLE)
    tail = _polynomial(w.sqrt() - 3, TAIL)
    value = torch.where(w < 5, middle, tail) * x
    return torch.where(x.abs() == 1, x * torch.inf, value)


ONE_TO_TWO = (
    *(2.326819970068386e-2, -1.387039388740657e-1, 3.687424674597105e-1, -5.824733027278666e-1, 6.210004621745983e-1),
    *(-4.944515323274145e-1, 3.404879937665872e-1, -2.741127028184656e-1, 5.638259427386472e-1),
)
ABOVE_TWO = (
    *(-1.047766399936249e1, 1.297719955372516e1, -7.495518717768503, 2.921019019210786),
    *(-1.0152652792027, 4.218463358204948e-1, -2.820767439740514e-1, 5.641895067754075e-1),
)
MIDDLE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
TAIL = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773),
    *(-0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)


def _of_floats(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Integers become float32 first."""

    def run(*args: Any) -> Tensor:
        return function(*(x.float() if isinstance(x, Tensor) and not x.is_floating_point() else x for x in args))

    return run


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.atan.default: _of_floats(_atan),
    aten.atan2.default: _of_floats(_atan2),
    aten.asin.default: _of_floats(_asin),
    aten.acos.default: _of_floats(_acos),
    aten.lgamma.default: _of_floats(_lgamma),
    aten.digamma.default: _of_floats(_digamma),
    aten.polygamma.default: _of_floats(_polygamma),
    aten.erfc.default: _of_floats(_erfc),
    aten.erfinv.default: _of_floats(_erfinv),
    aten.special_erfcx.default: _of_floats(_erfcx),
    aten.special_ndtri.default: _of_floats(_ndtri),
}
