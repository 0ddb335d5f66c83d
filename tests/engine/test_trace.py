"""Tracing: the same program from every process, random numbers by call site, records in the law's order."""

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
from small_nets import Net, X, squares
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import examples
from bench.plain_torch import BACKEND, batches_of, job_of, require_equal, run_program
from engine.encoding import program_from_bytes, program_hash, program_to_bytes
from engine.program import Program
from engine.trace import trace, trace_job
from engine.tracing.job_file import read
from kernels import spec

EXAMPLES = Path(examples.__file__).parent
ROOT = EXAMPLES.parent


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


OF_A_USER = """
from __future__ import annotations
from dataclasses import dataclass
import numpy as np
import torch
from torch import bincount, nn
from torch.nn.functional import embedding_bag, gaussian_nll_loss

@dataclass
class Config:
    width: int = 6

class Model(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.table, self.nll = nn.Parameter(torch.ones(5, config.width)), gaussian_nll_loss

    def forward(self, x):
        bags = embedding_bag(x, self.table, mode="sum") / bincount(x[0], minlength=5).sum()
        return self.nll(bags, torch.zeros_like(bags), bags.square()) + bags.mean()

model = Model(Config())
data = {"x": np.arange(20).reshape(10, 2) % 5}
batch_size, steps, width = 5, 2, "strict"
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def loss(model, batch):
    return model(batch["x"])
"""


def test_a_file_may_hold_dataclasses_and_bind_torchs_functions_to_names_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(OF_A_USER)
    job = read(tmp_path / "job.py")
    require_equal(job)
    assert job.loss.__globals__["embedding_bag"] is F.embedding_bag and job.model.nll is F.gaussian_nll_loss


def test_the_shipped_data_is_what_its_origin_says() -> None:
    expected = {
        "python_library.txt": "1653952940ac3505021a457c1e5b87169deee13af60c3867ace58a86f894fae4",
        "optdigits.safetensors": "2d40a4e7509d20f1e184f8368ff3b926a69d46ba205d307cb8453bc4900348a2",
    }
    for name, digest in expected.items():
        assert hashlib.sha256((EXAMPLES / "data" / name).read_bytes()).hexdigest() == digest
        assert name in (EXAMPLES / "data" / "ORIGIN.md").read_text()


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


def test_records_come_in_the_order_of_the_law() -> None:
    job = trace(job_of(Net(), squares, {"x": np.repeat(np.arange(8, dtype=np.float32)[:, None], 6, 1)}, steps=2))
    seen = [batch["x"][:, 0] for batch in batches_of(job)]
    assert sorted(np.concatenate(seen)) == list(range(8))
