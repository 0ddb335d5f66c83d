"""Complex tensors inside a loss are pairs of real ones: torch's own ComplexTensor writes their operators as real operators.

What it leaves are the ends, where reals become complex numbers and at once the two parts again.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten
ENDS = {
    aten.view_as_real.default,
    aten.view_as_complex.default,
    aten.complex.default,
    aten._to_copy.default,
    aten.is_pinned.default,
}


def remove_complex_views(graph: GraphModule) -> None:
    """Every pair of reals [..., 2] that is read from a complex tensor is made without it."""
    for node in list(graph.graph.nodes):
        if node.target is aten.view_as_real.default:
            with graph.graph.inserting_before(node):
                pairs = _pairs(graph, node.args[0])
            if pairs is not None:
                pairs.meta.setdefault("stack_trace", node.stack_trace)
                node.replace_all_uses_with(pairs)
    for node in reversed(graph.graph.nodes):
        if not node.users and (node.target in ENDS or node.op == "get_attr"):
            graph.graph.erase_node(node)
    graph.recompile()


def _pairs(graph: GraphModule, source: Node) -> Node | None:
    """Real and imaginary parts of a value, or None where it is complex in itself."""
    if source.target is aten.view_as_complex.default:
        return source.args[0]
    if source.target is aten.complex.default:
        return graph.graph.call_function(aten.stack.default, (list(source.args), -1))
    if source.target is aten._to_copy.default:
        real = source.args[0]
        zeros = graph.graph.call_function(aten.zeros_like.default, (real,))
        return graph.graph.call_function(aten.stack.default, ([real, zeros], -1))
    if source.op == "get_attr":
        name = f"{source.target}_pairs"
        graph.register_buffer(name, torch.view_as_real(getattr(graph, source.target).resolve_conj()))
        return graph.graph.get_attr(name)
    return None
