"""Functions of a [4, 6] tensor that write, count and reduce by index: each is traced and compared with torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Function = Callable[[Tensor], Tensor]
tensor = torch.tensor
ROWS, ONCE = tensor([[0, 2, 0, 1], [3, 3, 3, 3]]), tensor([[5, 0, 2], [1, 4, 3]])


def written(x: Tensor, value: Tensor | float, *index: Tensor) -> Tensor:
    """A copy of x with values at an index."""
    y = x.clone()
    y[index] = value
    return y


def strided(x: Tensor) -> Tensor:
    y = x.clone()
    y.as_strided((3,), (7,)).mul_(2)
    return y.as_strided_((6, 4), (4, 1))


def positions(x: Tensor) -> Tensor:
    """Places that depend on the batch, some of them equal."""
    return (x.detach().abs() * 3).long() % 4


def tokens(x: Tensor) -> Tensor:
    """Some integers replaced by others, as a masked language model does."""
    found, is_chosen = positions(x), x > 0.3
    found[is_chosen] = positions(x.flip(0))[is_chosen]
    return found


def of_one_mask(x: Tensor) -> Tensor:
    some, rows = x > 0, x[:, 0] > 0
    emptied = x * 5
    value = emptied[some]
    emptied.zero_()
    return (
        written(x, value, some)
        + written(x, (x * 2).flip(1)[some], some)
        + written(x, (x * 3)[rows], rows)
        + x.index_put((some,), x.flip(0)[some])
        + x.index_put((some,), x.flip(0)[some], accumulate=True)
        + tokens(x)
    )


def reduced(how: str, include_self: bool) -> Function:
    def run(x: Tensor) -> Tensor:
        base, source = x * 0.5 + 1, x.flip(0) * torch.linspace(0.5, 2, 6)
        return base.scatter_reduce(0, positions(x), source, how, include_self=include_self)

    return run


def reduced_along(how: str) -> Function:
    return lambda x: (x + 2).index_reduce(1, tensor([0, 5, 0]), x[:, :3] * 2, how)


WRITES: dict[str, Function] = {
    "infinities by index": lambda x: written(x, -torch.inf, tensor([0, 2])).exp(),
    "one number twice": lambda x: written(x, 5.0, tensor([1, 1])),
    "large and small numbers": lambda x: written(x, x[:2] * tensor([[1e20], [1e-20]]), tensor([3, 0])).abs().log(),
    "large and small, scattered": lambda x: (
        torch.ones(4, 6).scatter(1, ONCE, x[:2, :3] * tensor([1e20, 1.0, 1e-20])).abs().log()
    ),
    "rows that the batch chooses": lambda x: written(x, x.flip(0) * 1e-3, positions(x)[:, 0]),
    "the last of equal rows": lambda x: written(x, x[1:], tensor([2, 0, 2])),
    "columns that the batch chooses": lambda x: (
        x.scatter(1, positions(x)[:, :2], 0.25) + x.scatter(1, positions(x)[:, :1], x[:, 1:2] * 1e-9)
    ),
    "integers": lambda x: (
        x * written((x * 3).long(), tensor([5, 1 << 40]), tensor([1, 2]), tensor([0, 0])).clamp(max=99)
        + (x > 0).scatter(1, ONCE, tensor([[True, False, True]] * 2))
    ),
    "integers, added": lambda x: (
        x * torch.zeros(6).long().index_add(0, tensor([1, 1, 3]), tensor([7, 8, 9]))
        + torch.zeros(4, 6).int().scatter_add(0, positions(x), (x * 9).int())
        + torch.ones(4, 6).long().scatter_reduce(0, positions(x), (x * 9).long(), "amax")
    ),
    "counts": lambda x: (
        x * torch.bincount(positions(x).flatten(), minlength=6)
        + positions(x)[:, 0].bincount(x.detach()[:, 0], minlength=6)
    ),
    "a histogram": lambda x: x + torch.histc(x.detach(), 6) + torch.histc(positions(x).float(), 6, 0, 5),
    "taken, put": lambda x: (
        x.take(tensor([[3, -1], [0, 0]])).sum() * torch.put(x, tensor([1, 8]), x[0, :2] * 2)
        + torch.put(x, tensor([1, 1]), x[0, :2], accumulate=True)
    ),
    "by a mask, as it is": lambda x: x + torch.ops.aten.masked_scatter(x, x > 0, x.flip(1)).detach(),
    "by a mask": lambda x: (
        x.masked_scatter(x.detach() > 0, x.flip(1) * 2) + torch.masked_scatter(x, tensor([True, False] * 3), x * 3)
    ),
    "of one mask": lambda x: x * of_one_mask(x.detach()),
    "rows of experts": lambda x: (
        F.grouped_mm(
            x.view(6, 4), torch.stack([x[:, :4], x[:, 2:] * 2, -x[:, 1:5]]), offs=tensor([1, 1, 6], dtype=torch.int32)
        )
        * 2.0
    ),
    "overlapping strides": lambda x: x.clone().as_strided((5, 4), (4, 2)) + x.clone().as_strided((4,), (1,), 5),
    "strides over views": lambda x: (
        x.t().as_strided((6, 4), (4, 1))
        + x[1:].as_strided((2, 2), (3, 1)).sum()
        + x[:, 2:].as_strided((4, 2), (6, 1)).sum() * 2
    ),
    "strides, written": lambda x: strided(x),
    **{
        f"reduced: {how}{', alone' * (not include_self)}": reduced(how, include_self)
        for how in ("sum", "mean", "prod", "amax", "amin")
        for include_self in (True, False)
    },
    **{f"reduced along an axis: {how}": reduced_along(how) for how in ("mean", "prod", "amax", "amin")},
}
