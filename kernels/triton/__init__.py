"""Operators on a GPU through Triton: the same names and bits as kernels.spec, for those that OPERATORS names.

Tensors may stay on the device between operators: `run_tensors` takes and gives torch tensors; `run` takes and gives
NumPy arrays. An operator that is missing here is an error, never computed elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from kernels.spec.operator import Array, Attributes
from kernels.triton import arrangement, conv, elementwise, indexing, matmul, random, reduction, scale
from kernels.triton.launch import device, versions

__all__ = ["OPERATORS", "device", "maxima", "run", "run_tensors", "versions"]

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


def run_tensors(op: str, inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    """The operator's value on tensors of one device; the types are taken as checked by infer."""
    if op not in OPERATORS:
        raise ValueError(f"backend triton: got operator {op}, want one of {', '.join(OPERATORS)}")
    with np.errstate(all="ignore"):  # the interpreter computes with NumPy, which warns of overflow
        return OPERATORS[op](*inputs, **attributes)


def run(op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1) -> Array:
    """The operator's value on arrays, moved to the device and back; `threads` is the device's own business."""
    return run_tensors(op, [to_device(x) for x in inputs], attributes).cpu().numpy()


def maxima(x: Array, axes: tuple[int, ...], threads: int = 1) -> Array:
    """The largest |x| over the axes, which are removed, as uint32 bit patterns; an empty group gives 0."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    shape = tuple(x.shape[axis] for axis in kept)
    rows = to_device(x).permute(*kept, *axes).reshape(1, int(np.prod(shape)), -1 if x.size else 0)
    return scale.maxima(rows).cpu().numpy().view(np.uint32).reshape(shape)


def to_device(x: Array) -> torch.Tensor:
    """The array's values on the device, with its strides where it is there already."""
    x = np.asarray(x)
    viewable = x.flags.writeable and all(stride >= 0 for stride in x.strides)  # torch refuses and warns otherwise
    return torch.from_numpy(x if viewable else x.copy()).to(device())
