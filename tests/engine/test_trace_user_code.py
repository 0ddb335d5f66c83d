"""What models do that were not written for a tracer: the program follows plain torch, or is refused."""

from __future__ import annotations

import pytest
import torch
from small_nets import PAIRS, distance
from torch import Tensor, nn

from bench.plain_torch import job_of, require_equal
from engine.trace import TraceError, trace


class SameNames(nn.Module):
    """A parameter and a buffer that are called as the batch's fields are."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.linspace(-1, 1, 4))
        self.register_buffer("y", torch.linspace(1, 2, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.x + self.y


def test_a_parameter_may_be_called_as_a_field_is() -> None:
    require_equal(job_of(SameNames(), distance, PAIRS))


class TargetNetwork(nn.Module):
    """A slow copy of the trained weights, as momentum encoders and Q-learning keep one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fast, self.slow = nn.Linear(4, 4), nn.Linear(4, 4)
        self.slow.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.fast.parameters(), strict=True):
                slow.lerp_(fast, 0.1)
        return self.fast(x) + self.slow(x)


class BoundedWeights(nn.Module):
    """A loss that bounds the trained weights themselves, as Wasserstein critics do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight.data.clamp_(-0.2, 0.2)
        return self.layer(x)


@pytest.mark.parametrize("micro_batches", [1, 2])
@pytest.mark.parametrize("model", [TargetNetwork, BoundedWeights])
def test_parameters_that_the_loss_itself_changes(model: type[nn.Module], micro_batches: int) -> None:
    require_equal(job_of(model(), distance, PAIRS, micro_batches=micro_batches))


EDGES = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])


class Graph(nn.Module):
    """Edges and coordinates are plain tensors of the module and of the file."""

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1, 4))
        self.coordinates = torch.linspace(0, 1, size)

    def forward(self, x: Tensor) -> Tensor:
        sources, targets = EDGES
        return torch.zeros_like(x).index_add(1, targets, (x * self.scale)[:, sources]) + self.coordinates[-4:]


def test_plain_tensors_are_constants() -> None:
    require_equal(job_of(Graph(), distance, PAIRS))


class Counting(Graph):
    def forward(self, x: Tensor) -> Tensor:
        self.coordinates.view(2, 2)[0].add_(1)
        return super().forward(x)


class Filling(Graph):
    def forward(self, x: Tensor) -> Tensor:
        torch.add(self.coordinates, 1, out=self.coordinates)
        return super().forward(x)


class Parts(Graph):
    def forward(self, x: Tensor) -> Tensor:
        self.coordinates.chunk(2)[1].mul_(0.5)
        return super().forward(x)


class Together(Graph):
    def forward(self, x: Tensor) -> Tensor:
        torch._foreach_add_([self.coordinates], 1)
        return super().forward(x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Counting(), "aten.add_.Tensor changes a tensor that is no part of the model"),
        (Filling(), "aten.add.out changes a tensor that is no part of the model"),
        (Parts(), "aten.mul_.Tensor changes a tensor that is no part of the model"),
        (Together(), "aten.add_.Tensor changes a tensor that is no part of the model"),
        (Graph(2**20 + 1), "a tensor of 1048577 elements is no part of the model, want at most 1048576"),
    ],
)
def test_refuses_a_plain_tensor_that_is_no_constant(model: nn.Module, message: str) -> None:
    with pytest.raises(TraceError, match=rf"test_trace_user_code.py:\d+: {message}.*register_buffer"):
        trace(job_of(model, distance, PAIRS))


class Encoder(nn.Module):
    """torch's own transformer layers, with a causal mask and padding made in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        causal = nn.Transformer.generate_square_subsequent_mask(3)
        padding = torch.zeros(len(x), 3).masked_fill(x[:, :3] < -2, float("-inf"))
        return self.layers(torch.stack([x, 2 * x, -x], 1), mask=causal, src_key_padding_mask=padding).mean(1)


def test_transformer_layers_with_masks() -> None:
    require_equal(job_of(Encoder(), distance, PAIRS))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_a_compiled_model_runs_as_written() -> None:
    require_equal(job_of(torch.compile(Encoder(), backend="eager"), distance, PAIRS))


class Replaced(nn.Module):
    """Buffers that are assigned and not written to, and data that are assigned."""

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.size = nn.Linear(4, 4), size
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = (self.mean * 0.9 + x.detach().mean(0))[: self.size]
        self.calls = self.calls + 1
        self.scale.data = self.scale.data * 0.5
        self.layer.weight.data = self.layer.weight.data.clamp(-0.3, 0.3)
        return self.layer(x) * self.scale + self.mean * self.calls


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_buffers_and_data_that_are_replaced_are_the_next_state(micro_batches: int) -> None:
    require_equal(job_of(Replaced(), distance, PAIRS, micro_batches=micro_batches))


class NewParameter(Replaced):
    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight = nn.Parameter(self.layer.weight * 0.5)
        return self.layer(x)


def test_refuses_state_of_another_form_and_new_parameters() -> None:
    with pytest.raises(
        TraceError, match=r"leaves torch.float32 of shape \(1,\) as buffer mean, want .* \(4,\) as before"
    ):
        trace(job_of(Replaced(1), distance, PAIRS))
    with pytest.raises(
        TraceError, match=r"another tensor in the place of parameter layer\.weight; write to it in place"
    ):
        trace(job_of(NewParameter(), distance, PAIRS))


class Table(nn.Module):
    """A table that the first call makes, and a number of calls."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.calls, self.table = nn.Linear(4, 4), 0, None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.table is None:
            self.table = torch.arange(4.0).cos()
        return self.layer(x) * self.table


def test_what_a_step_keeps_on_its_modules_is_not_kept_by_tracing() -> None:
    model = Table()
    require_equal(job_of(model, distance, PAIRS))
    assert model.calls == 0 and model.table is None


class Hooked(nn.Module):
    """Its first call adds a hook to its layer, and notes so."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.is_hooked, self.made = nn.Linear(4, 4), False, dict[int, Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_hooked:
            self.layer.register_forward_hook(lambda layer, operands, result: 2 * result)
            self.is_hooked = True
        return self.layer(x) * self.made.setdefault(4, torch.arange(4.0))


def test_hooks_and_tables_of_the_first_call_are_not_kept_twice() -> None:
    model = Hooked()
    require_equal(job_of(model, distance, PAIRS))
    assert not model.is_hooked and not model.layer._forward_hooks and not model.made


class Rotary(nn.Module):
    """Positions as rotations, written with complex numbers; the frequencies are a plain tensor or made in the pass."""

    def __init__(self, is_made_in_pass: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.q = nn.Linear(2, 4)
        self.frequencies = None if is_made_in_pass else self.made()

    @staticmethod
    def made() -> Tensor:
        angles = torch.outer(torch.arange(2.0), torch.tensor([1.0, 0.01]))
        return torch.polar(torch.ones_like(angles), angles)

    def forward(self, x: Tensor) -> Tensor:
        frequencies = self.made() if self.frequencies is None else self.frequencies
        q = torch.view_as_complex(self.q(x.view(-1, 2, 2)).float().reshape(-1, 2, 2, 2))
        turned = torch.view_as_real(q * frequencies.view(1, 2, 2)).flatten(2)
        return turned.sum(1) + (q * q.conj()).real.sum((1, 2))[:, None] + q.abs().sum((1, 2))[:, None]


@pytest.mark.parametrize("is_made_in_pass", [False, True])
def test_complex_numbers(is_made_in_pass: bool) -> None:
    require_equal(job_of(Rotary(is_made_in_pass), distance, PAIRS))
