"""Muon and Adafactor, whose formulas see a parameter as a matrix, as engine.tracing.optimizers writes the others."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from engine.tracing.builder import Builder, Value
from engine.tracing.optimizers import Numbers, Options, Rule, Shape, Slots, kept, lerp, rates_alone
from engine.tracing.rules_reduction import mean, square, total

Values = dict[str, Value]
FLOAT32_EPS = float(np.finfo(np.float32).eps)


def norm(b: Builder, x: Value) -> Value:
    """The root of the sum of squares, of rank 0."""
    return b.unary("sqrt", total(b, square(x)))


# Muon: momentum whose singular values are all brought near 1 by Newton and Schulz's iteration


def _muon_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    return {**rates_alone(options, rates), **kept(options, rates)}


def _muon(b: Builder, options: Options, numbers: Values, slots: Values, p: Value, g: Value) -> Any:
    momentum = options["momentum"]
    mean_ = lerp(slots["momentum_buffer"], g, 1 - momentum)
    update = lerp(g, mean_, momentum) if options["nesterov"] else mean_
    p = p * numbers["kept"] if "kept" in numbers else p
    step = _orthogonal(b, options, update) * _size(options["adjust_lr_fn"], p.shape)
    return p - step * numbers["learning_rate"], {"momentum_buffer": mean_}


def _orthogonal(b: Builder, options: Options, x: Value) -> Value:
    first, second, third = options["ns_coefficients"]
    is_tall = x.shape[0] > x.shape[1]
    x = b.swap(x) if is_tall else x
    x = x / b.binary("maximum", norm(b, x), options["eps"])
    for _ in range(int(options["ns_steps"])):
        gram = b.emit("matmul", [x, b.swap(x)], width=b.width)
        polynomial = gram * second + b.emit("matmul", [gram, gram], width=b.width) * third
        x = x * first + b.emit("matmul", [polynomial, x], width=b.width)
    return b.swap(x) if is_tall else x


def _size(how: str | None, shape: Shape) -> float:
    """What a step is multiplied by for the shape of its matrix."""
    rows, columns = shape
    return 0.2 * sqrt(max(rows, columns)) if how == "match_rms_adamw" else sqrt(max(1.0, rows / columns))


# Adafactor: the mean of squares as a column times a row


def _adafactor_slots(options: Options, shape: Shape, rate: float) -> Slots:
    if len(shape) < 2:
        return {"variance": 0.0}
    zeros = np.zeros(shape, np.float32)
    return {"row_var": zeros[..., :1], "col_var": zeros[..., :1, :]}


def _adafactor_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    steps = range(1, len(rates) + 1)
    return {
        "step_size": [min(rate, 1 / sqrt(t)) for rate, t in zip(rates, steps, strict=True)],
        "fresh": [t ** options["beta2_decay"] for t in steps],
        **kept(options, rates),
    }


def _adafactor(b: Builder, options: Options, numbers: Values, slots: Values, p: Value, g: Value) -> Any:
    least, smallest = options["eps"]
    least, count = FLOAT32_EPS if least is None else least, max(prod(p.shape), 1)
    size = b.binary("maximum", norm(b, p) / sqrt(count), smallest) * numbers["step_size"]
    p = p * numbers["kept"] if "kept" in numbers else p
    after, squares = dict[str, Value](), square(g)
    if "variance" in slots:
        spread = after["variance"] = _moved(slots["variance"], squares, numbers["fresh"])
    else:
        rows = after["row_var"] = _moved(slots["row_var"], mean(b, squares, -1, keep=True), numbers["fresh"])
        columns = after["col_var"] = _moved(slots["col_var"], mean(b, squares, -2, keep=True), numbers["fresh"])
        spread = rows * columns / b.binary("maximum", mean(b, rows, -2, keep=True), least)
    update = b.unary("rsqrt", b.binary("maximum", spread, least * least)) * g
    excess = b.binary("maximum", norm(b, update) / (sqrt(count) * options["d"]), 1.0)
    return p - update * (size / excess), after


def _moved(old: Value, new: Value, weight: Value) -> Value:
    return old + (new - old) * weight


RULES = {
    "Muon": Rule(
        lambda options, shape, rate: {"momentum_buffer": 0.0},
        _muon_numbers,
        _muon,
        frozenset({"weight_decay", "momentum", "nesterov", "ns_coefficients", "eps", "ns_steps", "adjust_lr_fn"}),
    ),
    "Adafactor": Rule(
        _adafactor_slots, _adafactor_numbers, _adafactor, frozenset({"beta2_decay", "eps", "d", "weight_decay"})
    ),
}
