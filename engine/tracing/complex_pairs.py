"""Complex tensors inside a loss are pairs of real ones: torch's own ComplexTensor writes their operators as real ones.

What it leaves are the ends, where reals become complex numbers and at once the two parts again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule

aten = torch.ops.aten
ENDS = {
    aten.view_as_real.default,
    aten.view_as_complex.default,
    aten.complex.default,
    aten._to_copy.default,
    aten.is_pinned.default,
    aten.lift_fresh_copy.default,
    aten._conj.default,
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


def _pairs(graph: GraphModule, source: Any) -> Any:
    """Real and imaginary parts of a value, or None where it is complex in itself."""
    if source.target is aten.view_as_complex.default:
        return source.args[0]
    if source.target is aten.complex.default:
        return graph.graph.call_function(aten.stack.default, (list(source.args), -1))
    if source.target is aten._to_copy.default:
        real = source.args[0]
        zeros = graph.graph.call_function(aten.zeros_like.default, (real,))
        return graph.graph.call_function(aten.stack.default, ([real, zeros], -1))
    literal = _literal(graph, source)
    if literal is None:
        return None
    name = f"{source.name}_pairs"
    graph.register_buffer(name, torch.view_as_real(literal.resolve_conj().to(torch.complex64)))
    return graph.graph.get_attr(name)


def _literal(graph: GraphModule, source: Any) -> torch.Tensor | None:
    """The complex tensor that is known while tracing, or None."""
    if isinstance(source, complex):
        return torch.tensor(source)
    if source.op == "get_attr":
        return getattr(graph, source.target)
    if source.target in (aten.lift_fresh_copy.default, aten.lift_fresh.default):
        return _literal(graph, source.args[0])
    if source.target is aten._conj.default:
        inner = _literal(graph, source.args[0])
        return None if inner is None else inner.conj()
    return None
