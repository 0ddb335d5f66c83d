"""Tracing: the same program from every process, random numbers by call site, widths by the rule, clear refusals."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import examples
from bench.plain_torch import BACKEND, batches_of, job_of, require_equal, run_program
from engine.encoding import program_from_bytes, program_hash, program_to_bytes
from engine.program import Program
from engine.trace import TraceError, trace, trace_job
from kernels import spec

EXAMPLES = Path(examples.__file__).parent
ROOT = EXAMPLES.parent
X = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
LABELS = np.arange(20) % 3


def squares(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.mse_loss(model(batch["x"]), batch["x"][:, :1])


def sites(program: Program) -> list[int]:
    return [node.attributes["site"] for node in program.nodes if node.op == "random_bits"]


HASHES = """
import sys, torch
torch.set_num_threads(int(sys.argv[1]))
from engine.encoding import program_hash
from engine.trace import trace_job
for name in ("gpt_text", "digits"):
    print(program_hash(trace_job(f"examples/{name}.py").program).hex())
"""


def test_a_program_does_not_depend_on_the_process_its_hash_seed_or_its_threads() -> None:
    def hashes(hash_seed: str, threads: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", HASHES, threads]
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

    assert len(hashes("1", "1").split()) == 2
    assert hashes("1", "1") == hashes("2", "2")


@pytest.mark.parametrize("name", ["gpt_text", "digits", "diffusion"])
def test_a_traced_program_survives_its_bytes(name: str) -> None:
    program = trace_job(EXAMPLES / f"{name}.py").program
    assert program_hash(program_from_bytes(program_to_bytes(program))) == program_hash(program)


def test_a_step_gives_the_same_bytes_on_the_spec() -> None:
    job = trace_job(EXAMPLES / "digits.py", {"steps": 1})
    fast, state = run_program(job, BACKEND)
    slow, expected = run_program(job, "spec")
    assert fast[0]["loss"].tobytes() == slow[0]["loss"].tobytes()
    assert all(state[name].tobytes() == expected[name].tobytes() for name in expected)


def test_a_file_finds_the_names_that_were_set_before_it_ran(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(b"ab" * 200)
    job = trace_job(EXAMPLES / "gpt_text.py", {"text_file": str(text), "steps": 2})
    assert job.start_state["parameter.token.weight"].shape == (2, 64) and job.steps == 2


def test_the_shipped_data_is_what_its_origin_says() -> None:
    expected = {
        "python_library.txt": "1653952940ac3505021a457c1e5b87169deee13af60c3867ace58a86f894fae4",
        "optdigits.safetensors": "2d40a4e7509d20f1e184f8368ff3b926a69d46ba205d307cb8453bc4900348a2",
    }
    for name, digest in expected.items():
        assert hashlib.sha256((EXAMPLES / "data" / name).read_bytes()).hexdigest() == digest
        assert name in (EXAMPLES / "data" / "ORIGIN.md").read_text()


class Net(nn.Module):
    """A line of a network, wrapped by what a test does to it."""

    def __init__(self, forward: Any = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line, self.wrapped = nn.Linear(6, 1), forward

    def forward(self, x: Tensor) -> Tensor:
        return self.wrapped(self.line, x) if self.wrapped else self.line(x)


# Random numbers


def test_every_call_draws_from_a_site_of_its_own() -> None:
    job = job_of(Net(lambda line, x: line(F.dropout(F.dropout(x, 0.5), 0.5))), squares, {"x": X})
    assert sites(require_equal(job).program) == [0, 1]


def test_recomputation_sees_the_same_numbers() -> None:
    def inner(line: nn.Module, x: Tensor) -> Tensor:
        return line(F.dropout(torch.sin(x * line.weight), 0.5))

    def checkpointed(line: nn.Module, x: Tensor) -> Tensor:
        return checkpoint(inner, line, F.dropout(x, 0.5), use_reentrant=False)

    plain = Net(lambda line, x: inner(line, F.dropout(x, 0.5)))
    with_checkpoint = require_equal(job_of(Net(checkpointed), squares, {"x": X}))
    assert sites(with_checkpoint.program) == [0, 1]
    assert program_hash(with_checkpoint.program) == program_hash(trace(job_of(plain, squares, {"x": X})).program)


def test_micro_batches_draw_different_numbers_from_the_same_sites() -> None:
    job = job_of(Net(lambda line, x: line(F.dropout(x, 0.5))), squares, {"x": X}, micro_batches=2)
    program = require_equal(job).program
    assert sites(program) == [0, 0]
    assert len({node.operands[2] for node in program.nodes if node.op == "random_bits"}) == 2


@pytest.mark.parametrize(
    "draw",
    [
        torch.rand_like,
        torch.randn_like,
        lambda x: torch.rand(x.shape),
        lambda x: torch.randn(4, 6),
        lambda x: torch.randint(0, 7, x.shape).float(),
        lambda x: torch.randint(5, (4, 6)),
        lambda x: torch.bernoulli(torch.full_like(x, 0.25)),
        lambda x: torch.empty_like(x).uniform_(-1, 1),
        lambda x: torch.empty_like(x).normal_(1, 2),
        lambda x: torch.randperm(6),
        lambda x: F.dropout1d(x[:, :, None], 0.5)[:, :, 0],
        lambda x: F.alpha_dropout(x, 0.3),
    ],
)
def test_random_operators_draw_the_programs_numbers(draw: Any) -> None:
    require_equal(job_of(Net(lambda line, x: line(x + draw(x) * 0.1)), squares, {"x": X}))


def test_uniform_numbers_are_uniform() -> None:
    class Draw(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.line(x).mean() * 0 + torch.rand(100, 100).mean()

    job = trace(job_of(Draw(), lambda model, batch: model(batch["x"]), {"x": X}))
    means = [float(m["loss"]) for m in run_program(job)[0]]
    assert len(set(means)) == 3 and all(abs(mean - 0.5) < 0.01 for mean in means)


# What a program holds


def test_a_parameter_without_gradient_stays() -> None:
    model = Net()
    model.unused, model.frozen = nn.Linear(2, 2), nn.Linear(6, 6)  # type: ignore[assignment]
    model.frozen.requires_grad_(False)
    model.wrapped = lambda line, x: line(model.frozen(x))
    job = job_of(model, squares, {"x": X}, optimizer=torch.optim.AdamW(model.parameters(), lr=0.1))
    traced = require_equal(job)
    after = run_program(traced)[1]
    for name in ("unused.weight", "frozen.weight"):
        assert after[f"parameter.{name}"].tobytes() == traced.start_state[f"parameter.{name}"].tobytes()


def test_masks_that_depend_on_no_input_are_constants() -> None:
    program = trace_job(EXAMPLES / "gpt_text.py", {"steps": 1}).program
    assert not [node for node in program.nodes if node.op == "iota"]
    assert max(constant.type.size for constant in program.constants) <= 2**14


def test_a_large_mask_stays_arithmetic() -> None:
    def masked(line: nn.Module, x: Tensor) -> Tensor:
        return line(x) + torch.ones(200, 200).triu()[:4, :1]

    program = trace(job_of(Net(masked), squares, {"x": X})).program
    assert sum(len(constant.data) for constant in program.constants) < 2**18


def test_equal_subexpressions_are_computed_once() -> None:
    program = trace(job_of(Net(lambda line, x: line(x.exp()) + line(x.exp())), squares, {"x": X})).program
    assert [node.op for node in program.nodes].count("exp") == 1
    assert [node.op for node in program.nodes].count("matmul") == 2


def test_a_node_that_can_fault_is_kept() -> None:
    def looks_up(line: nn.Module, x: Tensor) -> Tensor:
        line.weight[:, x[:, 0].abs().long()]
        return line(x)

    program = trace(job_of(Net(looks_up), squares, {"x": X})).program
    assert not [node for node in program.nodes if node.op == "exp"]
    used = {operand for node in program.nodes for operand in node.operands} | {o.value for o in program.outputs}
    dead = [node.op for number, node in program.numbered_nodes() if number not in used]
    assert dead and all(spec.OPERATORS[op].can_fault for op in dead)


# Widths


def classify(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch["x"]), batch["y"])


def products(width: str, model: nn.Module) -> list[tuple[tuple[int, ...], str]]:
    program = trace(job_of(model, classify, {"x": X, "y": LABELS}, width=width)).program
    types = program.types
    return [(types[n].shape, node.attributes["width"]) for n, node in program.numbered_nodes() if node.op == "matmul"]


def test_the_head_and_its_gradients_are_wide_and_the_rest_narrow() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    found = products("default", model)
    assert sorted(shape for shape, width in found if width == "wide") == [(3, 5), (4, 3), (4, 5)]
    assert sorted(shape for shape, width in found if width == "narrow") == [(4, 5), (5, 6)]


def test_strict_makes_every_product_wide() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    assert {width for _, width in products("strict", model)} == {"wide"}


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = torch.tanh(self.first(x))
        return self.head(torch.tanh(self.second(x.float())))


def test_autocast_makes_its_products_narrow_and_drops_its_casts() -> None:
    found = products("strict", Autocast())
    assert [shape for shape, width in found if width == "narrow"] == [(4, 5), (5, 6)]
    program = trace(job_of(Autocast(), classify, {"x": X, "y": LABELS})).program
    assert {program.types[n].dtype for n, _ in program.numbered_nodes()} <= {"float32", "int64", "bool"}


# Refusals


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


class WrongShape(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x[:, :5])


class Doubles(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x.double().float())


class OwnGenerator(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x + torch.rand(x.shape, generator=torch.Generator()))


class GammaSample(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) * torch.distributions.Gamma(1.0, 1.0).sample()


REFUSALS = [
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
    (WrongShape, "shapes of the batch"),
    (Doubles, "torch.float64, want float32.*cast first"),
    (OwnGenerator, "generator of its own.*seed"),
    (GammaSample, "aten._standard_gamma.default.*draw with"),
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


def test_records_come_in_the_order_of_the_law() -> None:
    job = trace(job_of(Net(), squares, {"x": np.repeat(np.arange(8, dtype=np.float32)[:, None], 6, 1)}, steps=2))
    seen = [batch["x"][:, 0] for batch in batches_of(job)]
    assert sorted(np.concatenate(seen)) == list(range(8))
