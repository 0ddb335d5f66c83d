"""Reading and adding at indices, sorting and pooling, as kernels/spec/indexing.py defines them.

Additions are of int64, which commute, so atomic order cannot change a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from kernels.spec.window import places_of
from kernels.triton.elementwise import binary, wrapped
from kernels.triton.faults import require
from kernels.triton.reduction import FRACTION_BITS, order_key, quantised, rounded
from kernels.triton.scale import maxima
from kernels.types import Fault

Pair = Sequence[int]


def checked(op: str, index: torch.Tensor, size: int) -> torch.Tensor:
    """The index; a fault at the lowest element that is outside [0, size)."""
    if size == 0 and index.numel():
        raise Fault(op, 0, "index into nothing")
    outside = (index < 0) | (index >= size)
    if require(op, outside, lambda i: f"index {int(index.reshape(-1)[i])} is outside [0, {size})"):
        return index
    return torch.where(outside, 0, index)


def take_rows(table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The rows of a table at the given indices."""
    safe = checked("take_rows", ids, table.shape[0])
    return wrapped(lambda t: t[safe])(table)


def gather(x: torch.Tensor, index: torch.Tensor, axis: int) -> torch.Tensor:
    """The elements of x at the given indices along axis."""
    safe = checked("gather", index, x.shape[axis])
    return wrapped(lambda t: torch.gather(t, axis, safe))(x)


def added(
    base: torch.Tensor, source: torch.Tensor, count: int, scatter: Callable[[torch.Tensor, torch.Tensor], object]
) -> torch.Tensor:
    """base plus the exact sums of the source, quantised at one scale; scatter adds integers to a total in place."""
    bits = min(FRACTION_BITS, 62 - count.bit_length())
    row = source.reshape(1, -1)
    highest = maxima(row[None])[0]
    total = torch.zeros(base.shape, dtype=torch.int64, device=base.device)
    scatter(total, quantised(row.contiguous(), highest, bits).reshape(source.shape))
    return binary(base, rounded(total.reshape(1, -1), highest, bits).reshape(base.shape), "add")


def add_rows(base: torch.Tensor, ids: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The base plus, at each row, the sum of the rows that have its index."""
    flat = checked("add_rows", ids, base.shape[0]).reshape(-1)

    def scatter(total: torch.Tensor, integers: torch.Tensor) -> None:
        total.index_add_(0, flat, integers.reshape(flat.shape[0], *base.shape[1:]))

    return added(base, rows, ids.numel(), scatter)


def scatter_add(base: torch.Tensor, index: torch.Tensor, source: torch.Tensor, axis: int) -> torch.Tensor:
    """The base plus, at each element, the sum of the source elements whose index along axis is its own."""
    safe = checked("scatter_add", index, base.shape[axis])
    return added(base, source, source.shape[axis], lambda total, q: total.scatter_add_(axis, safe, q))


def argsort(x: torch.Tensor, axis: int, descending: bool) -> torch.Tensor:
    """The stable permutation that sorts x along axis; a NaN is above everything."""
    key = order_key(x, zeros_equal=True)
    return torch.argsort(~key if descending else key, dim=axis, stable=True)


def max_pool_index(x: torch.Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> torch.Tensor:
    """The flat index h * W + w of each window's first NaN, else of the first of its largest elements."""
    P, Q = places_of(x.shape[2:], kernel, stride, padding, dilation)
    H, W = x.shape[2:]
    key = order_key(x, zeros_equal=True)
    result = torch.full((*x.shape[:2], P, Q), -1, dtype=torch.int64, device=x.device)
    best = torch.zeros_like(result)
    for r in range(kernel[0]):
        h = torch.arange(P, device=x.device)[:, None] * stride[0] - padding[0] + r * dilation[0]
        for s in range(kernel[1]):
            w = torch.arange(Q, device=x.device)[None, :] * stride[1] - padding[1] + s * dilation[1]
            inside = (h >= 0) & (h < H) & (w >= 0) & (w < W)
            found = key[:, :, torch.where(inside, h, 0), torch.where(inside, w, 0)]
            wins = inside & ((result < 0) | (found > best))
            result, best = torch.where(wins, h * W + w, result), torch.where(wins, found, best)
    return result


OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    "take_rows": take_rows,
    "add_rows": add_rows,
    "gather": gather,
    "scatter_add": scatter_add,
    "argsort": argsort,
    "max_pool_index": max_pool_index,
}
