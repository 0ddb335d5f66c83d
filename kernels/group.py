"""A group of operators that run in one pass over memory, and what a backend needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from kernels import spec
from kernels.types import TensorType

SPREAD = "spread"
# What a group may hold: operators of every element that cannot fault, and reductions of rows of at most 2^16 elements.
ELEMENTWISE = frozenset(n for n, o in spec.OPERATORS.items() if o.family == "elementwise" and not o.can_fault)
ROW_REDUCTIONS = frozenset({"sum", "amax", "amin"})
GATHER = "gather"  # where the backend says so: one element of each row, by an index that is an input
MOST_COLUMNS = 2**16


@dataclass(frozen=True, slots=True)
class Register:
    """A value inside a group: one element per element of the domain, or one per row of it."""

    dtype: str
    per_row: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One member: an elementwise operator, a sum, amax or amin of rows, a gather of one element of each, or `spread`: a
    value repeated along its row."""

    op: str
    result: int
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The domain has `size` elements in row-major order, `columns` a row (0 where no member works on rows).

    registers: the inputs first
    outputs:   (register, type of the array it becomes)
    """

    size: int
    columns: int
    registers: tuple[Register, ...]
    inputs: int
    outputs: tuple[tuple[int, TensorType], ...]
    steps: tuple[Step, ...]
