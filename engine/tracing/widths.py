"""Which products are wide: the rule that docs/tracing.md states.

`default`: wide are the head, that is every product whose result reaches a log-softmax through views, casts, biases
and scalings alone, and the products of the head's gradient; all others are narrow. `strict`: all are wide but those
that an autocast region asked to be computed in half precision.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch.fx import Graph, Node

from engine.tracing.errors import TraceError

aten = torch.ops.aten
HALVES = (torch.float16, torch.bfloat16)
RULES = ("default", "strict")
PRODUCTS = {
    aten.mm.default,
    aten.bmm.default,
    aten.addmm.default,
    aten.baddbmm.default,
    aten.addbmm.default,
    aten.mv.default,
    aten.dot.default,
    aten.convolution.default,
    aten.convolution_backward.default,
}
TRANSPARENT = {
    getattr(aten, name)
    for name in (
        "view _unsafe_view reshape t transpose permute expand unsqueeze squeeze slice select clone detach alias"
        " _to_copy add sub mul div slice_backward select_backward constant_pad_nd masked_fill cat split where"
        " tanh tanh_backward sum"
    ).split()
}


def widths(graph: Graph, rule: str) -> dict[Node, str]:
    """The width of every product of a captured graph."""
    if rule not in RULES:
        raise TraceError(f"trace: got width {rule!r}, want one of {', '.join(RULES)}")
    products = [node for node in graph.nodes if node.target in PRODUCTS]
    head = _head(graph)
    if rule == "strict":
        return {node: "narrow" if _is_half(node) and node not in head else "wide" for node in products}
    return {node: "wide" if node in head else "narrow" for node in products}


def _head(graph: Graph) -> set[Node]:
    forward: set[Node] = set()
    from_loss: set[Node] = set()
    for node in graph.nodes:
        if node.target is aten._log_softmax.default:
            forward |= _sources(node.args[:1], PRODUCTS)
        if node.target is aten._log_softmax_backward_data.default:
            from_loss.add(node)
    backward = {
        node
        for node in graph.nodes
        if node.target in PRODUCTS
        and _sources(node.all_input_nodes, {aten._log_softmax_backward_data.default}) & from_loss
    }
    return forward | backward


def _sources(starts: Iterable[object], wanted: Collection[object]) -> set[Node]:
    """The nodes with a wanted operator that are reached backwards through transparent ones."""
    found: set[Node] = set()
    seen: set[Node] = set()
    open_ = [node for node in starts if isinstance(node, Node)]
    while open_:
        node = open_.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.target in wanted:
            found.add(node)
        elif getattr(node.target, "overloadpacket", None) in TRANSPARENT or node.name.startswith("getitem"):
            open_ += node.all_input_nodes
    return found


def _is_half(node: Node) -> bool:
    value = node.meta["val"]
    values = value if isinstance(value, tuple | list) else (value,)
    return any(isinstance(v, torch.Tensor) and v.dtype in HALVES for v in values)
