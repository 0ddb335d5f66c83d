"""Operators on a GPU through Triton: the same names and bits as kernels.spec, for those that OPERATORS names.

Tensors may stay on the device between operators: `run_tensors` takes and gives torch tensors; `run` takes and gives
NumPy arrays. An operator that is missing here is an error, never computed elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from kernels.spec.operator import Array, Attributes
from kernels.triton import arrangement, conv, elementwise, indexing, matmul, random, reduction, scale
from kernels.triton.attention import compile_attention
from kernels.triton.graphs import record as record_graph
from kernels.triton.group import compile_group
from kernels.triton.hashing import begin_roots
from kernels.triton.launch import device, versions
from kernels.triton.memory import DeviceMemory, plain, to_device
from kernels.triton.record import about
from kernels.types import TensorType

__all__ = [
    "MEMORY",
    "OPERATORS",
    "about",
    "begin_roots",
    "compile_attention",
    "compile_group",
    "device",
    "maxima",
    "prepare",
    "record_graph",
    "run",
    "run_tensors",
    "versions",
]

MEMORY = DeviceMemory()

OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    **arrangement.OPERATORS,
    "iota": lambda **attributes: arrangement.iota(device(), **attributes),
    **elementwise.OPERATORS,
    **reduction.OPERATORS,
    "matmul": matmul.matmul,
    **conv.OPERATORS,
    **indexing.OPERATORS,
    "random_bits": random.random_bits,
}


# These write their result where they are told to; what others give is copied there.
WRITES_IN_PLACE = frozenset({"matmul"})


def run_tensors(
    op: str,
    inputs: Sequence[torch.Tensor],
    attributes: Attributes,
    operators: Mapping[str, Callable[..., torch.Tensor]] = OPERATORS,
) -> torch.Tensor:
    """The operator's value on tensors of one device; the types are taken as checked by infer."""
    if op not in operators:
        raise ValueError(f"backend triton: got operator {op}, want one of {', '.join(operators)}")
    with np.errstate(all="ignore"):  # the interpreter computes with NumPy, which warns of overflow
        return operators[op](*inputs, **attributes)


def run(op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1) -> Array:
    """The operator's value on arrays, moved to the device and back; `threads` is the device's own business."""
    return run_tensors(op, [to_device(x) for x in inputs], attributes).cpu().numpy()


def prepare(
    op: str,
    types: Sequence[TensorType],
    attributes: Attributes,
    operators: Mapping[str, Callable[..., torch.Tensor]] = OPERATORS,
) -> Callable[..., torch.Tensor]:
    """A function of (tensors, threads, out=None) that gives the operator's value, in `out` where it is given."""
    attributes = dict(attributes)

    def run(inputs: Sequence[torch.Tensor], threads: int, out: torch.Tensor | None = None) -> torch.Tensor:
        if out is not None and op in WRITES_IN_PLACE:
            return run_tensors(op, inputs, {**attributes, "out": out}, operators)
        result = run_tensors(op, inputs, attributes, operators)
        if out is None:
            return result
        plain(out).copy_(plain(result))
        return out

    return run


def maxima(x: Array, axes: tuple[int, ...], threads: int = 1) -> Array:
    """The largest |x| over the axes, which are removed, as uint32 bit patterns; an empty group gives 0."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    shape = tuple(x.shape[axis] for axis in kept)
    rows = to_device(x).permute(*kept, *axes).reshape(1, int(np.prod(shape)), -1 if x.size else 0)
    return scale.maxima(rows).cpu().numpy().view(np.uint32).reshape(shape)
