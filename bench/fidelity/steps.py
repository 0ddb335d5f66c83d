"""20 strict steps of a family beside the same loop in float32 torch, and its first gradients beside float64 torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.models.families import FAMILIES
from bench.plain_torch import BACKEND, batches_of, job_of, run_program, run_torch
from engine.trace import TracedJob, trace
from engine.tracing.job_file import JobFile
from kernels.backends import available

Array = np.ndarray
STEPS = 20
ZERO = 1e-12  # of the largest gradient of the model: what float64 leaves of a gradient that is zero


@dataclass
class Gradients:
    """The gradients of a run, name -> array: those of the first step, and the largest magnitudes of all steps."""

    first: dict[str, Array] = field(default_factory=dict)
    largest: dict[str, Array] = field(default_factory=dict)

    def watch(self, model: nn.Module) -> None:
        """Takes note of a step."""
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradient = parameter.grad.detach().double().numpy().copy()
                self.first.setdefault(name, gradient)
                self.largest[name] = np.maximum(self.largest.get(name, 0.0), np.abs(gradient))


def job_of_family(name: str, steps: int = STEPS) -> JobFile:
    """The strict job of a family."""
    return job_of(**FAMILIES[name](), steps=steps)


def compare(name: str, steps: int = STEPS) -> dict[str, Any]:
    """How far a family's program is from torch; every difference is relative.

    loss:             the largest of a step
    parameter, worst: the largest of a tensor in Frobenius norm, and that tensor, without the elements whose true
                      gradient is zero in every step
    gradient, torch_gradient: the largest of a tensor in the first step, of ours and of float32 torch to float64
    zero:             tensor -> the number of its elements whose true gradient is zero but whose float32 one is not
    backends:         those whose states after the last step are equal to the byte
    """
    job = job_of_family(name, steps)
    traced = trace(job)
    batches = list(batches_of(traced))
    plain, exact = Gradients(), Gradients()
    expected, model = run_torch(job, batches, watch=plain.watch)
    run_torch(job, batches, torch.float64, exact.watch)
    metrics, state = run_program(traced)
    masks, ours = _meaningful(exact), _first_gradients(job)
    differences = _parameters(state, model, masks)
    worst = max(differences, key=lambda tensor: differences[tensor])
    return {
        "loss": max(abs(float(m["loss"]) / e["loss"] - 1) for m, e in zip(metrics, expected, strict=True)),
        "parameter": differences[worst],
        "worst": worst,
        "gradient": max(_distance(ours[n], exact.first[n], mask) for n, mask in masks.items()),
        "torch_gradient": max(_distance(plain.first[n], exact.first[n], mask) for n, mask in masks.items()),
        "zero": {n: found for n, mask in masks.items() if (found := int((~mask & (plain.largest[n] > 0)).sum()))},
        "backends": _equal_backends(traced, state),
    }


def _meaningful(exact: Gradients) -> dict[str, Array]:
    """Where the gradient of a tensor is not zero in every step; the others' size is rounding, which Adam divides by."""
    top = max(float(array.max()) for array in exact.largest.values())
    return {name: array > ZERO * top for name, array in exact.largest.items()}


def _parameters(state: dict[str, Array], model: nn.Module, masks: dict[str, Array]) -> dict[str, float]:
    tensors = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    return {n: _distance(state[f"parameter.{n}"], tensor, masks.get(n)) for n, tensor in tensors.items()}


def _distance(x: Array, y: Array, mask: Array | None) -> float:
    """The Frobenius norm of the difference over y's, of the elements in the mask."""
    mask = np.ones(y.shape, bool) if mask is None else mask
    x, y = x[mask].astype(np.float64), y[mask].astype(np.float64)
    return float(np.linalg.norm(x - y) / max(float(np.linalg.norm(y)), np.finfo(np.float64).tiny))


def _first_gradients(job: JobFile) -> dict[str, Array]:
    """The program's gradients of the first step: a momentum that starts at zero takes them as they are."""
    trained = [parameter for parameter in job.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.0, momentum=0.5)
    state = run_program(trace(replace(job, optimizer=optimizer, steps=1, clip_norm=None)))[1]
    ends = (("optimizer.", ".momentum_buffer"),)
    return {n.removeprefix(p).removesuffix(s): a for p, s in ends for n, a in state.items() if n.endswith(s)}


def _equal_backends(traced: TracedJob, state: dict[str, Array]) -> list[str]:
    """The backends of this machine that give these bytes; an error names one that does not."""
    others = [name for name in available() if name not in (BACKEND, "spec")]
    for backend in others:
        found = run_program(traced, backend)[1]
        wrong = [name for name, array in state.items() if found[name].tobytes() != array.tobytes()]
        if wrong:
            raise ValueError(f"fidelity: {backend} and {BACKEND} differ in {wrong[0]}, want equal bytes")
    return [BACKEND, *others]
