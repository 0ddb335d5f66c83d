"""`x[mask] = y[mask]` without the number of elements that a mask chooses: a choice of whole tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

aten = torch.ops.aten
WRITES: dict[Any, bool] = {aten.index_put_.default: True, aten.index_put.default: False}  # whether in place


def choose_whole(graph: GraphModule) -> None:
    """Every write of what the same mask chooses elsewhere, and its gradient, as a choice between the two tensors."""
    nodes: list[Any] = list(graph.graph.nodes)
    for node in nodes:
        if node.target in WRITES and _is_of_one_mask(node):
            with graph.graph.inserting_before(node):
                new = _chosen(graph.graph, node)
            node.replace_all_uses_with(new)
            value = node.args[2]
            graph.graph.erase_node(node)
            if not value.users:
                graph.graph.erase_node(value)
    graph.recompile()


def _is_of_one_mask(node: Any) -> bool:
    x, indices, value = node.args[:3]
    source: Any = value.args[0] if isinstance(value, Node) and value.target is aten.index.Tensor else None
    return source is not None and bool(
        len(indices) == 1
        and list(value.args[1]) == list(indices)
        and indices[0].meta["val"].dtype is torch.bool
        and not any(_writes_to(user, indices[0]) for user in indices[0].users)
        and source.meta["val"].shape == x.meta["val"].shape
        and source.meta["val"].dtype == x.meta["val"].dtype
    )


def _writes_to(node: Any, mask: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable and node.args[0] is mask


def _chosen(graph: Graph, node: Any) -> Node:
    x, (mask,), value = node.args[:3]
    adds = node.args[3] if len(node.args) > 3 else node.kwargs.get("accumulate", False)

    def call(target: Any, *args: Any) -> Node:
        made = graph.call_function(target, args)
        made.meta["stack_trace"] = node.stack_trace
        return made

    with graph.inserting_before(value):  # it may be written to before the value is
        y = call(aten.clone.default, value.args[0])
    for _ in range(x.meta["val"].dim() - mask.meta["val"].dim()):
        mask = call(aten.unsqueeze.default, mask, -1)
    chosen = call(aten.where.self, mask, call(aten.add.Tensor, x, y) if adds else y, x)
    return call(aten.copy_.default, x, chosen) if WRITES[node.target] else chosen
