"""Tensors that a loss reads from outside its model and batch: constants of the program, which nothing changes."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import GraphModule, Node

from engine.tracing.errors import TraceError, place

LITERAL = torch.ops.aten.lift_fresh.default  # torch.tensor([...]) gives a new tensor at every call
LARGEST = 1 << 20  # elements; a constant is part of the program, which everybody reads


def require_constants(graph: GraphModule) -> None:
    """Refuses a captured tensor that the loss changes or that is too large for a program."""
    roots: dict[Node, Node] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            _require_small(node, getattr(graph, node.target))
            roots[node] = node
        elif node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload):
            _follow(node, node.target._schema, roots)
        elif node.target is operator.getitem and node.args[0] in roots:
            roots[node] = roots[node.args[0]]


def _require_small(node: Node, tensor: torch.Tensor) -> None:
    if tensor.numel() > LARGEST:
        raise TraceError(
            f"trace: {_user(node)}: a tensor of {tensor.numel()} elements is no part of the model, want at most"
            f" {LARGEST}; register it with register_buffer, or pass it in the batch"
        )


def _follow(node: Node, schema: torch.FunctionSchema, roots: dict[Node, Node]) -> None:
    """Notes whether the node is a view of a captured tensor; refuses a write to one."""
    given = [*zip(schema.arguments, node.args, strict=False)]
    given += [(argument, node.kwargs[argument.name]) for argument in schema.arguments if argument.name in node.kwargs]
    for argument, value in _each(given):
        if value not in roots or argument.alias_info is None:
            continue
        if argument.alias_info.is_write:
            raise TraceError(
                f"trace: {place(node.stack_trace)}: {node.target} changes a tensor that is no part of the model,"
                " and would be lost between steps; register the tensor with register_buffer"
            )
        if node.target is not LITERAL:
            roots[node] = roots[value]


def _each(given: list[tuple[Any, Any]]) -> Iterator[tuple[Any, Node]]:
    """(argument, node) of what a call is given, lists of tensors tensor by tensor."""
    for argument, value in given:
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, Node):
                yield argument, item


def _user(node: Node) -> str:
    return place(next(iter(node.users)).stack_trace) if node.users else place(None)
