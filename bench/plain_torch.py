"""The same training twice: as a traced program, and as an ordinary torch loop that draws the program's numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.data import dataset_of
from engine.execute import Executor
from engine.resident import Resident
from engine.trace import TracedJob, trace
from engine.tracing.job_file import JobFile, read
from engine.tracing.randomness import ExplicitRandomness, recomputation_sees_the_same
from kernels.backends import available

Array = np.ndarray
Batch = dict[str, Array]
Watch = Callable[[torch.nn.Module], None]
BACKEND = available()[0]
torch.set_num_threads(1)


def job_of(
    model: torch.nn.Module, loss: Any, data: Mapping[str, Array], optimizer: Any = None, **names: Any
) -> JobFile:
    """A checked job of 3 steps of 4 records; by default SGD with momentum, all products wide."""
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    values = {"batch_size": 4, "steps": 3, "width": "strict", **names}
    module = ModuleType("job")
    vars(module).update(model=model, loss=loss, data=data, optimizer=optimizer, **values)
    return read(module)


def batches_of(job: TracedJob) -> Iterator[Batch]:
    """What each step loads."""
    dataset = dataset_of(job.fields)
    types = {value.name: value.type for value in job.program.inputs_of("batch")}
    for step in range(job.steps):
        yield dataset.load(types, job.seed, step)


def run_program(job: TracedJob, backend: str = BACKEND) -> tuple[list[dict[str, Array]], dict[str, Array]]:
    """The metrics of every step and the last state."""
    executor, state, metrics = Executor(job.program, backend), dict(job.start_state), []
    for step, batch in enumerate(batches_of(job)):
        numbers = {name: values[step].reshape(()) for name, values in job.schedule.items()}
        counters = {"step": np.array(step, np.int64), "seed": np.array(job.seed, np.int64)}
        outputs = executor.step({**state, **batch, **numbers, **counters})
        state = {name: outputs[name] for name in state}
        metrics.append({value.name: outputs[value.name] for value in job.program.outputs_of("metric")})
    return metrics, state


def run_resident(job: TracedJob, backend: str = BACKEND) -> tuple[list[dict[str, Array]], dict[str, Array]]:
    """The same on a state that stays in its memory, as a run trains."""
    resident, metrics = Resident(job.program, backend), []
    resident.load(job.start_state)
    for step, batch in enumerate(batches_of(job)):
        numbers = {name: values[step].reshape(()) for name, values in job.schedule.items()}
        counters = {"step": np.array(step, np.int64), "seed": np.array(job.seed, np.int64)}
        metrics.append(resident.step({**batch, **numbers, **counters}))
    return metrics, resident.state


def run_torch(
    job: JobFile, batches: Sequence[Batch], dtype: torch.dtype = torch.float32, watch: Watch | None = None
) -> tuple[list[dict[str, float]], torch.nn.Module]:
    """The metrics of every step and the trained model: backward, clip_grad_norm_, optimizer.step, eager.

    dtype: of parameters, buffers, batches and what torch creates
    watch: sees the model of each step with its gradients, before they are clipped
    """
    model, optimizer = copy.deepcopy((job.model, job.optimizer))
    model.to(dtype)
    optimizers = optimizer if isinstance(optimizer, list | tuple) else [optimizer]
    groups = [group for each in optimizers for group in each.param_groups]
    parameters = [p for group in groups for p in group["params"]]
    metrics = []
    for step, batch in enumerate(batches):
        for number, group in enumerate(groups):
            rate = job.learning_rate(step) if job.learning_rate else group["lr"]
            group["lr"] = rate[number] if isinstance(rate, Sequence) else rate
        model.zero_grad()
        with _creating(dtype):
            found = [_backward(job, model, batch, step, number) for number in range(job.micro_batches)]
        metrics.append({name: sum(part[name] for part in found) / len(found) for name in found[0]})
        if watch is not None:
            watch(model)
        if job.clip_value is not None:
            torch.nn.utils.clip_grad_value_(parameters, job.clip_value)
        if job.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, job.clip_norm)
        for each in optimizers:
            each.step()
    return metrics, model


@contextmanager
def _creating(dtype: torch.dtype) -> Iterator[None]:
    """What a model creates without a dtype has this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _backward(job: JobFile, model: torch.nn.Module, batch: Batch, step: int, number: int) -> dict[str, float]:
    rows = job.batch_size // job.micro_batches
    part = {n: torch.from_numpy(a[number * rows : (number + 1) * rows].copy()) for n, a in batch.items()}
    part = {n: t.to(torch.get_default_dtype()) if t.is_floating_point() else t for n, t in part.items()}
    mode = ExplicitRandomness(torch.tensor([job.seed, step, number]))
    with sdpa_kernel(SDPBackend.MATH), recomputation_sees_the_same(mode), mode:
        result = job.loss(model, part)
        result = result if isinstance(result, Mapping) else {"loss": result}
        (result["loss"] / job.micro_batches).backward()
    return {name: float(value.detach()) for name, value in result.items()}


def require_equal(job: JobFile, losses: float = 1e-5, parameters: float = 1e-4) -> TracedJob:
    """Both ways agree: every step's metrics within `losses` relative, the last state within `parameters` absolute."""
    traced = trace(job)
    expected, model = run_torch(job, list(batches_of(traced)))
    got, state = run_program(traced)
    for step, metrics in enumerate(expected):
        for name, value in metrics.items():
            np.testing.assert_allclose(got[step][name], value, rtol=losses, err_msg=f"{name} of step {step}")
    tensors = {f"parameter.{n}": p for n, p in model.named_parameters()} | {
        f"buffer.{n}": p for n, p in model.named_buffers()
    }
    for name, tensor in tensors.items():
        np.testing.assert_allclose(state[name], tensor.detach().numpy(), rtol=parameters, atol=parameters, err_msg=name)
    return traced
