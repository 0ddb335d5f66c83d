"""A group of operators as code of the native library (csrc/cpu/group.cpp)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kernels.group import SPREAD, Group, Step
from kernels.native_library import library as _native
from kernels.spec.operator import Array
from kernels.types import DTYPES, NUMPY_DTYPE

MOST_OPERANDS = 3


def compile_group(group: Group) -> Callable[..., Sequence[Array]]:
    """A function of (input arrays, threads, output arrays or None for new ones) that gives the group's outputs.

    An input has the domain's number of elements in its row-major order, whatever its shape and strides. An output may
    be a contiguous input's own memory.
    """
    code = np.array(_code(group), np.int32)
    results = [(type_.shape, NUMPY_DTYPE[type_.dtype]) for _, type_ in group.outputs]

    def run(inputs: Sequence[Array], threads: int, outputs: Sequence[Array] | None = None) -> Sequence[Array]:
        if outputs is None:
            outputs = [np.empty(shape, dtype) for shape, dtype in results]
        _native.run_group(list(inputs), list(outputs), code, group.size, group.columns, threads)
        return outputs

    return run


def _code(group: Group) -> list[int]:
    words = [len(group.registers)]
    for register in group.registers:
        words += [DTYPES.index(register.dtype), int(register.per_row)]
    words += [register for register, _ in group.outputs]
    for step in group.steps:
        words += _step_words(step)
    return words


def _step_words(step: Step) -> list[int]:
    op = -1 if step.op == SPREAD else _native.operator_index(step.op)
    operands = (*step.operands, *(-1,) * (MOST_OPERANDS - len(step.operands)))
    return [op, step.result, *operands]
