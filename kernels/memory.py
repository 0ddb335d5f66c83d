"""Where a backend keeps the values of a step: NumPy arrays in the machine's memory, or what a device has instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from kernels.types import NUMPY_DTYPE, TensorType

ALIGNMENT = 64


class Memory(Protocol):
    """Arrays of one kind. `Any` is that kind's array: a NumPy array here, a tensor on a device.

    on_host:  whether arrays are NumPy's own
    allocate: uninitialised bytes at a multiple of the alignment
    typed:    those bytes, from a start, as the row-major elements of a type, in one row
    seen:     elements in one row as an array of other strides, counted in elements
    put:      a host array's values as an array of this kind; get: the other way, never a view of memory that changes
    copy:     the values of one array into another of its type
    shown:    the same array, not writable where the kind can say so
    scratch:  bytes that an operator takes beside its operands and its result; attention_scratch: that attention does
    free:     bytes that may still be taken; None where the machine's own memory is meant
    overwrite: called before a state is overwritten: what still reads it comes first
    deferred: within it, faults are looked for together: the function that it gives raises one if there was any
    """

    on_host: bool

    def allocate(self, size: int) -> Any: ...
    def typed(self, memory: Any, start: int, type_: TensorType) -> Any: ...
    def seen(self, flat: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any: ...
    def put(self, array: Any) -> Any: ...
    def get(self, array: Any) -> np.ndarray: ...
    def copy(self, to: Any, array: Any) -> None: ...
    def clone(self, array: Any) -> Any: ...
    def shown(self, array: Any) -> Any: ...
    def scratch(self, op: str, types: Any, attributes: Any) -> int: ...
    def attention_scratch(self, attention: Any) -> int: ...
    def free(self) -> int | None: ...
    def overwrite(self) -> None: ...
    def deferred(self) -> Any: ...


class HostMemory:
    """NumPy arrays."""

    on_host = True

    def allocate(self, size: int) -> np.ndarray:
        memory = np.empty(size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        return memory[start : start + size]

    def typed(self, memory: np.ndarray, start: int, type_: TensorType) -> np.ndarray:
        return memory[start : start + type_.bytes].view(NUMPY_DTYPE[type_.dtype])

    def seen(self, flat: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> np.ndarray:
        item = flat.dtype.itemsize
        array = np.ndarray(shape, flat.dtype, flat, item * offset, tuple(item * stride for stride in strides))
        array.flags.writeable = flat.flags.writeable
        return array

    def put(self, array: np.ndarray) -> np.ndarray:
        return array

    def get(self, array: np.ndarray) -> np.ndarray:
        return array

    def copy(self, to: np.ndarray, array: np.ndarray) -> None:
        np.copyto(to, array)

    def clone(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def shown(self, array: np.ndarray) -> np.ndarray:
        shown = array.view()
        shown.flags.writeable = False
        return shown

    def scratch(self, op: str, types: Any, attributes: Any) -> int:
        return 0

    def attention_scratch(self, attention: Any) -> int:
        return 0

    def free(self) -> int | None:
        return None

    def overwrite(self) -> None:
        pass

    @contextmanager
    def deferred(self) -> Iterator[Callable[[], None]]:
        yield lambda: None
