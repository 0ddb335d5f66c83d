"""The formula of a user's optimizer object, by the name of its class, and the options that the formula reads."""

from __future__ import annotations

from typing import Any

from engine.tracing.adaptive_optimizers import RULES as ADAPTIVE
from engine.tracing.errors import TraceError
from engine.tracing.matrix_optimizers import RULES as OF_MATRICES
from engine.tracing.optimizers import RULES as COMMON
from engine.tracing.optimizers import Options, Rule

RULES = COMMON | ADAPTIVE | OF_MATRICES
# options that choose an implementation or that the job decides, not the formula
IGNORED = {
    "params",
    "lr",
    "foreach",
    "fused",
    "capturable",
    "differentiable",
    "initial_lr",
    "param_names",
}

REASONS = {
    "LBFGS": "it computes the loss several times a step, as often as its line search asks",
    "SparseAdam": "it changes the rows alone that a batch has read; take Adam, with sparse=False",
}


def rule_of(optimizer: Any) -> Rule:
    """The formula of an optimizer's class, found by its name."""
    name = type(optimizer).__name__
    if name not in RULES:
        reason = f": {REASONS[name]}" if name in REASONS else ""
        raise TraceError(f"trace: optimizer {name} has no formula here{reason}; want one of {', '.join(RULES)}")
    if name == "Adam" and any(group.get("decoupled_weight_decay") for group in optimizer.param_groups):
        name = "AdamW"
    return RULES[name]


def options_of(optimizer: Any, group: Options, rule: Rule) -> dict[str, Any]:
    """The options of a parameter group that its formula reads; a TraceError for one that it does not know."""
    name = type(optimizer).__name__
    for key, value in group.items():
        if key not in rule.options | IGNORED | {"maximize", "decoupled_weight_decay"} and key in optimizer.defaults:
            raise TraceError(f"trace: optimizer {name}: option {key}={value!r} is unknown to its formula")
    missing = rule.options - set(group)
    if missing:
        raise TraceError(
            f"trace: optimizer {name}: got no option {min(missing)}, want {', '.join(sorted(rule.options))}"
        )
    return {"maximize": bool(group.get("maximize"))} | {key: _number(group[key]) for key in sorted(rule.options)}


def _number(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(map(_number, value))
    return value if value is None or isinstance(value, bool | str) else float(value)
