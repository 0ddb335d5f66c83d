"""Layout operators as views of arrays, with everything done beforehand that types and attributes decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engine.program import Node
from engine.views import contiguous
from kernels.backends import Backend
from kernels.types import NUMPY_DTYPE, TensorType

Array = np.ndarray
Run = Callable[[list[Array]], Sequence[Array]]


def view_of(node: Node, type_: TensorType, backend: Backend) -> Run:
    """A function of the one operand that gives a layout operator's view; where there is none, the backend copies."""
    match node.op:
        case "permute":
            axes = node.attributes["axes"]
            return lambda operands: (operands[0].transpose(axes),)
        case "slice":
            bounds = zip(*(node.attributes[name] for name in ("start", "stop", "step")), strict=True)
            slices = tuple(slice(*bound) for bound in bounds)
            return lambda operands: (operands[0][slices],)
        case "broadcast":
            return _broadcast(type_, node.attributes["shape"])
    return _reshape(node, backend)


def _broadcast(type_: TensorType, shape: tuple[int, ...]) -> Run:
    dtype = NUMPY_DTYPE[type_.dtype]
    sizes = zip(type_.shape, shape, contiguous(type_.shape), strict=True)
    strides = tuple(dtype.itemsize * stride if old == new else 0 for old, new, stride in sizes)

    def run(operands: list[Array]) -> Sequence[Array]:
        x = operands[0]
        if x.size and x.flags.c_contiguous:
            return (np.ndarray(shape, dtype, x, 0, strides),)  # a tenth of what np.broadcast_to takes
        return (np.broadcast_to(x, shape),)

    return run


def _reshape(node: Node, backend: Backend) -> Run:
    shape, run, attributes = node.attributes["shape"], backend.run, dict(node.attributes)

    def reshape(operands: list[Array]) -> Sequence[Array]:
        x = operands[0]
        return (x.reshape(shape) if x.flags.c_contiguous else run("reshape", operands, attributes),)

    return reshape
