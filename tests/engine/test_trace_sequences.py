"""Packed sequences: lengths that are known are packed as torch packs them, lengths of the batch are masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from bench.plain_torch import job_of, require_equal
from engine.trace import TraceError, trace
from engine.tracing.job_file import JobFile

B, T, C = 4, 5, 3
RNG = np.random.default_rng(7)
DATA = {
    "x": RNG.standard_normal((12, T, C)).astype(np.float32),
    "lengths": RNG.integers(1, T + 1, 12),
    "y": RNG.standard_normal((12, 2)).astype(np.float32),
}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "LSTM": lambda: nn.LSTM(C, 2, batch_first=True),
    "LSTM of two layers and directions": lambda: nn.LSTM(C, 4, 2, bidirectional=True, dropout=0.0),
    "LSTM, projected": lambda: nn.LSTM(C, 4, 2, proj_size=2, bias=False),
    "GRU": lambda: nn.GRU(C, 3, 2, bidirectional=True, batch_first=True),
    "RNN": lambda: nn.RNN(C, 3, bidirectional=True),
    "RNN of ReLU": lambda: nn.RNN(C, 3, 2, nonlinearity="relu", bias=False),
}
Read = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Reader(nn.Module):
    """A recurrent layer that is read by a function of (layer, x, lengths)."""

    def __init__(self, make: Callable[[], nn.Module], read: Read) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.read = make(), read
        self.scale = nn.Parameter(torch.tensor([0.7, -1.2]))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.read(self.layer, x, lengths)[:, None] * self.scale


def distance(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.mse_loss(model(batch["x"], batch["lengths"]), batch["y"])


def reading(model: nn.Module, data: dict[str, Any] = DATA) -> JobFile:
    return job_of(model, distance, data, optimizer=torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))


def run(layer: Any, packed: PackedSequence) -> tuple[PackedSequence, tuple[Tensor, ...]]:
    output, hidden = layer(packed)
    return output, hidden if isinstance(hidden, tuple) else (hidden,)


def padded(layer: Any, x: Tensor, lengths: Any, is_sorted: bool, total: int | None) -> Tensor:
    """[B]: of the outputs, behind their ends too, the lengths and the hidden states."""
    x = x if layer.batch_first else x.transpose(0, 1)
    output, hidden = run(layer, pack_padded_sequence(x, lengths, layer.batch_first, is_sorted))
    y, found = pad_packed_sequence(output, layer.batch_first, padding_value=0.25, total_length=total)
    y = y if layer.batch_first else y.transpose(0, 1)
    return y.cumsum(1).sin().sum((1, 2)) / found + sum(h.sin().sum((0, 2)) for h in hidden)


@pytest.mark.parametrize("name", LAYERS)
def test_lengths_of_the_batch_are_masked(name: str) -> None:
    require_equal(reading(Reader(LAYERS[name], lambda *given: padded(*given, False, T))))


@pytest.mark.parametrize("name", LAYERS)
def test_known_lengths_are_packed(name: str) -> None:
    def read(layer: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        return padded(layer, x, torch.tensor([2, 4, 1, 4]), False, None) + padded(layer, x, [4, 4, 3, 1], True, 7)

    require_equal(reading(Reader(LAYERS[name], read)))


def test_packed_data_of_known_lengths_may_be_read() -> None:
    def read(layer: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_sequence([x[0], x[1, :3], x[2, :2], x[3, :2]])
        thinned = PackedSequence(F.dropout(packed.data, 0.4), packed.batch_sizes)
        output, _ = run(layer, thinned)
        return output.data.square().mean() * x[:, 0, 0] + output.batch_sizes.sum()

    require_equal(reading(Reader(LAYERS["GRU"], read)))


def test_dropout_between_layers_of_known_lengths_draws_torchs_numbers() -> None:
    def read(layer: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        return padded(layer, x, [5, 3, 3, 2], True, None)

    require_equal(reading(Reader(lambda: nn.LSTM(C, 4, 3, dropout=0.4, bidirectional=True), read)))


def test_a_first_hidden_state_is_a_parameter() -> None:
    class Started(nn.GRU):
        def __init__(self) -> None:
            super().__init__(C, 2, batch_first=True)
            self.first = nn.Parameter(torch.tensor([0.3, -0.5]))

        def forward(self, packed: PackedSequence) -> Any:  # type: ignore[override]
            return super().forward(packed, self.first.expand(1, B, 2).contiguous())

    require_equal(reading(Reader(Started, lambda *given: padded(*given, False, T))))


def test_what_lies_behind_the_end_of_a_sequence_changes_nothing() -> None:
    hidden = np.where(np.arange(T) < DATA["lengths"][:, None], 0, np.nan).astype(np.float32)
    data = {**DATA, "x": DATA["x"] + hidden[..., None]}
    require_equal(reading(Reader(LAYERS["LSTM"], lambda *given: padded(*given, False, T)), data))


def without_total(layer: Any, x: Tensor, lengths: Tensor) -> Tensor:
    return padded(layer, x, lengths, False, None)


def of_data(layer: Any, x: Tensor, lengths: Tensor) -> Tensor:
    return pack_padded_sequence(x, lengths, True, False).data.sum()[None]


def of_item(layer: Any, x: Tensor, lengths: Tensor) -> Tensor:
    return pack_padded_sequence(x, lengths, True, False)[0].sum()[None]


def of_sizes(layer: Any, x: Tensor, lengths: Tensor) -> Tensor:
    return run(layer, pack_padded_sequence(x, lengths, True, False))[0].batch_sizes.sum()[None]


def unsorted(layer: Any, x: Tensor, lengths: Tensor) -> Tensor:
    return padded(layer, x, [2, 4, 4, 1], True, None)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            without_total,
            "pad_packed_sequence: the longest of lengths that are inputs depends on values; give total_length",
        ),
        (of_data, "a packed sequence whose lengths are inputs has a shape that depends on values; .*total_length=T"),
        (of_item, "a packed sequence whose lengths are inputs has a shape that depends on values; .*total_length=T"),
        (of_sizes, "a packed sequence whose lengths are inputs has a shape that depends on values; .*total_length=T"),
        (unsorted, "enforce_sorted"),
    ],
)
def test_refuses_to_read_what_depends_on_lengths_of_the_batch(read: Read, message: str) -> None:
    with pytest.raises(TraceError, match=message) as caught:
        trace(reading(Reader(LAYERS["LSTM"], read)))
    assert "test_trace_sequences.py:" in str(caught.value)
