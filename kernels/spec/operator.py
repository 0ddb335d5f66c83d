"""What an operator is: its name, its operands and attributes, its shape rule and the function that defines it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from kernels.types import DTYPES, TensorType

Array = np.ndarray
Attributes = Mapping[str, Any]
Rule = Callable[[Sequence[TensorType], Attributes], TensorType]
ScaleGroups = Callable[[Sequence[Array], Attributes], list[tuple[Array, tuple[int, ...]]]]
Family = Literal["layout", "movement", "elementwise", "reduction", "product", "indexing", "random"]
AttributeKind = Literal["int", "ints", "dtype", "width", "flag"]
WIDTHS = ("narrow", "wide")


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of the law.

    operands:     their names; a last name of "..." stands for any number more
    infer:        (operand types, attributes) -> result type, or a ValueError that names what came and what was wanted
    value:        (*operand arrays, **attributes) -> array: the definition
    attributes:   name -> kind, in the order in which native code receives them
    scale_groups: (operand arrays, attributes) -> per quantised operand, a view of it and the axes within a scale group;
                  None where the operator does not quantise
    can_fault:    whether some operand values are a fault
    """

    name: str
    family: Family
    operands: tuple[str, ...]
    infer: Rule
    value: Callable[..., Array]
    attributes: Mapping[str, AttributeKind] = field(default_factory=dict)
    scale_groups: ScaleGroups | None = None
    can_fault: bool = False


def want(condition: bool, operator: str, got: object, wanted: str) -> None:
    """A ValueError naming the operator, what came and what was wanted, unless the condition holds."""
    if not condition:
        raise ValueError(f"{operator}: got {got}, want {wanted}")


def check_dtypes(operator: Operator | str, types: Sequence[TensorType], dtypes: Sequence[str]) -> None:
    """Refuses operands whose dtype is not among those of the operator, or that differ in it."""
    name = operator if isinstance(operator, str) else operator.name
    got = " and ".join(str(t) for t in types)
    want(all(t.dtype in dtypes for t in types), name, got, f"{' or '.join(dtypes)}")
    want(len({t.dtype for t in types}) <= 1, name, got, "operands of one dtype")


def check_operands(operator: Operator, types: Sequence[TensorType]) -> None:
    """Refuses a wrong number of operands."""
    names = operator.operands
    if names and names[-1] == "...":
        want(len(types) >= len(names) - 1, operator.name, f"{len(types)} operands", f"{len(names) - 1} or more")
    else:
        want(len(types) == len(names), operator.name, f"{len(types)} operands", f"{len(names)} ({', '.join(names)})")


def check_attributes(operator: Operator, attributes: Attributes) -> None:
    """Refuses attributes of other names or kinds than the operator's."""
    got, names = sorted(map(str, attributes)), sorted(operator.attributes)
    want(got == names, operator.name, f"attributes {', '.join(got) or 'none'}", ", ".join(names) or "none")
    for name, kind in operator.attributes.items():
        accepts, wanted = KINDS[kind]
        want(accepts(attributes[name]), operator.name, f"{name}={attributes[name]!r}", wanted)


def _is_int(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (_is_int, "a 64-bit integer"),
    "ints": (lambda value: isinstance(value, tuple | list) and all(map(_is_int, value)), "64-bit integers"),
    "dtype": (lambda value: isinstance(value, str) and value in DTYPES, " or ".join(DTYPES)),
    "width": (lambda value: isinstance(value, str) and value in WIDTHS, " or ".join(WIDTHS)),
    "flag": (lambda value: type(value) is bool, "True or False"),
}
