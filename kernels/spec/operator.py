"""What an operator is: its name, its attributes, its shape rule and the function that defines it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kernels.types import TensorType

Array = np.ndarray
Attributes = Mapping[str, Any]
Family = Literal["layout", "movement", "elementwise", "reduction", "product", "indexing", "random"]
AttributeKind = Literal["int", "ints", "dtype", "width", "flag"]
WIDTHS = ("narrow", "wide")


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of the law.

    attributes: name -> kind, in the order in which native code receives them
    infer:      (operand types, attributes) -> result type, or a ValueError that names what came and what was wanted
    value:      (*operand arrays, **attributes) -> array: the definition
    scales:     (operand arrays, attributes) -> the maxima of |x| per scale group, as uint32 bit patterns; None where
                the operator does not quantise
    can_fault:  whether some operand values are a fault
    """

    name: str
    family: Family
    attributes: Mapping[str, AttributeKind]
    infer: Callable[[Sequence[TensorType], Attributes], TensorType]
    value: Callable[..., Array]
    scales: Callable[[Sequence[Array], Attributes], list[Array]] | None = None
    can_fault: bool = False
