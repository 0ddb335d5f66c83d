"""What the law says of each correctly rounded function; kernels/exact/functions.py computes it."""

from __future__ import annotations

from typing import NamedTuple


class Labels(NamedTuple):
    """A function's value, the values that the law names as `f(x) = y`, and its gradient."""

    value: str
    special: str
    gradient: str


LABELS = {
    "sqrt": Labels(
        "x^(1/2)", "sqrt(-0) = -0, sqrt(-1) = NaN as of any x < 0, sqrt(inf) = inf", "x <- g / (2 * sqrt(x))"
    ),
    "rsqrt": Labels(
        "x^(-1/2)",
        "rsqrt(+0) = inf, rsqrt(-0) = -inf, rsqrt(-1) = NaN as of any x < 0, rsqrt(inf) = +0",
        "x <- neg(g * rsqrt(x) / x / 2)",
    ),
    "exp": Labels("e^x", "exp(-inf) = +0, exp(inf) = inf, exp(89) = inf, exp(-104) = +0", "x <- g * exp(x)"),
    "exp2": Labels("2^x", "exp2(-inf) = +0, exp2(inf) = inf, exp2(128) = inf", "x <- g * ln(2) * exp2(x)"),
    "expm1": Labels("e^x - 1", "expm1(-0) = -0, expm1(-inf) = -1, expm1(inf) = inf", "x <- g * exp(x)"),
    "log": Labels(
        "ln x", "log(+0) = -inf, log(-0) = -inf, log(-1) = NaN as of any x < 0, log(inf) = inf", "x <- g / x"
    ),
    "log2": Labels(
        "log2 x",
        "log2(+0) = -inf, log2(-0) = -inf, log2(-1) = NaN as of any x < 0, log2(inf) = inf",
        "x <- g / (x * ln(2))",
    ),
    "log10": Labels(
        "log10 x",
        "log10(+0) = -inf, log10(-0) = -inf, log10(-1) = NaN as of any x < 0, log10(inf) = inf",
        "x <- g / (x * ln(10))",
    ),
    "log1p": Labels(
        "ln(1 + x)",
        "log1p(-0) = -0, log1p(-1) = -inf, log1p(-2) = NaN as of any x < -1, log1p(inf) = inf",
        "x <- g / (1 + x)",
    ),
    "sin": Labels("sin x", "sin(-0) = -0, sin(inf) = NaN, sin(-inf) = NaN", "x <- g * cos(x)"),
    "cos": Labels("cos x", "cos(+0) = 1, cos(inf) = NaN, cos(-inf) = NaN", "x <- neg(g * sin(x))"),
    "tanh": Labels("tanh x", "tanh(-0) = -0, tanh(inf) = 1, tanh(-inf) = -1", "x <- g * (1 - tanh(x)^2)"),
    "erf": Labels(
        "2 / sqrt(pi) times the integral of e^-t^2 from 0 to x",
        "erf(-0) = -0, erf(inf) = 1, erf(-inf) = -1",
        "x <- g * 2 / sqrt(pi) * exp(-x^2)",
    ),
    "sigmoid": Labels(
        "1 / (1 + e^-x)",
        "sigmoid(+0) = 0.5, sigmoid(-inf) = +0, sigmoid(inf) = 1",
        "x <- g * sigmoid(x) * (1 - sigmoid(x))",
    ),
}


def docstring(name: str) -> str:
    """A function's definition in words, under the headings of every operator."""
    value, special, gradient = LABELS[name]
    return f"""The float32 nearest to {value}.

    Value:    {value}
    Rounding: once, to nearest even: the correctly rounded value for every one of the 2^32 inputs
    Special:  a NaN gives NaN; {special}
    Gradient: {gradient}
    """
