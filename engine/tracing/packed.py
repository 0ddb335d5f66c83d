"""Recurrent layers over sequences of different lengths: every step of every sequence, kept where one has ended.

Lengths that are known while tracing are packed as torch packs them. Lengths that the batch gives leave the data padded,
[T * B, ...] of which nothing may be read but by a recurrent layer or `pad_packed_sequence(..., total_length=T)`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import rnn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.weak import WeakTensorKeyDictionary

from engine.tracing.errors import TraceError
from engine.tracing.known_values import known_value

Torch = Callable[..., Any]
Hidden = tuple[Tensor, ...]
LENGTHS = WeakTensorKeyDictionary()  # padded data [T * B, ...] -> the lengths [B] of its sequences


def pack(torchs: Torch, input: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
    """The data [sum of lengths, ...] and the sizes [T] of torch; data [T * B, ...] where no length is known."""
    x = input.transpose(0, 1) if batch_first else input
    known = known_value(lengths)
    if known is not None:
        with _disable_current_modes():
            sizes = torchs(torch.zeros(x.shape[:2]), known, False)[1].tolist()
        return torch.cat([x[t, :size] for t, size in enumerate(sizes)]), torch.tensor(sizes)
    T, B = x.shape[:2]
    if lengths.shape != (B,):
        raise TraceError(f"trace: pack_padded_sequence: got lengths of shape {tuple(lengths.shape)}, want ({B},)")
    data = torch.where(_mask(lengths, T, x.dim()), x, torch.zeros_like(x)).flatten(0, 1)
    return _marked(data, lengths), torch.full((T,), B)


def pad(
    torchs: Torch, data: Tensor, sizes: Tensor, batch_first: bool, padding: float, total: int
) -> tuple[Tensor, Tensor]:
    """The sequences [T, B, ...] with a number behind their ends, and their lengths."""
    padded, lengths = _padded(data, sizes)
    T = padded.shape[0]
    if total > T:
        padded = torch.cat([padded, padded.new_zeros(total - T, *padded.shape[1:])])
    padded = torch.where(_mask(lengths, total, padded.dim()), padded, torch.full_like(padded, padding))
    return padded.transpose(0, 1) if batch_first else padded, lengths


def _padded(data: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """data as [T, B, ...], and the lengths [B]."""
    counts: list[int] = sizes.tolist()
    if data in LENGTHS:
        return data.unflatten(0, (len(counts), counts[0])), LENGTHS[data]
    rows = [F.pad(part, (0, 0) * (part.dim() - 1) + (0, counts[0] - len(part))) for part in data.split(counts)]
    return torch.stack(rows), torch.tensor([sum(size > b for size in counts) for b in range(counts[0])])


def _packed(x: Tensor, sizes: Tensor, like: Tensor) -> Tensor:
    """x [T, B, ...] in the form of other data."""
    if like in LENGTHS:
        return _marked(x.flatten(0, 1), LENGTHS[like])
    return torch.cat([x[t, :size] for t, size in enumerate(sizes.tolist())])


def _marked(data: Tensor, lengths: Tensor) -> Tensor:
    LENGTHS[data] = lengths
    return data


def _mask(lengths: Tensor, T: int, rank: int) -> Tensor:
    """[T, B, 1, ...]: before the end of a sequence."""
    mask = torch.arange(T).unsqueeze(1) < lengths
    return mask.view(*mask.shape, *(1,) * (rank - 2))


# Layers


def lstm(torchs: Torch, *args: Any) -> tuple[Tensor, ...]:
    """Of packed data: as torch's, data, sizes, hidden states and their cells, weights and options."""
    if not _is_packed(args):
        return torchs(*args)
    data, sizes, hidden, *rest = args
    return _layers(_lstm_step, data, sizes, tuple(hidden), *rest)


def recurrent(step: Callable[..., Hidden]) -> Callable[..., Any]:
    """A layer with one hidden state."""

    def run(torchs: Torch, *args: Any) -> tuple[Tensor, ...]:
        if not _is_packed(args):
            return torchs(*args)
        data, sizes, hidden, *rest = args
        return _layers(step, data, sizes, (hidden,), *rest)

    return run


def _is_packed(args: Sequence[Any]) -> bool:
    """Packed data come with their sizes, so the weights are the fourth argument."""
    return isinstance(args[3], list | tuple)


def _layers(
    step: Callable[..., Hidden],
    data: Tensor,
    sizes: Tensor,
    hidden: Hidden,
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    directions = 2 if bidirectional else 1
    count = len(weights) // (num_layers * directions)
    ends: list[Hidden] = []
    for layer in range(num_layers):
        x, lengths = _padded(data, sizes)
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            own = weights[number * count : (number + 1) * count]
            y, end = _direction(step, x, lengths, tuple(h[number] for h in hidden), own, has_biases, direction == 1)
            outputs.append(y)
            ends.append(end)
        before, data = data, _packed(torch.cat(outputs, -1), sizes, data)
        if layer < num_layers - 1 and train and dropout:
            data = _packed_alike(F.dropout(data, dropout), before)
    return data, *(torch.stack(parts) for parts in zip(*ends, strict=True))


def _packed_alike(data: Tensor, like: Tensor) -> Tensor:
    return _marked(data, LENGTHS[like]) if like in LENGTHS else data


def _direction(
    step: Callable[..., Hidden],
    x: Tensor,
    lengths: Tensor,
    hidden: Hidden,
    weights: Sequence[Tensor],
    has_biases: bool,
    backward: bool,
) -> tuple[Tensor, Hidden]:
    """The outputs [T, B, H], zero behind a sequence's end, and the last hidden states."""
    T = x.shape[0]
    to_gates, from_hidden, *rest = weights
    bias, hidden_bias = rest[:2] if has_biases else (None, None)
    projection = rest[2 if has_biases else 0 :]
    gates, mask = F.linear(x, to_gates, bias), _mask(lengths, T, 3)
    outputs: list[Tensor] = []
    for t in reversed(range(T)) if backward else range(T):
        new = step(gates[t], F.linear(hidden[0], from_hidden, hidden_bias), hidden)
        new = (F.linear(new[0], *projection), *new[1:]) if projection else new
        hidden = tuple(torch.where(mask[t], n, h) for n, h in zip(new, hidden, strict=True))
        outputs.append(torch.where(mask[t], new[0], torch.zeros_like(new[0])))
    return torch.stack(outputs[::-1] if backward else outputs), hidden


def _lstm_step(x: Tensor, h: Tensor, hidden: Hidden) -> Hidden:
    i, f, g, o = (x + h).chunk(4, -1)
    cell = f.sigmoid() * hidden[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def gru_step(x: Tensor, h: Tensor, hidden: Hidden) -> Hidden:
    """Reset and update gates, and the new state between them."""
    (r, z, n), (of_r, of_z, of_n) = x.chunk(3, -1), h.chunk(3, -1)
    new = (n + (r + of_r).sigmoid() * of_n).tanh()
    return (new + (z + of_z).sigmoid() * (hidden[0] - new),)


def tanh_step(x: Tensor, h: Tensor, hidden: Hidden) -> Hidden:
    return ((x + h).tanh(),)


def relu_step(x: Tensor, h: Tensor, hidden: Hidden) -> Hidden:
    return ((x + h).relu(),)


# What may be read of a sequence whose lengths the batch gives


@contextmanager
def closed_sequences() -> Iterator[None]:
    """Nothing but a recurrent layer and `pad_packed_sequence` reads padded data as if they were packed."""
    sequence = rnn.PackedSequence
    with (
        patch.object(sequence, "data", property(lambda self: _read(self, 0))),
        patch.object(sequence, "batch_sizes", property(lambda self: _read(self, 1))),
        patch.object(sequence, "__getitem__", _read),
    ):
        yield


def _read(sequence: rnn.PackedSequence, index: Any) -> Any:
    if tuple.__getitem__(sequence, 0) in LENGTHS:
        reader = sys._getframe(2 if sys._getframe(1).f_code.co_filename == __file__ else 1)
        if reader.f_code is not rnn.pad_packed_sequence.__code__:
            raise TraceError(
                "trace: a packed sequence whose lengths are inputs has a shape that depends on values; read it by"
                " pad_packed_sequence(..., total_length=T) and weigh with a mask"
            )
        if reader.f_locals["total_length"] is None:
            raise TraceError(
                "trace: pad_packed_sequence: the longest of lengths that are inputs depends on values; give"
                " total_length, such as the padded length"
            )
    return tuple.__getitem__(sequence, index)
