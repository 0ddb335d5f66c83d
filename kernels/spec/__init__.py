"""The law in code: every operator's shape rule and its definition, slow and obvious."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels.float_mode import ieee_mode
from kernels.spec import conv, elementwise, indexing, layout, matmul, movement, random, reduction
from kernels.spec.operator import Array, Attributes, Operator, check_attributes, check_operands
from kernels.spec.rounding import maxima
from kernels.types import TensorType

FAMILIES = (layout, movement, elementwise, reduction, matmul, conv, indexing, random)
OPERATORS: dict[str, Operator] = {operator.name: operator for family in FAMILIES for operator in family.OPERATORS}


def operator_named(op: str) -> Operator:
    """The operator of a name; a ValueError where the law has none."""
    if op not in OPERATORS:
        raise ValueError(f"operator: got {op!r}, want one of {', '.join(OPERATORS)}")
    return OPERATORS[op]


def infer(op: str, types: Sequence[TensorType], attributes: Attributes) -> TensorType:
    """The result type of an operator; a ValueError where operands or attributes break its rule."""
    operator = operator_named(op)
    check_attributes(operator, attributes)
    check_operands(operator, types)
    return operator.infer(types, attributes)


def run(op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1) -> Array:
    """The operator's value by its definition, row-major; the types are taken as checked by infer."""
    with ieee_mode():
        value = np.asarray(OPERATORS[op].value(*inputs, **attributes))
    return value if is_layout(op) else np.asarray(value, order="C")


def scale_groups(op: str, inputs: Sequence[Array], attributes: Attributes) -> list[tuple[Array, tuple[int, ...]]]:
    """Per operand that the operator quantises: a view of it, and the axes over which its elements share a scale."""
    rule = OPERATORS[op].scale_groups
    return rule(inputs, attributes) if rule else []


def scales(op: str, inputs: Sequence[Array], attributes: Attributes) -> list[Array]:
    """The maxima of |x| over the scale groups of each quantised operand, as uint32 bit patterns."""
    return [maxima(x, axes) for x, axes in scale_groups(op, inputs, attributes)]


def is_layout(op: str) -> bool:
    """Whether an operator only rearranges elements, so that it may alias and has no entry in a trace."""
    return OPERATORS[op].family == "layout"
