"""What cannot be traced is refused by name: the operator, the user's file and line, what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from small_nets import Net, X, squares
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.plain_torch import job_of, require_equal, run_program
from engine.trace import TraceError, trace, trace_job


class Branches(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) if x.sum() > 0 else -self.line(x)


class TakesItem(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) * x.mean().item()


class Unknown(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(torch.special.i0(x))


class ConcatenatedTargets(Net):
    def forward(self, x: Tensor) -> Tensor:
        return F.ctc_loss(self.line(x)[:, None].log_softmax(2), torch.ones(1).long(), (4,), (1,))


class Transformed(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) * torch.fft.rfft(x, n=257).abs().sum()


class WritesParts(Net):
    def forward(self, x: Tensor) -> Tensor:
        turned = torch.view_as_complex(x.view(4, 3, 2).clone())
        torch.view_as_real(turned)[:, 0].mul_(2)
        return self.line(torch.view_as_real(turned).flatten(1))


class Strided(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x[1:].as_strided((4, 6), (6, 1), 0))


class Renormed(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) + F.embedding(torch.zeros(4).long(), x.clone(), max_norm=1.0).sum()


class SingularValues(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) * torch.linalg.svdvals(x).sum()


class Large(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) + torch.linalg.cholesky(torch.eye(65) * x.square().sum()).sum()


class Volumes(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) + F.grid_sample(x.view(1, 2, 3, 2, 2), x[:3].view(1, 1, 1, 6, 3), align_corners=True).sum()


class BooleanIndex(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) + self.line(x)[x[:, 0] > 0].sum()


class BooleanWrite(Net):
    def forward(self, x: Tensor) -> Tensor:
        return x.index_put((x > 0,), (self.line(x) * x)[x > 0]).sum() + self.line(x)


class WrongShape(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x[:, :5])


class Doubles(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x.double().float())


class OwnGenerator(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x + torch.rand(x.shape, generator=torch.Generator()))


class PoissonSample(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) * torch.distributions.Poisson(1.0).sample()


class Dropped(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) if torch.rand(()) < 0.5 else x[:, :1]


class NoDerivative(Net):
    def forward(self, x: Tensor) -> Tensor:
        return torch.igamma(self.line(x).exp(), x[:, :1].exp())


class Queue(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) + x[int(self.place.add_(1))].sum()


REFUSALS = [
    (Dropped, r"nothing may depend on values.*a layer that is dropped at random by x \+ keep \* layer\(x\)"),
    (NoDerivative, "derivative for 'igamma: input' is not implemented"),
    (Queue, r"nothing may depend on values.*a place in a buffer by a tensor of indices \(index_copy, x\[index\]\)"),
    (Branches, "torch.where"),
    (TakesItem, "_local_scalar_dense.*item"),
    (Unknown, "aten.i0.default has no rule.*docs/operators-of-torch.md"),
    (ConcatenatedTargets, "ctc_loss"),
    (Transformed, "fft: got a length with a factor of 257, want factors of at most 256; pad"),
    (WritesParts, "aten.mul_.Tensor writes to the parts of a complex tensor; write complex numbers"),
    (Strided, "as_strided: got places outside the tensor itself, want strides within it"),
    (Renormed, "aten.embedding_renorm.default has no rule; .*scale the rows"),
    (SingularValues, "aten._linalg_svd.default has no rule; .*before the run"),
    (Large, "cholesky: got matrices of 65 rows, want at most 64"),
    (Volumes, "aten.grid_sampler_3d.default has no rule; .*two axes"),
    (BooleanIndex, "torch.where.*boolean indexing"),
    (BooleanWrite, "the shape of the result depends on values; use a dense form: torch.where"),
    (WrongShape, "shapes of the batch"),
    (Doubles, "torch.float64, want float32.*cast first"),
    (OwnGenerator, "generator of its own.*seed"),
    (PoissonSample, "aten.poisson.default.*draw with"),
]


@pytest.mark.parametrize(("net", "message"), REFUSALS)
def test_what_cannot_be_traced_is_refused_with_its_line_and_a_suggestion(net: type[Net], message: str) -> None:
    line = net.forward.__code__.co_firstlineno + (2 if net is WritesParts else 1)
    with pytest.raises(TraceError, match=message) as caught:
        trace(job_of(net(), squares, {"x": X}))
    assert f"{Path(__file__).name}:{line}" in str(caught.value)


class HalfWeights(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x.to(self.line.weight.dtype)).float()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_load_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    whole = Net().to(dtype).state_dict()
    job = trace(job_of(HalfWeights().to(dtype), squares, {"x": X}))
    save_file(whole, tmp_path / "weights.safetensors")
    model = Net()
    model.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    plain = trace(job_of(model, squares, {"x": X}))
    for name, tensor in whole.items():
        for start in (job.start_state, plain.start_state):
            assert start[f"parameter.{name}"].tobytes() == tensor.float().numpy().tobytes()
    half, full = (float(run_program(traced)[0][0]["loss"]) for traced in (job, plain))
    assert abs(half / full - 1) < 1e-3  # the casts are dropped, the products are narrow


def test_other_half_precision_state_is_refused() -> None:
    model = Net()
    model.register_buffer("scale", torch.ones(1, dtype=torch.float16))
    with pytest.raises(TraceError, match=r"buffer\.scale is torch\.float16.*model\.float\(\)"):
        trace(job_of(model, squares, {"x": X}))


def test_checkpointing_without_the_random_state_is_refused_over_dropout() -> None:
    def forgets(line: nn.Module, x: Tensor) -> Tensor:
        return checkpoint(lambda x: line(F.dropout(x, 0.5)), x, use_reentrant=False, preserve_rng_state=False)

    with pytest.raises(TraceError, match="preserve_rng_state=True"):
        trace(job_of(Net(forgets), squares, {"x": X}))


def test_checkpointing_without_the_random_state_is_right_where_nothing_is_random() -> None:
    def forgets(line: nn.Module, x: Tensor) -> Tensor:
        return checkpoint(lambda x: line(torch.sin(x)), x, use_reentrant=False, preserve_rng_state=False)

    require_equal(job_of(Net(forgets), squares, {"x": X}))


BAD_NAMES: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 5, "micro_batches": 2}, "2 micro_batches of a batch_size of 5"),
    ({"batch_size": 0}, "batch_size is 0, want a positive int"),
    ({"width": "huge"}, "width 'huge', want one of default, strict"),
    ({"seed": -1}, "seed is -1"),
    ({"clip_norm": 0}, "clip_norm is 0"),
    ({"learning_rate": lambda step: float("nan")}, r"learning_rate\(0\) gave nan"),
    ({"window": 3}, r"shape \(20, 6\), want a stream"),
    ({"data": {"x": X.astype(np.float64)}}, "is float64, want uint8"),
    ({"data": {"x": X, "y": X[:3]}}, "same number in each field"),
    ({"data": {"step": X}}, "field 'step'"),
    ({"data": {}}, "want a dict"),
    ({"loss": lambda model, batch: model(batch["x"])}, r"a tensor of shape \(4, 1\) as 'loss'"),
    ({"loss": lambda model, batch: {"error": model(batch["x"]).sum()}}, "want an entry 'loss'"),
    ({"loss": lambda model, batch: batch["x"].sum()}, "does not depend on any parameter"),
]


@pytest.mark.parametrize(("names", "message"), BAD_NAMES)
def test_a_wrong_name_in_a_job_file_is_refused(names: dict[str, Any], message: str) -> None:
    values = {"model": Net(), "loss": squares, "data": {"x": X}, **names}
    with pytest.raises(TraceError, match=message):
        trace(job_of(**values))


def test_a_job_file_without_its_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_text("model = None\n")
    with pytest.raises(TraceError, match="got no loss, optimizer, data, batch_size, steps"):
        trace_job(path)
    with pytest.raises(TraceError, match="want a Python file"):
        trace_job(tmp_path / "absent.py")
