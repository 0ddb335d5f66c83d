"""A whole training step as a program: micro-batches, clipping and the optimizer around the captured graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import torch

from engine.program import SCALAR_INT64, Program
from engine.tracing.builder import Builder, Value
from engine.tracing.capture import capture
from engine.tracing.errors import TraceError
from engine.tracing.job_file import JobFile
from engine.tracing.lowering import DTYPES, Lowering
from engine.tracing.optimizer_options import options_of, rule_of
from engine.tracing.optimizers import SCALAR, Rule
from engine.tracing.rules_reduction import square, total
from kernels.types import NUMPY_DTYPE, TensorType

Array = np.ndarray
Values = dict[str, Value]
Group = tuple[Rule, Mapping[str, Any], list[str]]  # the formula, its options, the names of its parameters
NORM_EPS = 1e-6  # torch.nn.utils.clip_grad_norm_


class Step:
    """The construction of one job's program, with its start state and its numbers per step."""

    def __init__(self, job: JobFile) -> None:
        self.job = job
        self.builder = Builder()
        self.start: dict[str, Array] = {}
        self.schedule: dict[str, Array] = {}
        self.next: Values = {}
        self.metrics: Values = {}
        _require_mode(job.model)
        self.lowering = Lowering(
            capture(job.model, job.loss, job.batch(job.batch_size // job.micro_batches)), job.width
        )

    def program(self) -> Program:
        """The verified program."""
        job = self.job
        names = {id(parameter): name for name, parameter in job.model.named_parameters()}
        parameters = {n: self._state(f"parameter.{n}", p) for n, p in job.model.named_parameters()}
        buffers = {n: self._state(f"buffer.{n}", p) for n, p in job.model.named_buffers()}
        groups = _groups(job.optimizers, names)
        slots = self._slots(groups)
        numbers = self._numbers(groups)
        batch = self._batch()
        random = [self.builder.input(name, name, SCALAR_INT64) for name in ("step", "seed")][::-1]
        parameters, gradients = self._micro_batches(parameters, buffers, batch, random)
        trained = [name for _, _, members in groups for name in members if name in gradients]
        gradients = self._clipped({name: gradients[name] for name in trained})
        for (rule, options, members), group in zip(groups, numbers, strict=True):
            for name in members:
                if name in gradients:
                    self._update(rule, options, group, slots[name], name, parameters[name], gradients[name])
        outputs = [(name, "state", self.next[name]) for name in self.start]
        return self.builder.program([*outputs, *((name, "metric", v) for name, v in self.metrics.items())])

    def _state(self, name: str, tensor: torch.Tensor) -> Value:
        return self._slot(name, state_array(name, tensor))

    def _slot(self, name: str, array: Array) -> Value:
        dtype = next(dtype for dtype, numpy in NUMPY_DTYPE.items() if numpy == array.dtype)
        self.start[name] = array
        self.next[name] = self.builder.input(name, "state", TensorType(dtype, array.shape))
        return self.next[name]

    def _slots(self, groups: Sequence[Group]) -> dict[str, Values]:
        slots: dict[str, Values] = {}
        for index, (rule, options, members) in enumerate(groups):
            for name in members:
                shape = self.start[f"parameter.{name}"].shape
                made = rule.slots(options, shape, _rates(self.job, index)[0])
                filled = {
                    slot: np.full(shape, v, np.float32) if isinstance(v, float) else v for slot, v in made.items()
                }
                slots[name] = {slot: self._slot(f"optimizer.{name}.{slot}", array) for slot, array in filled.items()}
        return slots

    def _numbers(self, groups: Sequence[Group]) -> list[Values]:
        made: list[Values] = []
        for index, (rule, options, _) in enumerate(groups):
            numbers = rule.numbers(options, _rates(self.job, index))
            suffix = f".{index}" if len(groups) > 1 else ""
            made.append({name: self._number(f"schedule.{name}{suffix}", values) for name, values in numbers.items()})
        return made

    def _number(self, name: str, values: Sequence[float]) -> Value:
        self.schedule[name] = np.array(values, np.float64).astype(np.float32)
        return self.builder.input(name, "schedule", SCALAR)

    def _batch(self) -> Values:
        fields = self.job.batch(self.job.batch_size)
        return {
            n: self.builder.input(n, "batch", TensorType(DTYPES[t.dtype], tuple(t.shape))) for n, t in fields.items()
        }

    def _micro_batches(
        self, parameters: Values, buffers: Values, batch: Values, random: Sequence[Value]
    ) -> tuple[Values, Values]:
        """The parameters as the losses leave them, and the gradients.

        The loss and the other metrics become outputs, what the last loss leaves of the model the next state.
        """
        b, count, captured = self.builder, self.job.micro_batches, self.lowering.captured
        rows = self.job.batch_size // count
        means, held = list[list[Value]](), [*parameters.values(), *buffers.values()]
        for i in range(count):
            part = {name: b.slice(value, 0, i * rows, (i + 1) * rows) for name, value in batch.items()}
            number = b.constant(np.array(i, np.int64))
            values = self.lowering.build(b, [*held, *part.values()], [*random, number])
            kept = len(values) - len(held)
            held = values[kept:]
            means.append(values[:kept])
        averages = [_tree(list(column)) / float(count) for column in zip(*means, strict=True)]
        parameters = dict(zip(parameters, held, strict=False))
        buffers = dict(zip(buffers, held[len(parameters) :], strict=True))
        self.next |= {f"parameter.{name}": value for name, value in parameters.items()}
        self.next |= {f"buffer.{name}": value for name, value in buffers.items()}
        self.metrics |= dict(zip(captured.metrics, averages, strict=False))
        return parameters, dict(zip(captured.gradients, averages[len(captured.metrics) :], strict=True))

    def _clipped(self, gradients: Values) -> Values:
        b, job = self.builder, self.job
        if job.clip_value is not None:
            low, high = -float(job.clip_value), float(job.clip_value)
            gradients = {n: b.binary("minimum", b.binary("maximum", g, low), high) for n, g in gradients.items()}
        if job.clip_norm is not None and gradients:
            squares = [b.reshape(total(b, square(g)), (1,)) for g in gradients.values()]
            norm = b.unary("sqrt", total(b, b.concat(squares, 0)))
            factor = b.binary("minimum", float(job.clip_norm) / (norm + NORM_EPS), 1.0)
            gradients = {name: gradient * factor for name, gradient in gradients.items()}
            self.metrics["gradient_norm"] = norm
        return gradients

    def _update(
        self, rule: Rule, options: Mapping[str, Any], numbers: Values, slots: Values, name: str, p: Value, g: Value
    ) -> None:
        self.builder.width = "wide" if self.job.width == "strict" else "narrow"
        g = -g if options["maximize"] else g
        after, slots = rule.update(self.builder, options, numbers, slots, p, g)
        self.next[f"parameter.{name}"] = after
        self.next |= {f"optimizer.{name}.{slot}": value for slot, value in slots.items()}


def state_array(name: str, tensor: torch.Tensor) -> Array:
    """The array of a parameter or buffer. Weights in half precision become float32: exactly."""
    is_half = tensor.dtype in (torch.float16, torch.bfloat16)
    if tensor.dtype not in DTYPES or (is_half and not isinstance(tensor, torch.nn.Parameter)):
        raise TraceError(f"trace: {name} is {tensor.dtype}, want float32, int64, int32 or bool; call model.float()")
    exact = tensor.detach().cpu().float() if is_half else tensor.detach().cpu()
    return exact.numpy().astype(NUMPY_DTYPE[DTYPES[tensor.dtype]])


def _require_mode(model: torch.nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if parameter.is_complex():
            raise TraceError(f"trace: parameter {name} is complex, want float32")


def _tree(values: list[Value]) -> Value:
    """The sum as a tree split at the largest power of two below the count: who adds does not change the bits."""
    if len(values) == 1:
        return values[0]
    half = 1 << (len(values) - 1).bit_length() - 1
    return _tree(values[:half]) + _tree(values[half:])


def _groups(optimizers: Sequence[Any], names: Mapping[int, str]) -> list[Group]:
    """Every parameter group of every optimizer."""
    groups, taken = list[Group](), set[str]()
    for optimizer in optimizers:
        rule = rule_of(optimizer)
        for group in optimizer.param_groups:
            members = [names.get(id(parameter)) for parameter in group["params"]]
            if None in members:
                raise TraceError(
                    f"trace: optimizer: parameter group {len(groups)} holds a tensor that is no parameter of the model"
                )
            known = [name for name in members if name is not None]
            if twice := taken & set(known):
                raise TraceError(f"trace: optimizer: parameter {min(twice)} is in two groups, want it in one")
            taken |= set(known)
            groups.append((rule, options_of(optimizer, group, rule), known))
    return groups


def _rates(job: JobFile, group: int) -> list[float]:
    """The learning rate of a parameter group at every step."""
    if job.learning_rate is None:
        groups = [group for optimizer in job.optimizers for group in optimizer.param_groups]
        return [float(groups[group]["lr"])] * job.steps
    return [_rate(job.learning_rate, step, group) for step in range(job.steps)]


def _rate(schedule: Callable[[int], Any], step: int, group: int) -> float:
    try:
        value = schedule(step)
    except Exception as error:
        raise TraceError(f"job file: learning_rate({step}): {type(error).__name__}: {error}") from error
    try:
        rate = float(value[group] if isinstance(value, Sequence) else value)
    except (TypeError, ValueError, IndexError):
        raise TraceError(
            f"job file: learning_rate({step}) gave {value!r}, want a number or one per parameter group"
        ) from None
    if not isfinite(rate):
        raise TraceError(f"job file: learning_rate({step}) gave {rate}, want a finite number")
    return rate
