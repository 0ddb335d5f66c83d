"""The Triton backend with its products by csrc/cuda: the same digits, the same sums, the same rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from kernels import _cuda
from kernels.spec.operator import Array, Attributes
from kernels.triton import MEMORY
from kernels.triton import prepare as prepare_triton
from kernels.triton import run as run_triton
from kernels.triton.matmul import finish, matmul
from kernels.triton.scale import ALIGNMENT
from kernels.triton.tilings import MAX_TERMS
from kernels.types import TensorType


def multiply(
    width: str,
    operands: tuple[torch.Tensor, torch.Tensor],
    highest_a: torch.Tensor,
    highest_b: torch.Tensor,
    limit: int,
    out: torch.Tensor,
) -> torch.Tensor:
    """The product of digits, [B, D, M, P] and [B, D, N, P] int8, written to out [B, M, N] float32."""
    a, b = operands
    B, count, M, P = a.shape
    N = b.shape[2]
    terms = min(P, MAX_TERMS[width] // ALIGNMENT * ALIGNMENT)
    sums = torch.zeros((B, M, N) if terms < P else (0,), dtype=torch.int64, device=a.device)
    stream = torch.cuda.current_stream().cuda_stream
    _cuda.multiply(
        a=a.data_ptr(),
        b=b.data_ptr(),
        maxima_a=highest_a.data_ptr(),
        maxima_b=highest_b.data_ptr(),
        out=out.data_ptr(),
        sums=sums.data_ptr() if terms < P else 0,
        **{"batch": B, "M": M, "N": N, "P": P, "terms": terms, "digits": count, "qmax": limit, "stream": stream},
    )
    return finish(sums, highest_a, highest_b, limit, out) if terms < P else out


def prepare(op: str, types: Sequence[TensorType], attributes: Attributes) -> Callable[..., torch.Tensor]:
    """As kernels.triton's, with the product by CUDA."""
    if op != "matmul":
        return prepare_triton(op, types, attributes)
    width = attributes["width"]

    def run(inputs: Sequence[torch.Tensor], threads: int, out: torch.Tensor | None = None) -> torch.Tensor:
        a, b = inputs
        return matmul(a, b, width, out=out, multiply=multiply)

    return run


def run(op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1) -> Array:
    """The operator's value on arrays, moved to the device and back."""
    if op != "matmul":
        return run_triton(op, inputs, attributes, threads)
    return MEMORY.get(prepare(op, (), attributes)([MEMORY.put(x) for x in inputs], threads))
