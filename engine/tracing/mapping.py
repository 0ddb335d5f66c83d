"""A job without a gradient: the outputs of a model over the records of a data set, as a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.outputs import PREFIX
from engine.program import SCALAR_INT64, Program
from engine.tracing.builder import Builder, Value
from engine.tracing.capture import Captured, graph_of, held_by, plain_step, without_mutation
from engine.tracing.errors import TraceError, UsersLines
from engine.tracing.known_values import KnownValues
from engine.tracing.lowering import DTYPES, Lowering
from engine.tracing.step import state_array
from kernels.types import NUMPY_DTYPE, TensorType, type_of

Array = np.ndarray
Outputs = Callable[[torch.nn.Module, dict[str, Tensor]], Any]


def map_program(
    model: torch.nn.Module, outputs: Outputs, batch: Mapping[str, Tensor], width: str
) -> tuple[Program, dict[str, Array]]:
    """The program that maps a batch to outputs(model, batch), and its start state.

    An output of shape [B, ...] is a slot of the state, which a step overwrites; one of rank 0 is a metric.
    """
    b, start = Builder(), dict[str, Array]()
    lowering = Lowering(_captured(model, outputs, batch), width)

    def slot(name: str, array: Array) -> Value:
        start[name] = array
        return b.input(name, "state", type_of(array))

    tensors: list[tuple[str, Tensor]] = [(f"parameter.{name}", tensor) for name, tensor in model.named_parameters()]
    tensors += [(f"buffer.{name}", tensor) for name, tensor in model.named_buffers()]
    held = {name: slot(name, state_array(name, tensor)) for name, tensor in tensors}
    kept = [(name, "state", value) for name, value in held.items()]
    seen = {n: b.input(n, "batch", TensorType(DTYPES[t.dtype], tuple(t.shape))) for n, t in batch.items()}
    random = [b.input(name, name, SCALAR_INT64) for name in ("step", "seed")][::-1]
    number = b.constant(np.array(0, np.int64))
    values = lowering.build(b, [*held.values(), *seen.values()], [*random, number])
    B = next(iter(batch.values())).shape[0]
    made = dict(zip(lowering.captured.metrics, values, strict=False))
    _require_unchanged(held, values[len(made) :])
    rows = {name: value for name, value in made.items() if _is_rows(name, value.type, B)}
    if not rows:
        raise TraceError(f"trace: outputs gave only numbers of rank 0, want a tensor of {B} rows")
    for name, value in rows.items():
        slot(PREFIX + name, np.zeros(value.shape, NUMPY_DTYPE[value.dtype]))
    kept += [(PREFIX + name, "state", value) for name, value in rows.items()]
    return b.program([*kept, *((name, "metric", v) for name, v in made.items() if name not in rows)]), start


def _is_rows(name: str, type_: TensorType, B: int) -> bool:
    if type_.shape and type_.shape[0] != B:
        raise TraceError(f"trace: outputs gave {name!r} as {type_}, want {B} rows, one a record, or a number of rank 0")
    return bool(type_.shape)


def _captured(model: torch.nn.Module, outputs: Outputs, batch: Mapping[str, Tensor]) -> Captured:
    """The graph of outputs(model, batch), and of the model's parameters and buffers after it."""
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    names: list[str] = []

    def step(*flat: Tensor) -> list[Tensor]:
        values = iter(flat)
        leaves = {name: next(values).clone() for name in parameters}
        states = {name: next(values).clone() for name in buffers}
        fields = {name: next(values) for name in batch}
        with torch.no_grad(), plain_step(model, {**leaves, **states}, next(values)), UsersLines(), KnownValues():
            made = _checked(outputs(model, fields))
            states = held_by(model, leaves, states)
        names[:] = made
        return [value.detach().clone() for value in (*made.values(), *leaves.values(), *states.values())]

    key = torch.zeros(3, dtype=torch.int64)
    flat = [*(p.detach() for p in parameters.values()), *buffers.values(), *batch.values(), key]
    graph = without_mutation(graph_of(step, flat), flat)
    return Captured(graph, tuple(names), ())


def _checked(made: Any) -> dict[str, Tensor]:
    if not isinstance(made, Mapping) or not made or not all(isinstance(value, Tensor) for value in made.values()):
        raise TraceError(f"trace: outputs gave a {type(made).__name__}, want a dict of name -> tensor")
    return {str(name): value for name, value in made.items()}


def _require_unchanged(held: Mapping[str, Value], after: list[Value]) -> None:
    for (name, before), value in zip(held.items(), after, strict=True):
        if value.number != before.number:
            kind, _, path = name.partition(".")
            raise TraceError(
                f"trace: outputs changes the {kind} {path}, want a model that stays as it is: model.eval()"
            )
