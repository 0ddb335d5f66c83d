"""One micro-batch of a training step as an ATen graph without mutation: loss, metrics, gradients, buffers.

Two passes of make_fx on fake tensors: the first runs autograd and rewrites random operators and batch norm, the second
removes mutation. One pass cannot do both: functionalisation refuses to make a leaf require a gradient.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.complex_tensor import WrapComplexMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.traceback import preserve_node_meta
from torch.nn.utils.stateless import _reparametrize_module

from engine.tracing.answers import Answers
from engine.tracing.captured_tensors import require_constants
from engine.tracing.complex_pairs import remove_complex_views
from engine.tracing.complex_parts import ComplexParts, views_of_pairs
from engine.tracing.decompositions import table
from engine.tracing.errors import UNKNOWN, TraceError, UsersLines, place
from engine.tracing.hidden_state import Counters, generators_stand_still
from engine.tracing.known_values import KnownValues
from engine.tracing.masked_writes import choose_whole
from engine.tracing.packed import closed_sequences
from engine.tracing.plain_layers import attributes_as_they_are, plain_layers
from engine.tracing.randomness import ExplicitRandomness, recomputation_sees_the_same
from engine.tracing.rewritten import rewritten

aten = torch.ops.aten
# what can meet an index out of range, or a zero divisor, stays even where its result is not used
FAULTING = {
    aten.embedding.default,
    aten.index.Tensor,
    aten.index_select.default,
    aten.index_put.default,
    aten.gather.default,
    aten.scatter.src,
    aten.scatter.value,
    aten.scatter_add.default,
    aten.floor_divide.default,
    aten.remainder.Tensor,
    aten.div.Tensor_mode,
}
Loss = Callable[[torch.nn.Module, dict[str, Tensor]], Any]


@dataclass(frozen=True)
class Captured:
    """A graph and what its inputs and outputs are called.

    Its inputs are, in order, the parameters, the buffers, the batch's fields and the random key; its outputs the
    metrics, the gradients, and the parameters and buffers as the loss leaves them.

    metrics:   the names of the metrics; the loss is the first
    gradients: the names of the parameters that have a gradient
    """

    graph: torch.fx.GraphModule
    metrics: tuple[str, ...]
    gradients: tuple[str, ...]


def capture(model: torch.nn.Module, loss: Loss, batch: Mapping[str, Tensor]) -> Captured:
    """The graph of loss(model, batch), its gradients, and the model's parameters and buffers as the loss leaves them.

    batch: one micro-batch of the shapes and dtypes of every micro-batch; its values are not looked at
    """
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    seen: dict[str, tuple[str, ...]] = {}
    counters = Counters(model, loss)

    def step(*flat: Tensor) -> list[Tensor]:
        values = iter(flat)
        leaves = {n: next(values).detach().clone().requires_grad_(p.requires_grad) for n, p in parameters.items()}
        states = {name: next(values).clone() for name in buffers}
        fields = {name: next(values) for name in batch}
        with plain_step(model, {**leaves, **states}, next(values)) as random, UsersLines() as lines, KnownValues():
            metrics = _metrics(loss(model, fields))
            random.loss_is_done()
            lines.follow(metrics["loss"])
            with lines.noted():
                gradients = _gradients(metrics["loss"], leaves)
            states = held_by(model, leaves, states)
            counters.note()
        seen.update(metrics=tuple(metrics), gradients=tuple(gradients))
        return [value.detach().clone() for group in (metrics, gradients, leaves, states) for value in group.values()]

    key = torch.zeros(3, dtype=torch.int64)
    flat = [*(p.detach() for p in parameters.values()), *buffers.values(), *batch.values(), key]
    graph = without_mutation(counters.steady(lambda: graph_of(step, flat)), flat)
    return Captured(graph, seen["metrics"], seen["gradients"])


@contextmanager
def plain_step(model: torch.nn.Module, tensors: Mapping[str, Tensor], key: Tensor) -> Iterator[ExplicitRandomness]:
    """The model holds the given parameters and buffers, draws the program's numbers, and runs in plain operators."""
    mode = ExplicitRandomness(key)
    held = _reparametrize_module(model, dict(tensors), tie_weights=True)
    with (
        attributes_as_they_are(model),
        held,
        plain_layers(),
        views_of_pairs(),
        rewritten(model),
        closed_sequences(),
        generators_stand_still(),
        recomputation_sees_the_same(mode),
        Answers(),
        ComplexParts(),
        WrapComplexMode(),
        mode,
    ):
        yield mode


def held_by(model: torch.nn.Module, leaves: Mapping[str, Tensor], states: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The buffers as a loss leaves them: changed in place, or others that it has put in their place."""
    for name, leaf in leaves.items():
        if _attribute(model, name) is not leaf:
            raise TraceError(
                f"trace: the loss puts another tensor in the place of parameter {name}; write to it in place"
            )
    after = {name: _attribute(model, name) for name in states}
    for name, state in states.items():
        new = after[name]
        if not isinstance(new, Tensor) or (new.shape, new.dtype) != (state.shape, state.dtype):
            form = f"{new.dtype} of shape {tuple(new.shape)}" if isinstance(new, Tensor) else repr(new)
            wanted = f"{state.dtype} of shape {tuple(state.shape)}"
            raise TraceError(f"trace: the loss leaves {form} as buffer {name}, want {wanted} as before")
    return after


def _attribute(model: torch.nn.Module, name: str) -> Any:
    path, _, last = name.rpartition(".")
    return getattr(model.get_submodule(path), last)


def _metrics(result: Any) -> dict[str, Tensor]:
    metrics = dict(result) if isinstance(result, Mapping) else {"loss": result}
    if "loss" not in metrics:
        raise TraceError(f"trace: loss gave a dict of {', '.join(map(str, metrics))}, want an entry 'loss'")
    for name, value in metrics.items():
        if not isinstance(value, Tensor) or value.dim() != 0:
            got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise TraceError(
                f"trace: loss gave {got} as {name!r}, want a tensor of rank 0; reduce it with .mean() or .sum()"
            )
    return {"loss": metrics.pop("loss"), **metrics}


def _gradients(loss: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    trained = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    if not trained:
        raise TraceError("trace: no parameter of the model requires a gradient")
    if not loss.requires_grad:
        raise TraceError("trace: the loss does not depend on any parameter that requires a gradient")
    found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(trained, found, strict=True) if gradient is not None}


def graph_of(step: Callable[..., Any], flat: list[Tensor]) -> torch.fx.GraphModule:
    """What a function of tensors does, on tensors without values; a TraceError that names the user's line."""
    try:
        with preserve_node_meta():
            graph = make_fx(step, tracing_mode="fake", _allow_non_fake_inputs=True)(*flat)
        require_constants(graph)
        remove_complex_views(graph)
        choose_whole(graph)
        return graph
    except Exception as error:
        raise _refusal(error) from error


class Decomposed(torch.fx.Interpreter):
    """Runs a graph with decompositions, whose results may have other strides than torch's operators give."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return super().call_function(aten.reshape.default if target is aten.view.default else target, args, kwargs)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A constant as a tensor that may be written to."""
        return aten.lift_fresh_copy.default(super().get_attr(target, args, kwargs))

    def run_node(self, n: torch.fx.Node) -> Any:
        try:
            return super().run_node(n)
        except TraceError as error:
            raise TraceError(f"{error} (at {place(n.stack_trace)})") from None


def without_mutation(graph: torch.fx.GraphModule, flat: list[Tensor]) -> torch.fx.GraphModule:
    """The same graph in operators that change nothing."""

    def run(*args: Tensor) -> Any:
        return Decomposed(graph).run(*args)

    with torch.no_grad(), preserve_node_meta():
        functional = torch.func.functionalize(run, remove="mutations")
        pure = make_fx(functional, table(), "fake", _allow_non_fake_inputs=True)(*flat)
    mutating = [node.target for node in pure.graph.nodes if _is_mutable(node)]
    assert not mutating, f"a decomposition changed a tensor, which would be lost: {mutating}"
    pure.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output") or node.target in FAULTING)
    return pure


def _is_mutable(node: torch.fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _refusal(error: Exception) -> TraceError:
    where = place("".join(traceback.format_exception(error)))
    if isinstance(error, TraceError):
        return error if where == UNKNOWN else TraceError(f"{error} (at {where})")
    kind, text = type(error).__name__, str(error).strip().split("\n")[0]
    return TraceError(f"trace: {where}: {kind}: {text}; {_suggestion(error)}")


def _suggestion(error: Exception) -> str:
    kind, text = type(error).__name__, str(error)
    for pattern, suggestion in SUGGESTIONS.items():
        if pattern in kind or pattern in text:
            return suggestion
    return "the loss must run as written on tensors of the batch's shapes"


DENSE = "a shape must not depend on values: use torch.where or a mask instead of nonzero or boolean indexing"
SUGGESTIONS = {
    "Size-like symbols: u": DENSE,
    "SymIntArrayRef expected": DENSE,
    "DataDependent": "nothing may depend on values: replace .item(), int() or `if tensor:` by torch.where, a layer that"
    " is dropped at random by x + keep * layer(x), a place in a buffer by a tensor of indices (index_copy, x[index])",
    "not compatible with .grad()": "call checkpoint(..., use_reentrant=False)",
    ".numpy()": "stay in torch, or prepare the array in `data`",
    "handlers returned NotImplemented": "write it with the real and imaginary parts",
    "shape": "check the shapes of the batch against the model",
    "must have same reduction dim": "check the shapes of the batch against the model",
}
