"""torch's optimizers as formulas over the operators of the law, read from the user's object and never executed.

Numbers that change with the step (learning rate, bias corrections) are inputs of role `schedule`, computed in float64
for every step and rounded once to float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np

from engine.tracing.builder import Builder, Value
from engine.tracing.rules_elementwise import RULES as ELEMENTWISE
from engine.tracing.rules_elementwise import aten
from kernels.types import TensorType

Array = np.ndarray
Options = Mapping[str, Any]
Numbers = dict[str, list[float]]
Shape = tuple[int, ...]
Slots = dict[str, float | Array]
SCALAR = TensorType("float32", ())


@dataclass(frozen=True)
class Rule:
    """One optimizer.

    slots:    (options, shape, first rate) -> the state per parameter, name -> array, or number that fills the shape
    numbers:  (options, learning rate per step) -> the numbers per step, name -> one per step
    update:   (builder, options, numbers, slots, parameter, gradient) -> parameter and slots of the next step
    defaults: the options whose other values are refused
    """

    slots: Callable[[Options, Shape, float], Slots]
    numbers: Callable[[Options, Sequence[float]], Numbers]
    update: Callable[
        [Builder, Options, dict[str, Value], dict[str, Value], Value, Value], tuple[Value, dict[str, Value]]
    ]
    options: frozenset[str] = field(default_factory=frozenset)


def rates_alone(options: Options, rates: Sequence[float]) -> Numbers:
    """The learning rate as the one number of a step."""
    return {"learning_rate": list(rates)}


def decayed(options: Options, parameter: Value, gradient: Value) -> Value:
    """The gradient with L2 decay."""
    decay = options["weight_decay"]
    return gradient + parameter * decay if decay else gradient


def lerp(old: Value, new: Value, weight: float) -> Value:
    """old moved to new by a weight."""
    return old + (new - old) * weight


# SGD


def _sgd_slots(options: Options, shape: Shape, rate: float) -> Slots:
    return {"momentum_buffer": 0.0} if options["momentum"] else {}


def _sgd_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    if not options["momentum"] or not options["dampening"]:
        return rates_alone(options, rates)
    # torch takes the first gradient undampened
    return {**rates_alone(options, rates), "undampened": [1.0] + [1.0 - options["dampening"]] * (len(rates) - 1)}


def _sgd(b: Builder, options: Options, numbers: dict[str, Value], slots: dict[str, Value], p: Value, g: Value) -> Any:
    g, after = decayed(options, p, g), {}
    if slots:
        fresh = g * numbers["undampened"] if "undampened" in numbers else g
        after["momentum_buffer"] = slots["momentum_buffer"] * options["momentum"] + fresh
        g = g + after["momentum_buffer"] * options["momentum"] if options["nesterov"] else after["momentum_buffer"]
    return p - g * numbers["learning_rate"], after


# Adam and AdamW


def _adam_slots(options: Options, shape: Shape, rate: float) -> Slots:
    slots: Slots = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
    return slots | {"max_exp_avg_sq": 0.0} if options["amsgrad"] else slots


def _adam_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    first, second = options["betas"]
    steps = range(1, len(rates) + 1)
    return {
        "step_size": [rate / (1 - first**t) for rate, t in zip(rates, steps, strict=True)],
        "correction": [sqrt(1 - second**t) for t in steps],
    }


def _adamw_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    return {**_adam_numbers(options, rates), **kept(options, rates)}


def kept(options: Options, rates: Sequence[float]) -> Numbers:
    """What decoupled decay leaves of a parameter."""
    decay = options["weight_decay"]
    return {"kept": [1 - rate * decay for rate in rates]} if decay else {}


def _adam(b: Builder, options: Options, numbers: dict[str, Value], slots: dict[str, Value], p: Value, g: Value) -> Any:
    return _adam_step(b, options, numbers, slots, p, decayed(options, p, g))


def _adamw(b: Builder, options: Options, numbers: dict[str, Value], slots: dict[str, Value], p: Value, g: Value) -> Any:
    return _adam_step(b, options, numbers, slots, p * numbers["kept"] if "kept" in numbers else p, g)


def _adam_step(
    b: Builder, options: Options, numbers: dict[str, Value], slots: dict[str, Value], p: Value, g: Value
) -> Any:
    first, second = options["betas"]
    after = {
        "exp_avg": lerp(slots["exp_avg"], g, 1 - first),
        "exp_avg_sq": slots["exp_avg_sq"] * second + g * g * (1 - second),
    }
    spread = after["exp_avg_sq"]
    if "max_exp_avg_sq" in slots:
        spread = after["max_exp_avg_sq"] = b.emit("maximum", [slots["max_exp_avg_sq"], spread])
    denominator = b.unary("sqrt", spread) / numbers["correction"] + options["eps"]
    return p - after["exp_avg"] / denominator * numbers["step_size"], after


# RMSprop, Adagrad, Lion


def _rmsprop_slots(options: Options, shape: Shape, rate: float) -> Slots:
    names = ["square_avg"] + ["momentum_buffer"] * (options["momentum"] > 0) + ["grad_avg"] * bool(options["centered"])
    return {name: 0.0 for name in names}


def _rmsprop(
    b: Builder, options: Options, numbers: dict[str, Value], slots: dict[str, Value], p: Value, g: Value
) -> Any:
    g, alpha = decayed(options, p, g), options["alpha"]
    after = {"square_avg": slots["square_avg"] * alpha + g * g * (1 - alpha)}
    spread = after["square_avg"]
    if "grad_avg" in slots:
        after["grad_avg"] = lerp(slots["grad_avg"], g, 1 - alpha)
        spread = spread - after["grad_avg"] * after["grad_avg"]
    update = g / (b.unary("sqrt", spread) + options["eps"])
    if "momentum_buffer" in slots:
        update = after["momentum_buffer"] = slots["momentum_buffer"] * options["momentum"] + update
    return p - update * numbers["learning_rate"], {name: after[name] for name in slots}


def _adagrad_slots(options: Options, shape: Shape, rate: float) -> Slots:
    return {"sum": float(options["initial_accumulator_value"])}


def _adagrad_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    return {"learning_rate": [rate / (1 + step * options["lr_decay"]) for step, rate in enumerate(rates)]}


def _adagrad(
    b: Builder, options: Options, numbers: dict[str, Value], slots: dict[str, Value], p: Value, g: Value
) -> Any:
    g = decayed(options, p, g)
    after = slots["sum"] + g * g
    return p - g / (b.unary("sqrt", after) + options["eps"]) * numbers["learning_rate"], {"sum": after}


def _lion_numbers(options: Options, rates: Sequence[float]) -> Numbers:
    return {**rates_alone(options, rates), **kept(options, rates)}


def _lion(b: Builder, options: Options, numbers: dict[str, Value], slots: dict[str, Value], p: Value, g: Value) -> Any:
    first, second = options["betas"]
    p = p * numbers["kept"] if "kept" in numbers else p
    direction = ELEMENTWISE[aten.sign.default](b, p.type, slots["exp_avg"] * first + g * (1 - first))
    return p - direction * numbers["learning_rate"], {"exp_avg": slots["exp_avg"] * second + g * (1 - second)}


RULES = {
    "SGD": Rule(_sgd_slots, _sgd_numbers, _sgd, frozenset({"momentum", "dampening", "weight_decay", "nesterov"})),
    "Adam": Rule(_adam_slots, _adam_numbers, _adam, frozenset({"betas", "eps", "weight_decay", "amsgrad"})),
    "AdamW": Rule(_adam_slots, _adamw_numbers, _adamw, frozenset({"betas", "eps", "weight_decay", "amsgrad"})),
    "RMSprop": Rule(
        _rmsprop_slots, rates_alone, _rmsprop, frozenset({"alpha", "eps", "weight_decay", "momentum", "centered"})
    ),
    "Adagrad": Rule(
        _adagrad_slots,
        _adagrad_numbers,
        _adagrad,
        frozenset({"lr_decay", "eps", "weight_decay", "initial_accumulator_value"}),
    ),
    "Lion": Rule(
        lambda options, shape, rate: {"exp_avg": 0.0}, _lion_numbers, _lion, frozenset({"betas", "weight_decay"})
    ),
}
