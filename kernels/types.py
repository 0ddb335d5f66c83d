"""Tensor types, the faults of the law and the one error for a wrong call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

MAX_RANK = 8
MAX_ELEMENTS = 2**40

NUMPY_DTYPE: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "uint32": np.dtype("<u4"),
    "bool": np.dtype("?"),
}
DTYPES = tuple(NUMPY_DTYPE)
FLOATS = ("float32",)
INTEGERS = ("int64", "int32", "uint32")
CANONICAL_NAN = 0x7FC00000


@dataclass(frozen=True, slots=True)
class TensorType:
    """A dtype of the law and a static shape."""

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in NUMPY_DTYPE:
            raise ValueError(f"type: got dtype {self.dtype!r}, want one of {', '.join(DTYPES)}")
        if len(self.shape) > MAX_RANK:
            raise ValueError(f"type: got rank {len(self.shape)}, want at most {MAX_RANK}")
        if any(type(size) is not int or size < 0 for size in self.shape):
            raise ValueError(f"type: got shape {self.shape}, want sizes of 0 or more")
        if prod(max(size, 1) for size in self.shape) > MAX_ELEMENTS:  # an empty array's strides must fit too
            raise ValueError(f"type: got shape {self.shape}, want at most {MAX_ELEMENTS} elements")

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """The number of bytes of the row-major array."""
        return self.size * NUMPY_DTYPE[self.dtype].itemsize

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def type_of(array: Any) -> TensorType:
    """The type of a NumPy array or of a tensor of torch; a ValueError where its dtype is not one of the law."""
    return _type_of(array.dtype, tuple(int(size) for size in array.shape))


@lru_cache(4096)  # a state has few, and a dtype is slow to say its name
def _type_of(dtype: Any, shape: tuple[int, ...]) -> TensorType:
    name = str(dtype).removeprefix("torch.")
    if name not in NUMPY_DTYPE:
        raise ValueError(f"type: got an array of {dtype}, want one of {', '.join(DTYPES)}")
    return TensorType(name, shape)


class Fault(Exception):
    """An operator met a value that the law forbids, such as an index out of range.

    operator: its name
    element:  the lowest faulting element, row-major in the operand that holds the index
    """

    def __init__(self, operator: str, element: int, reason: str) -> None:
        super().__init__(f"{operator}: element {element}: {reason}")
        self.operator, self.element, self.reason = operator, element, reason
