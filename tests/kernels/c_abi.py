"""libisobit.so as another language sees it: through cffi, from the declarations of csrc/isobit.h."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import cffi
import numpy as np

from kernels import native, spec
from kernels.spec.operator import Array, Attributes
from kernels.types import DTYPES, NUMPY_DTYPE, Fault, TensorType, type_of

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "csrc" / "isobit.h"
STATUS = ("ok", "invalid", "fault", "out of memory")


def library_path() -> Path:
    """The built library; the variable ISOBIT_LIBRARY names another, such as one with sanitizers."""
    return Path(os.environ.get("ISOBIT_LIBRARY", ROOT / "kernels" / "libisobit.so"))


def declarations() -> str:
    """The part of the header between its two markers, which holds no preprocessor line."""
    return HEADER.read_text().split("begin of the declarations */")[1].split("/* end of the declarations")[0]


def operator_names() -> list[str]:
    """The operators that the header declares."""
    return re.findall(r"int32_t isobit_(\w+)\(const isobit_call \*", declarations())


def forward(x: Array) -> Array:
    """x as an array, copied where a stride goes backwards, which the C ABI does not take."""
    x = np.asarray(x)
    return x.copy() if any(stride < 0 for stride in x.strides) else x


class Library:
    """The C functions, called with NumPy arrays."""

    def __init__(self, path: Path) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(declarations())
        self.c: Any = self.ffi.dlopen(str(path))
        self.memory: WeakKeyDictionary[Any, Array] = WeakKeyDictionary()  # a tensor keeps its array alive

    def tensor(self, x: Array, dtype: int | None = None) -> Any:
        """x as an isobit_tensor; `dtype` may lie about it."""
        tensor = self.ffi.new("isobit_tensor *")
        self.memory[tensor] = x
        tensor.data = self.ffi.cast("void *", x.ctypes.data)
        tensor.dtype = DTYPES.index(type_of(x).dtype) if dtype is None else dtype
        tensor.rank = x.ndim
        for axis in range(min(x.ndim, 8)):
            tensor.shape[axis], tensor.stride[axis] = x.shape[axis], x.strides[axis] // x.itemsize
        return tensor

    def call(
        self, name: str, inputs: Sequence[Any], flat: Sequence[int], output: Any, threads: int = 1
    ) -> tuple[str, int, str]:
        """Status, element and message of one call over tensors."""
        array = self._array(inputs)
        values = self.ffi.new("int64_t[]", list(flat) or 1)
        call = self.ffi.new("isobit_call *", (array, len(inputs), values, len(flat), output, threads))
        error = self.ffi.new("isobit_error *")
        status = getattr(self.c, f"isobit_{name}")(call, error)
        assert status == error.status
        return STATUS[status], error.element, self.ffi.string(error.message).decode()

    def call_group(
        self,
        inputs: Sequence[Array],
        outputs: Sequence[Array],
        code: Sequence[int],
        size: int,
        columns: int,
        threads: int,
    ) -> tuple[str, str]:
        """Status and message of one call of a group of operators."""
        operands, results = (self._array([self.tensor(x) for x in arrays]) for arrays in (inputs, outputs))
        words = self.ffi.new("int32_t[]", list(code) or 1)
        sizes = (len(inputs), results, len(outputs), words, len(code), size, columns, threads)
        group, error = self.ffi.new("isobit_group *", (operands, *sizes)), self.ffi.new("isobit_error *")
        status = self.c.isobit_run_group(group, error)
        return STATUS[status], self.ffi.string(error.message).decode()

    def _array(self, tensors: Sequence[Any]) -> Any:
        array = self.ffi.new("isobit_tensor[]", max(len(tensors), 1))
        for position, tensor in enumerate(tensors):
            array[position] = tensor[0]
        return array

    def run(
        self, name: str, inputs: Sequence[Array], flat: Sequence[int], result: TensorType, threads: int = 1
    ) -> Array:
        """The operator's value; a ValueError or a Fault where the status says so."""
        out = np.empty(result.shape, NUMPY_DTYPE[result.dtype])
        arrays = [forward(x) for x in inputs]
        tensors = [self.tensor(x) for x in arrays]
        status, element, message = self.call(name, tensors, flat, self.tensor(out), threads)
        if status == "fault":
            raise Fault(name, element, message)
        if status != "ok":
            raise ValueError(message)
        return out


def backend(library: Library) -> Any:
    """The library in the form of a backend, for the conformance cases."""
    from kernels.backends import Backend

    def run(op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1) -> Array:
        if spec.is_layout(op):
            return spec.run(op, inputs, attributes)
        result = spec.infer(op, [type_of(x) for x in inputs], attributes)
        return library.run(op, inputs, native.flatten(op, attributes), result, threads)

    def maxima(x: Array, axes: Sequence[int], threads: int = 1) -> Array:
        if not axes:
            return maxima(x[..., None], (x.ndim,), threads)
        shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return library.run("group_maxima", [x], [len(axes), *axes], TensorType("uint32", shape), threads)

    refuse: Any = None
    return Backend("c", run, maxima, refuse, refuse, refuse)
