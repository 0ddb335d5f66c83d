"""The Triton backend with its products by csrc/cuda: the same digits, the same sums, the same rounding.

matmul.cu runs on every GPU from Ampere on, matmul_hopper.cu on compute capability 9.0 alone. Which is measured is
decided by the device; which of those measured is taken, by the time that they took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from kernels import _cuda
from kernels.spec.operator import Array, Attributes
from kernels.triton import MEMORY, conv, record, residues, tuning
from kernels.triton import OPERATORS as TRITON
from kernels.triton import prepare as prepare_triton
from kernels.triton.matmul import LARGE, SMALL, finish, matmul
from kernels.triton.scale import ALIGNMENT
from kernels.triton.tilings import MAX_TERMS, RESIDUES
from kernels.types import TensorType

AMPERE, HOPPER = (8, 0), (9, 0)


@dataclass(frozen=True)
class Tiling:
    """How csrc/cuda cuts a product.

    tile:     columns of Hopper's tiles of 128 rows; 0: matmul.cu, with its own
    cluster:  blocks that share what they fetch of b
    splits:   parts of the terms, whose sums are added
    residues: eight products of residues in place of the nine of three digits
    """

    tile: int = 0
    cluster: int = 1
    splits: int = 1
    residues: bool = False


ANY = {"narrow": (Tiling(), Tiling(splits=4)), "wide": (Tiling(), Tiling(splits=4))}
ON_HOPPER = {
    "narrow": (Tiling(128, 2), Tiling(128), Tiling(64), Tiling(64, splits=4)),
    "wide": (
        Tiling(64, 2),
        Tiling(64),
        Tiling(32),
        Tiling(32, splits=4),
        Tiling(256, 2, residues=True),
        Tiling(256, residues=True),
        Tiling(128, residues=True),
    ),
}
Digits = tuple[torch.Tensor, torch.Tensor]


def tilings_of(width: str, capability: tuple[int, int]) -> tuple[Tiling, ...]:
    """The tilings to measure on a device, the one for small products first."""
    if capability < AMPERE:
        raise ValueError(f"backend cuda: got a GPU of compute capability {capability}, want {AMPERE} or later")
    return ON_HOPPER[width] if capability == HOPPER else ANY[width]


def multiply(
    width: str, operands: Digits, highest_a: torch.Tensor, highest_b: torch.Tensor, limit: int, out: torch.Tensor
) -> torch.Tensor:
    """The product of digits, [B, D, M, P] and [B, D, N, P] int8, written to out [B, M, N] float32."""
    a, b = operands
    work = a.shape[0] * a.shape[2] * b.shape[2] * a.shape[3]
    tilings = tilings_of(width, torch.cuda.get_device_capability(a.device))
    takes_residues = work >= LARGE and a.shape[3] <= residues.max_terms(limit)
    tilings = tuple(tiling for tiling in tilings if takes_residues or not tiling.residues)
    run = partial(product, width, operands, highest_a, highest_b, limit, out)
    if work < SMALL:
        return run(next(tiling for tiling in tilings if tiling.cluster == 1))
    return run(tuning.fastest(("cuda", width, limit, a.device, *a.shape, b.shape[2]), tilings, run))


def product(
    width: str,
    operands: Digits,
    highest_a: torch.Tensor,
    highest_b: torch.Tensor,
    limit: int,
    out: torch.Tensor,
    tiling: Tiling,
) -> torch.Tensor:
    """The product, cut in this way."""
    if tiling.residues:
        by_cuda = partial(multiply_residues, tiling)
        return residues.product(operands, highest_a, highest_b, limit, by_cuda, out)
    a, b = operands
    B, count, M, P = a.shape
    N = b.shape[2]
    wanted = -(-P // (tiling.splits * ALIGNMENT)) * ALIGNMENT
    terms = min(wanted, MAX_TERMS[width] // ALIGNMENT * ALIGNMENT)
    sums = torch.zeros((B, M, N), dtype=torch.int64, device=a.device) if terms < P else None
    _cuda.multiply(
        a=a.data_ptr(),
        b=b.data_ptr(),
        maxima_a=highest_a.data_ptr(),
        maxima_b=highest_b.data_ptr(),
        out=out.data_ptr(),
        sums=0 if sums is None else sums.data_ptr(),
        **{"batch": B, "M": M, "N": N, "P": P, "terms": terms, "digits": count, "qmax": limit},
        **{"tile": tiling.tile, "cluster": tiling.cluster, "stream": stream()},
    )
    return out if sums is None else finish(sums, highest_a, highest_b, limit, out)


def multiply_residues(tiling: Tiling, a: torch.Tensor, b: torch.Tensor, y: torch.Tensor) -> None:
    """The products of planes of residues [B, 8, M, P] and [B, 8, N, P], each modulo its own, to y [B, 8, M, N] int8."""
    B, count, M, P = a.shape
    _cuda.multiply_residues(
        a=a.data_ptr(),
        b=b.data_ptr(),
        out=y.data_ptr(),
        moduli=RESIDUES,
        **{"planes": B * count, "M": M, "N": b.shape[2], "P": P},
        **{"tile": tiling.tile, "cluster": tiling.cluster, "stream": stream()},
    )


def stream() -> int:
    """The address of torch's current stream, which these kernels join."""
    return torch.cuda.current_stream().cuda_stream


def about() -> str:
    """The device, its versions, and whether these sources, with those of Triton's kernels, are proven on a GPU."""
    return record.about("cuda")


OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    op: partial(function, multiply=multiply) for op, function in {"matmul": matmul, **conv.OPERATORS}.items()
}


def prepare(op: str, types: Sequence[TensorType], attributes: Attributes) -> Callable[..., torch.Tensor]:
    """As kernels.triton's, with products, those of convolutions among them, by CUDA."""
    return prepare_triton(op, types, attributes, {**TRITON, **OPERATORS})


def run(op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1) -> Array:
    """The operator's value on arrays, moved to the device and back."""
    return MEMORY.get(prepare(op, (), attributes)([MEMORY.put(x) for x in inputs], threads))
