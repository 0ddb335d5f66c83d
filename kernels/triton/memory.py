"""Tensors on the device that the Triton kernels run on, and what a run takes of its memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import torch

from kernels.attention import Attention
from kernels.spec.matmul import qmax
from kernels.spec.operator import Attributes
from kernels.triton import streams
from kernels.triton.attention_text import padded, power_of_two
from kernels.triton.elementwise import DTYPE
from kernels.triton.faults import deferred
from kernels.triton.launch import INTERPRETED, device
from kernels.triton.residues import max_terms
from kernels.triton.scale import ALIGNMENT
from kernels.triton.tilings import DIGITS, RESIDUES
from kernels.types import TensorType

ALLOCATION = 512  # what torch rounds an allocation up to


def to_device(x: np.ndarray) -> torch.Tensor:
    """The array's values on the device, with its strides where it is there already."""
    x = np.asarray(x)
    viewable = x.flags.writeable and all(stride >= 0 for stride in x.strides)  # torch refuses and warns otherwise
    return torch.from_numpy(x if viewable else x.copy()).to(device())


def plain(x: torch.Tensor) -> torch.Tensor:
    """The tensor with uint32 seen as int32: not every copy of torch's knows the former."""
    return x.view(torch.int32) if x.dtype == torch.uint32 else x


class DeviceMemory:
    """Tensors of torch. `put` may overlap with what runs on the device; `get` waits for it."""

    on_host = False
    deferred = staticmethod(deferred)
    overwrite = staticmethod(streams.join)

    def allocate(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8, device=device())

    def typed(self, memory: torch.Tensor, start: int, type_: TensorType) -> torch.Tensor:
        return memory[start : start + type_.bytes].view(DTYPE[type_.dtype])

    def seen(self, flat: torch.Tensor, shape: Sequence[int], strides: Sequence[int], offset: int) -> torch.Tensor:
        return flat.as_strided(shape, strides, flat.storage_offset() + offset)

    def put(self, array: np.ndarray | torch.Tensor) -> torch.Tensor:
        return array if isinstance(array, torch.Tensor) else to_device(array)

    def get(self, array: np.ndarray | torch.Tensor) -> np.ndarray:
        if isinstance(array, np.ndarray):
            return array
        return array.detach().to("cpu", copy=True).numpy()

    def copy(self, to: torch.Tensor, array: np.ndarray | torch.Tensor) -> None:
        plain(to).copy_(plain(array if isinstance(array, torch.Tensor) else to_device(array)))

    def clone(self, array: torch.Tensor) -> torch.Tensor:
        return plain(array).clone().view(array.dtype)

    def shown(self, array: torch.Tensor) -> torch.Tensor:
        return array.view(array.shape)

    def attention_scratch(self, attention: Attention) -> int:
        return attention_bytes(attention)

    def free(self) -> int | None:
        if INTERPRETED:
            return None
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()

    def scratch(self, op: str, types: Sequence[TensorType], attributes: Attributes) -> int:
        shapes = [type_.shape for type_ in types]
        match op:
            case "matmul":
                *batch, M, K = shapes[0]
                return prod(batch) * product_bytes(M, shapes[1][-1], K, attributes["width"])
            case "conv":
                N, groups, taps = shapes[0][0], attributes["groups"], prod(shapes[1][1:])
                places = prod(shapes[0][2:])  # at most: strides make fewer
                return N * groups * conv_bytes(places, shapes[1][0] // groups, taps, attributes["width"])
            case "conv_grad_input":
                N, groups, taps = shapes[0][0], attributes["groups"], prod(shapes[1][2:])
                terms, places = shapes[1][0] // groups * taps, prod(attributes["size"])
                return N * groups * conv_bytes(places, shapes[1][1], terms, attributes["width"])
            case "conv_grad_weight":
                N, K, P, Q = shapes[0]
                groups = attributes["groups"]
                rows = shapes[1][1] // groups * prod(attributes["size"])
                return groups * conv_bytes(rows, K // groups, N * P * Q, attributes["width"])
        # Keys, integer sums and masks of 8 bytes an element: of the operands, and of an int64 total where one is added.
        return 0 if op in FREE else 24 * max((type_.size for type_ in types), default=0) + ALLOCATION


def attention_bytes(attention: Attention) -> int:
    """Digits of every matrix, maxima, and the values per row that one kernel leaves to the other."""
    B, M, N = attention.B, attention.M, attention.N
    total = 0
    for score in attention.scores:
        total += B * (M + N) * (DIGITS[score.width] * power_of_two(score.K, 32) + 4)
    for product in attention.products:
        terms = N if product.over == "columns" else M
        depth = product.type.shape[-2 if product.on_left else -1]
        total += B * (depth * (DIGITS[product.width] * padded(terms) + 4) + 4 * N)
    rows = sum(register.per_row for register in attention.group.registers)
    return total + 4 * B * M * rows + ALLOCATION * (4 * len(attention.scores) + 4 * len(attention.products) + rows)


FREE = frozenset({"reshape", "permute", "broadcast", "slice", "concat", "pad", "iota", "take_rows", "gather"})


def product_bytes(M: int, N: int, K: int, width: str) -> int:
    """Digits of both operands, and residues where they may be taken; integer sums where the terms are split, or eight
    residues of each sum."""
    padded = -(-K // ALIGNMENT) * ALIGNMENT
    planes = len(RESIDUES) if width == "wide" and padded <= max_terms(qmax(width, K)) else 0
    return (DIGITS[width] + planes) * (M + N) * padded + 8 * M * N + 4 * (M + N) + 6 * ALLOCATION


def conv_bytes(M: int, N: int, K: int, width: str) -> int:
    """Patches in float32, then what the product of them takes."""
    return 4 * (M + N) * K + product_bytes(M, N, K, width)
