"""Whole training steps: forward, backward, clipping and AdamW on the same model, batch and number of threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np
import torch

from bench.case import Case, Competitors, Work
from bench.models import diffusion, llama, resnet, transformer
from engine.resident import Resident
from engine.trace import TracedJob, trace_job

Job = Callable[[], dict[str, Any]]
MODELS: dict[str, Job] = {
    "char-gpt": partial(transformer.job, transformer.CHAR_GPT),
    "resnet-18": resnet.job,
    "dit-s8": diffusion.job,
    "lora-llama-160m": llama.job,
    "gpt2-124m": partial(transformer.job, transformer.GPT2),
}
WIDTHS = ("default", "strict")
CLIP_NORM = 1.0


def optimizer_of(model: torch.nn.Module, **options: Any) -> torch.optim.Optimizer:
    """AdamW over what is trained."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1, **options)


def traced(job: Job, width: str) -> TracedJob:
    """Our step of a model."""
    names, module = job(), ModuleType("job")
    names["optimizer"] = optimizer_of(names["model"])
    vars(module).update(names, steps=1, clip_norm=CLIP_NORM, width=width)
    return trace_job(module)


def ours_of(job: TracedJob, batch: Mapping[str, np.ndarray], threads: int) -> tuple[Resident, Work]:
    """A state at the start, and our step, which every call of it advances."""
    program = job.program
    other = {value.name: np.array(batch[value.name], order="C") for value in program.inputs_of("batch")}
    other |= {value.name: job.schedule[value.name][0] for value in program.inputs_of("schedule")}
    other |= {
        value.name: np.array(0, np.int64) for value in program.inputs if value.role in ("step", "seed", "micro_batch")
    }
    resident = Resident(program, threads=threads)
    resident.load(job.start_state)
    return resident, partial(resident.step, other)


def theirs_of(job: Job, is_compiled: bool) -> Work:
    """torch's step in float32: eager, or with forward and backward compiled; the optimizer is torch's fused one."""
    names = job()
    model, loss = names["model"], names["loss"]
    batch = {name: torch.from_numpy(array) for name, array in names["data"].items()}
    optimizer = optimizer_of(model, fused=True)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    forward = torch.compile(loss, dynamic=False) if is_compiled else loss

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        value = forward(model, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        return value.detach()

    return step


def competitors(name: str, width: str, threads: int) -> Competitors:
    """Ours and both of torch's steps; the compiled one is made at its first, untimed call."""
    job = MODELS[name]
    _, ours = ours_of(traced(job, width), job()["data"], threads)
    compiled = cache(partial(theirs_of, job, True))
    return Competitors(ours, {"torch": theirs_of(job, False), "torch_compile": lambda: compiled()()})


def cases() -> list[Case]:
    """Every model at both widths. The share of a peak is not given for a step: work is 0."""
    return [
        Case(f"{name} {width}", partial(competitors, name, width), 0, "none") for name in MODELS for width in WIDTHS
    ]
