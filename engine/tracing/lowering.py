"""A captured ATen graph becomes operators of the law, one rule per ATen operator."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from engine.tracing import (
    rules_activation,
    rules_creation,
    rules_elementwise,
    rules_functions,
    rules_indexing,
    rules_layout,
    rules_loss,
    rules_norm,
    rules_pooling,
    rules_product,
    rules_rearranging,
    rules_reduction,
    rules_resampling,
    rules_scattering,
)
from engine.tracing.builder import Builder, Value
from engine.tracing.capture import Captured
from engine.tracing.errors import TraceError, place
from engine.tracing.rules_elementwise import Rule
from engine.tracing.widths import widths
from kernels.types import TensorType

FAMILIES = (
    rules_elementwise,
    rules_functions,
    rules_activation,
    rules_layout,
    rules_rearranging,
    rules_creation,
    rules_reduction,
    rules_norm,
    rules_loss,
    rules_product,
    rules_indexing,
    rules_pooling,
    rules_resampling,
    rules_scattering,
)
STRIDED = (torch.ops.aten.as_strided.default, torch.ops.aten.as_strided_scatter.default)
BITS = torch.ops.isobit.bits.default
WIDE_MATMUL = torch.ops.isobit.wide_matmul.default
RULES: dict[Any, Rule] = {aten: rule for family in FAMILIES for aten, rule in family.RULES.items()}
DTYPES = {
    torch.float32: "float32",
    torch.float16: "float32",
    torch.bfloat16: "float32",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.bool: "bool",
}


class Lowering:
    """The nodes of one captured micro-batch, ready to be built any number of times.

    width: the rule of engine.tracing.widths
    """

    def __init__(self, captured: Captured, width: str) -> None:
        self.captured = captured
        self.graph = captured.graph
        self.widths = widths(self.graph.graph, width)
        for node in self.graph.graph.nodes:
            _require_static(node)
            if node.op == "call_function" and node.target not in (*RULES, BITS, WIDE_MATMUL, operator.getitem):
                raise _unknown(node)

    def build(self, b: Builder, inputs: Iterable[Value], random: Sequence[Value]) -> list[Value]:
        """The graph's outputs.

        inputs: parameters and buffers, then the batch's fields, in the order of `captured`
        random: the seed, the step and the micro-batch, int64 of rank 0
        """
        made: dict[Node, Any] = {}
        values = iter(inputs)
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                made[node] = next(values, None)  # the random key comes last, and is read as `random`
            elif node.op == "get_attr":
                made[node] = _literal(b, getattr(self.graph, node.target))
            elif node.op == "output":
                return list(torch.fx.node.map_arg(node.args[0], lambda n: made[n]))
            elif node.target is operator.getitem:
                made[node] = made[node.args[0]][node.args[1]]
            elif node.target is BITS:
                made[node] = _bits(b, random, *node.args[1:])
            elif node.target is WIDE_MATMUL:
                made[node] = b.emit("matmul", [made[operand] for operand in node.args], width="wide")
            else:
                made[node] = self._apply(b, node, made)
        raise AssertionError("an fx graph ends in its output")

    def _apply(self, b: Builder, node: Node, made: Mapping[Node, Any]) -> Any:
        b.width = self.widths.get(node, "narrow")
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: made[n])
        if node.target in STRIDED:
            kwargs = {**kwargs, "layout": rules_rearranging.layout_of(node)}
        try:
            return RULES[node.target](b, _types(node), *args, **kwargs)
        except TraceError as error:
            raise TraceError(f"{error} (at {place(node.stack_trace)})") from None
        except (ValueError, TypeError) as error:
            raise TraceError(
                f"trace: {place(node.stack_trace)}: {node.target}: no rule for this use: {error}"
            ) from error


def _bits(b: Builder, random: Sequence[Value], site: int, shape: Sequence[int]) -> Value:
    return b.cast(b.emit("random_bits", list(random), site=site, shape=tuple(shape)), "int64")


def _literal(b: Builder, tensor: Tensor) -> Value:
    """A tensor written out in the model's code."""
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise TraceError(f"trace: got a literal tensor of {tensor.dtype}, want {_wanted()}")
    return b.constant((tensor.detach().float() if dtype == "float32" else tensor.detach()).numpy())


def _types(node: Node) -> Any:
    value = node.meta["val"]
    if isinstance(value, Tensor):
        return _type(node, value)
    return tuple(_type(node, item) if isinstance(item, Tensor) else None for item in value)


def _type(node: Node, value: Tensor) -> TensorType:
    if value.dtype not in DTYPES:
        raise TraceError(
            f"trace: {place(node.stack_trace)}: {node.target}: got {value.dtype}, want {_wanted()}; cast first"
        )
    return TensorType(DTYPES[value.dtype], tuple(int(size) for size in value.shape))


def _wanted() -> str:
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)


def _require_static(node: Node) -> None:
    value = node.meta.get("val")
    for item in value if isinstance(value, tuple | list) else (value,):
        if isinstance(item, torch.SymInt | torch.SymFloat | torch.SymBool):
            raise TraceError(
                f"trace: {place(node.stack_trace)}: {node.target}: a number of Python would depend on values;"
                " replace .item(), int() or float() of a tensor by the tensor"
            )
        if isinstance(item, Tensor) and any(not isinstance(size, int) for size in item.shape):
            raise TraceError(
                f"trace: {place(node.stack_trace)}: {node.target}: the shape of the result depends on values;"
                " use a dense form: torch.where or multiplication by a mask instead of nonzero or boolean indexing"
            )


# What to write instead, by the beginning of an operator's name
INSTEAD = {
    "view_as_real": "keep real and imaginary parts in real tensors",
    "linalg_": "move the decomposition into `data` or a buffer, which are computed before the run",
    "_linalg_": "move the decomposition into `data` or a buffer, which are computed before the run",
    "_embedding_bag": "give bags of equal size: ids [B, N] and no offsets",
    "embedding_renorm": "leave max_norm out and scale the rows in the loss",
    "grid_sampler": "sample images of two axes, bilinear or nearest",
}


def _unknown(node: Node) -> TraceError:
    packet = str(node.target).removeprefix("aten.").split(".")[0]
    found = [text for name, text in INSTEAD.items() if packet.startswith(name)]
    instead = found[0] if found else "write it with operators of docs/operators-of-torch.md"
    return TraceError(f"trace: {place(node.stack_trace)}: {node.target} has no rule; {instead}")
