"""Adadelta, Adamax, NAdam, RAdam, ASGD and Rprop, as engine.tracing.optimizers writes the others."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from engine.tracing.builder import Builder, Value
from engine.tracing.optimizers import Numbers, Options, Rule, Shape, Slots, decayed, kept, lerp, rates_alone
from engine.tracing.rules_elementwise import RULES as ELEMENTWISE
from engine.tracing.rules_elementwise import aten

Values = dict[str, Value]


def _zeros(*names: str) -> Any:
    return lambda options, shape, rate: dict.fromkeys(names, 0.0)


def _powers(base: float, count: int) -> list[float]:
    """base^1, base^2, ..."""
    return [base**t for t in range(1, count + 1)]


def _adadelta(b: Builder, options: Options, numbers: Values, slots: Values, p: Value, g: Value) -> Any:
    g, rho, eps = decayed(options, p, g), options["rho"], options["eps"]
    square = slots["square_avg"] * rho + g * g * (1 - rho)
    delta = b.unary("sqrt", slots["acc_delta"] + eps) / b.unary("sqrt", square + eps) * g
    after = {"square_avg": square, "acc_delta": slots["acc_delta"] * rho + delta * delta * (1 - rho)}
    return p - delta * numbers["learning_rate"], after


def _adamax_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    powers = _powers(options["betas"][0], len(rates))
    return {"step_size": [rate / (1 - power) for rate, power in zip(rates, powers, strict=True)]}


def _adamax(b: Builder, options: Options, numbers: Values, slots: Values, p: Value, g: Value) -> Any:
    (first, second), g = options["betas"], decayed(options, p, g)
    mean = lerp(slots["exp_avg"], g, 1 - first)
    top = b.binary("maximum", slots["exp_inf"] * second, b.unary("abs", g) + options["eps"])
    return p - mean / top * numbers["step_size"], {"exp_avg": mean, "exp_inf": top}


def _nadam_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    (first, second), decay, product = options["betas"], options["momentum_decay"], 1.0
    numbers: Numbers = {"of_gradient": [], "of_mean": [], "correction": []}
    for t, rate in enumerate(rates, start=1):
        now, after = (first * (1 - 0.5 * 0.96 ** (step * decay)) for step in (t, t + 1))
        product *= now
        numbers["of_gradient"].append(rate * (1 - now) / (1 - product))
        numbers["of_mean"].append(rate * after / (1 - product * after))
        numbers["correction"].append(1 - second**t)
    return {**numbers, **(kept(options, rates) if options["decoupled_weight_decay"] else {})}


def _nadam(b: Builder, options: Options, numbers: Values, slots: Values, p: Value, g: Value) -> Any:
    first, second = options["betas"]
    if "kept" in numbers:
        p = p * numbers["kept"]
    elif not options["decoupled_weight_decay"]:
        g = decayed(options, p, g)
    mean = lerp(slots["exp_avg"], g, 1 - first)
    square = slots["exp_avg_sq"] * second + g * g * (1 - second)
    denominator = b.unary("sqrt", square / numbers["correction"]) + options["eps"]
    p = p - g / denominator * numbers["of_gradient"]
    return p - mean / denominator * numbers["of_mean"], {"exp_avg": mean, "exp_avg_sq": square}


def _radam_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    """The size of a plain step, zero once the variance is known well enough, and of an adaptive one, zero before."""
    first, second = options["betas"]
    most = 2 / (1 - second) - 1
    numbers: Numbers = {"plain": [], "adaptive": []}
    for t, rate in enumerate(rates, start=1):
        length, size = most - 2 * t * second**t / (1 - second**t), rate / (1 - first**t)
        share = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length) if length > 5 else 0.0
        numbers["plain"].append(0.0 if length > 5 else size)
        numbers["adaptive"].append(size * sqrt(share) * sqrt(1 - second**t))
    return {**numbers, **(kept(options, rates) if options["decoupled_weight_decay"] else {})}


def _radam(b: Builder, options: Options, numbers: Values, slots: Values, p: Value, g: Value) -> Any:
    first, second = options["betas"]
    if "kept" in numbers:
        p = p * numbers["kept"]
    elif not options["decoupled_weight_decay"]:
        g = decayed(options, p, g)
    mean = lerp(slots["exp_avg"], g, 1 - first)
    square = slots["exp_avg_sq"] * second + g * g * (1 - second)
    denominator = b.unary("sqrt", square) + options["eps"]
    p = p - mean * numbers["plain"] - mean / denominator * numbers["adaptive"]
    return p, {"exp_avg": mean, "exp_avg_sq": square}


def _asgd_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    """A step's rate is fixed by the step before it."""
    decay, alpha = options["lambd"], options["alpha"]
    eta = [rates[0], *(rate / (1 + decay * rate * t) ** alpha for t, rate in enumerate(rates[:-1], start=1))]
    share = [1.0, *(1 / max(1.0, t - options["t0"]) for t in range(1, len(rates)))]
    return {"eta": eta, "kept": [1 - decay * rate for rate in eta], "share": share}


def _asgd(b: Builder, options: Options, numbers: Values, slots: Values, p: Value, g: Value) -> Any:
    after = p * numbers["kept"] - decayed(options, p, g) * numbers["eta"]
    is_whole = b.expand(b.binary("eq", numbers["share"], 1.0), p.shape)
    moved = slots["ax"] + (after - slots["ax"]) * numbers["share"]
    return after, {"ax": b.select(is_whole, after, moved)}


def _rprop_slots(options: Options, shape: Shape, rate: float) -> Slots:
    return {"prev": 0.0, "step_size": rate}


def _rprop(b: Builder, options: Options, numbers: Values, slots: Values, p: Value, g: Value) -> Any:
    (less, more), (least, most) = options["etas"], options["step_sizes"]
    turn = g * slots["prev"]
    grows, shrinks = b.binary("lt", 0.0, turn), b.binary("lt", turn, 0.0)
    size = slots["step_size"] * b.select(grows, more, b.select(shrinks, less, b.full(1.0, "float32", p.shape)))
    size = b.binary("minimum", b.binary("maximum", size, least), most)
    g = b.select(shrinks, 0.0, g)
    direction = ELEMENTWISE[aten.sign.default](b, p.type, g)
    return p - direction * size, {"prev": g, "step_size": size}


_OF_ADAM = frozenset({"betas", "eps", "weight_decay"})
_NESTEROV = _OF_ADAM | {"momentum_decay", "decoupled_weight_decay"}
_MEANS: Slots = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
RULES = {
    "Adadelta": Rule(
        _zeros("square_avg", "acc_delta"), rates_alone, _adadelta, frozenset({"rho", "eps", "weight_decay"})
    ),
    "Adamax": Rule(_zeros("exp_avg", "exp_inf"), _adamax_numbers, _adamax, _OF_ADAM),
    "NAdam": Rule(_zeros(*_MEANS), _nadam_numbers, _nadam, _NESTEROV),
    "ASGD": Rule(_zeros("ax"), _asgd_numbers, _asgd, frozenset({"lambd", "alpha", "t0", "weight_decay"})),
    "Rprop": Rule(_rprop_slots, lambda options, rates: {}, _rprop, frozenset({"etas", "step_sizes"})),
    "RAdam": Rule(_zeros(*_MEANS), _radam_numbers, _radam, _OF_ADAM | {"decoupled_weight_decay"}),
}
