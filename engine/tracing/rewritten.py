"""torch's functions that are traced as others, written here with the same arguments: their gradients follow.

A use that a rewriting does not cover reaches torch's function, and is refused with its name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from math import log, pi
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.complex_tensor import ComplexTensor
from torch.nn import attention

from engine.tracing.ctc import MEAN, SUM, ctc_loss
from engine.tracing.errors import TraceError
from engine.tracing.fourier import istft, stft
from engine.tracing.grid_sample import grid_sampler
from engine.tracing.hidden_state import REFUSED
from engine.tracing.own_decompositions import masked_scatter
from engine.tracing.packed import gru_step, lstm, pack, pad, recurrent, relu_step, tanh_step

Torch = Callable[..., Any]


@contextmanager
def rewritten(model: nn.Module) -> Iterator[None]:
    """The functions of REWRITTEN are ours, under every name that a file or a layer of the model has for them."""
    with ExitStack() as stack:
        replaced: dict[int, Any] = {}
        for owner, name, ours in (*REWRITTEN, *REFUSED):
            torchs = getattr(owner, name)
            new = ours if isinstance(ours, property) else _given(ours, torchs)
            stack.enter_context(patch.object(owner, name, new))
            if not isinstance(owner, type):
                replaced[id(torchs)] = new
        for holder in (*sys.modules.values(), *model.modules()):
            names = getattr(holder, "__dict__", {})
            for name, torchs in [(name, value) for name, value in names.items() if id(value) in replaced]:
                names[name] = replaced[id(torchs)]
                stack.callback(names.__setitem__, name, torchs)
        yield


def _given(ours: Callable[..., Any], torchs: Torch) -> Callable[..., Any]:
    """Ours as a function, which a class binds as its method."""
    return lambda *args, **kwargs: ours(torchs, *args, **kwargs)


def _embedding_bag(
    torchs: Torch,
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Bags of equal size: input [B, N] -> [B, E]."""
    if input.dim() != 2 or max_norm is not None or scale_grad_by_freq or (mode == "max" and padding_idx is not None):
        options = (offsets, max_norm, norm_type, scale_grad_by_freq, mode, sparse, per_sample_weights)
        return torchs(input, weight, *options, include_last_offset, padding_idx)
    rows = F.embedding(input, weight)
    if mode == "max":
        return rows.max(1).values
    counted = torch.ones(input.shape) if padding_idx is None else (input != padding_idx).float()
    if mode == "sum":
        return (rows * (counted * (1.0 if per_sample_weights is None else per_sample_weights)).unsqueeze(-1)).sum(1)
    return (rows * counted.unsqueeze(-1)).sum(1) / counted.sum(1, keepdim=True).clamp_min(1)


def _embedding(
    torchs: Torch,
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """With a gradient of all rows: a sparse one holds the same numbers."""
    return torchs(weight, indices, padding_idx, scale_grad_by_freq)


def _adaptive_max_pool2d(torchs: Torch, input: Tensor, output_size: int | Sequence[int]) -> tuple[Tensor, Tensor]:
    """Windows that differ in size are pooled one by one."""
    (H, W), (rows, cols) = input.shape[-2:], (output_size,) * 2 if isinstance(output_size, int) else output_size
    if H % rows == 0 and W % cols == 0:
        return torchs(input, output_size)
    found = [
        _max_of(input, H * i // rows, -(-H * (i + 1) // rows), W * j // cols, -(-W * (j + 1) // cols))
        for i in range(rows)
        for j in range(cols)
    ]
    values, places = (torch.stack(parts, -1).unflatten(-1, (rows, cols)) for parts in zip(*found, strict=True))
    return values, places


def _max_of(input: Tensor, top: int, bottom: int, left: int, right: int) -> tuple[Tensor, Tensor]:
    """The maximum of a window, and its place in the plane."""
    value, place = input[..., top:bottom, left:right].flatten(-2).max(-1)
    row = place.div(right - left, rounding_mode="floor")
    return value, (row + top) * input.shape[-1] + (place - row * (right - left)) + left


def _gaussian_nll_loss(
    torchs: Torch,
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """torch's own, but for its look at the sign of every variance."""
    var = torch.full_like(input, var) if isinstance(var, float) else var.clone()
    var = var.unsqueeze(-1) if var.shape == input.shape[:-1] else var
    with torch.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (var.log() + (input - target).square() / var) + (0.5 * log(2 * pi) if full else 0.0)
    return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]


def _grouped_mm(torchs: Torch, mat_a: Tensor, mat_b: Tensor, *, offs: Tensor | None = None, **options: Any) -> Tensor:
    """Each expert's rows [S, K] times its matrix [E, K, N], as a product of all rows that keeps the expert's own."""
    if offs is None or (mat_a.dim(), mat_b.dim()) != (2, 3):
        return torchs(mat_a, mat_b, offs=offs, **options)
    row, stops = torch.arange(len(mat_a)).unsqueeze(1), offs.unbind()
    total, start = mat_a.new_zeros(len(mat_a), mat_b.shape[2]), torch.zeros_like(stops[0])
    for weights, stop in zip(mat_b, stops, strict=True):
        total, start = torch.where((start <= row) & (row < stop), mat_a @ weights, total), stop
    return total


def _pdist(torchs: Torch, input: Tensor, p: float = 2) -> Tensor:
    """The distances of all pairs of rows."""
    first, second = torch.triu_indices(len(input), len(input), 1)
    return torch.linalg.vector_norm(input[first] - input[second], p, dim=-1)


def _multi_margin_loss(
    torchs: Torch,
    input: Tensor,
    target: Tensor,
    p: float = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: int = MEAN,
) -> Tensor:
    """How far every other class comes within the margin of the right one's score."""
    target = target.unsqueeze(-1)
    short = (margin - input.gather(-1, target) + input).clamp_min(0).pow(p)
    short = short if weight is None else short * weight[target]
    is_other = torch.arange(input.shape[-1]) != target
    loss = (short * is_other).mean(-1)
    return loss.mean() if reduction == MEAN else loss.sum() if reduction == SUM else loss


def _multilabel_margin_loss(torchs: Torch, input: Tensor, target: Tensor, reduction: int = MEAN) -> Tensor:
    """How far every class that is not among the right ones, [..., C] up to the first -1, comes within 1 of theirs."""
    is_named = (target >= 0).long().cumprod(-1)
    place = target.clamp_min(0)
    is_other = torch.zeros_like(target).scatter_add(-1, place, is_named) == 0
    short = (1 - input.gather(-1, place).unsqueeze(-1) + input.unsqueeze(-2)).clamp_min(0)
    counted = is_named.unsqueeze(-1) * is_other.unsqueeze(-2)
    loss = (short * counted).sum((-2, -1)) / input.shape[-1]
    return loss.mean() if reduction == MEAN else loss.sum() if reduction == SUM else loss


def _batch_norm(torchs: Torch, layer: nn.modules.batchnorm._BatchNorm, input: Tensor) -> Tensor:
    """A layer without momentum keeps the mean over all its steps, whose number torch would read as a Python number."""
    mean, var, steps = layer.running_mean, layer.running_var, layer.num_batches_tracked
    if layer.momentum is not None or not layer.training or mean is None or var is None or steps is None:
        return torchs(layer, input)
    layer._check_input_dim(input)
    steps.add_(1)
    batch_mean, batch_var = torch.zeros_like(mean), torch.zeros_like(var)
    result = F.batch_norm(input, batch_mean, batch_var, layer.weight, layer.bias, True, 1.0, layer.eps)
    share = 1.0 / steps
    mean.copy_(mean * (1 - share) + batch_mean * share)
    var.copy_(var * (1 - share) + batch_var * share)
    return result


def _masked_scatter_(torchs: Torch, input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    return input.copy_(masked_scatter(input, mask, source))


def _bincount(torchs: Torch, input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """Of numbers below minlength: another one is a fault."""
    if not minlength:
        return torchs(input, weights, minlength)
    ones = torch.ones_like(input, dtype=torch.int64) if weights is None else weights
    return torch.zeros(minlength, dtype=ones.dtype).scatter_add(0, input.long(), ones)


def _polar(torchs: Torch, abs: Tensor, angle: Tensor) -> Tensor:
    return torch.complex(abs * angle.cos(), abs * angle.sin())


def _real(x: Tensor) -> Tensor:
    """With its gradient, which a ComplexTensor's own has not."""
    return torch.view_as_real(x)[..., 0] if x.is_complex() else x


def _imag(x: Tensor) -> Tensor:
    return torch.view_as_real(x)[..., 1]


def _with_data(x: Tensor, value: Tensor) -> None:
    """x.data = value as a copy, which a graph shows."""
    if value.shape != x.shape or value.dtype != x.dtype:
        raise TraceError(
            f"trace: got {value.dtype} of shape {tuple(value.shape)} as data of {x.dtype} of shape {tuple(x.shape)}"
        )
    x.detach().copy_(value)


REWRITTEN: tuple[tuple[Any, str, Callable[..., Any] | property], ...] = (
    (nn.modules.batchnorm._BatchNorm, "forward", _batch_norm),
    (torch, "embedding", _embedding),
    (F, "embedding_bag", _embedding_bag),
    (F, "gaussian_nll_loss", _gaussian_nll_loss),
    (F, "grouped_mm", _grouped_mm),
    (torch, "_grouped_mm", _grouped_mm),
    (torch._C._nn, "adaptive_max_pool2d", _adaptive_max_pool2d),
    (F, "pdist", _pdist),
    (torch, "pdist", _pdist),
    (torch._C._nn, "multi_margin_loss", _multi_margin_loss),
    (torch._C._nn, "multilabel_margin_loss", _multilabel_margin_loss),
    (attention, "sdpa_kernel", lambda torchs, *args, **kwargs: nullcontext()),  # as written, whatever a model prefers
    (torch, "bincount", _bincount),
    (Tensor, "bincount", _bincount),
    (torch, "masked_scatter", lambda torchs, *args: masked_scatter(*args)),
    (Tensor, "masked_scatter", lambda torchs, *args: masked_scatter(*args)),
    (Tensor, "masked_scatter_", _masked_scatter_),
    (torch, "ctc_loss", ctc_loss),
    (torch._VF, "stft", stft),
    (torch._VF, "_pack_padded_sequence", pack),
    (torch._VF, "_pad_packed_sequence", pad),
    (torch._VF, "lstm", lstm),
    (torch._VF, "gru", recurrent(gru_step)),
    (torch._VF, "rnn_tanh", recurrent(tanh_step)),
    (torch._VF, "rnn_relu", recurrent(relu_step)),
    (torch, "istft", istft),
    (torch, "polar", _polar),
    (torch, "real", lambda torchs, x: _real(x)),
    (torch, "imag", lambda torchs, x: _imag(x)),
    (Tensor, "data", property(vars(torch._C.TensorBase)["data"].__get__, _with_data)),
    (ComplexTensor, "real", property(_real)),
    (ComplexTensor, "imag", property(_imag)),
    (torch, "grid_sampler", grid_sampler),
)
