"""Programs around attention, and attention by its definition: operators of the law, every matrix stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from composites import traced
from torch import Tensor

from engine.program import Program
from kernels import spec
from kernels.attention import Attention
from kernels.types import NUMPY_DTYPE

Array = np.ndarray


def squared(attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The square of an attention's value: its gradient then waits for the value, as in a model."""

    def function(p: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        o = attend(p["q"], p["k"], p["v"])
        return o * o

    return function


def masked_by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As many models write it: a scale, masked_fill, softmax, with a row that is masked wholly."""
    scores = (q @ k.transpose(-2, -1)) * 0.37
    mask = torch.tril(torch.ones(scores.shape[-2:]))
    return F.softmax(scores.masked_fill(mask == 0, -1e30), -1) @ v


def with_dropout(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.dropout(F.softmax(q @ k.transpose(-2, -1), -1), 0.25) @ v


def sdpa(**options: Any) -> Callable[..., Tensor]:
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options)


def shapes(heads: int, queries: int, keys: int, depth: int, of_keys: int = 0) -> dict[str, tuple[int, ...]]:
    """q, k and v of one sequence; `of_keys` heads of keys and values where they are fewer."""
    kv = (1, of_keys or heads, keys, depth)
    return {"q": (1, heads, queries, depth), "k": kv, "v": kv}


# Name: the attention, its shapes, how many calls it becomes.
CASES: dict[str, tuple[Callable[..., Tensor], dict[str, tuple[int, ...]], int]] = {
    "causal": (sdpa(is_causal=True), shapes(2, 19, 19, 8), 2),
    "not causal, more keys": (sdpa(), shapes(1, 5, 37, 12), 2),
    "scale": (sdpa(scale=0.3), shapes(2, 33, 33, 16), 2),
    "grouped queries": (sdpa(is_causal=True, enable_gqa=True), shapes(4, 9, 9, 8, of_keys=2), 2),
    "two keys": (sdpa(), shapes(1, 1, 2, 1), 2),
    "masked by hand": (masked_by_hand, shapes(2, 21, 21, 20), 2),
    "dropout": (with_dropout, shapes(1, 18, 18, 8), 2),
}


def program_of(case: str, width: str) -> Program:
    """The case's training step, every product of a width."""
    attend, operands, _ = CASES[case]
    return of_width(traced(squared(attend), operands), width)


def program_of_size(case: str, length: int, depth: int, width: str) -> Program:
    """The same with one head of another size."""
    return of_width(traced(squared(CASES[case][0]), shapes(1, length, length, depth)), width)


def of_width(program: Program, width: str) -> Program:
    nodes = [replace(n, attributes={**n.attributes, "width": width}) if n.op == "matmul" else n for n in program.nodes]
    return replace(program, nodes=tuple(nodes))


def values_of(program: Program, seed: int, odd: bool = False) -> dict[str, Array]:
    """Inputs, integers (the step) from 0 on; where they are odd, some are zero, subnormal, huge, infinite or NaN."""
    random = np.random.default_rng(seed)
    values = {}
    for value in program.inputs:
        array = np.array(random.standard_normal(value.type.shape) * 2).astype(NUMPY_DTYPE[value.type.dtype])
        array = array if value.type.dtype == "float32" else abs(array)
        if odd and value.type.dtype == "float32" and array.ndim:
            places = random.random(array.shape) < 0.01
            specials = np.array([0.0, -0.0, 1e-42, 3e38, np.inf, -np.inf, np.nan], np.float32)
            array[places] = random.choice(specials, int(places.sum()))
            array[0] = 0
        values[value.name] = array
    return values


def by_definition(attention: Attention) -> Callable[..., Sequence[Array]]:
    """A backend's compile_attention, operator by operator."""
    shape = (attention.B, attention.M, attention.N)
    group = attention.group

    def matrix(x: Array) -> Array:
        return x.reshape(attention.B, *x.shape[-2:])

    def run(operands: Sequence[Array], threads: int) -> Sequence[Array]:
        matrices, others = operands[: attention.matrices], operands[attention.matrices :]
        held: dict[int, Array] = {}
        for register, score in enumerate(attention.scores):
            pair = [matrix(matrices[score.left]), matrix(matrices[score.right])]
            held[register] = spec.run("matmul", pair, {"width": score.width})
        for register, x in enumerate(others, start=len(attention.scores)):
            held[register] = x.reshape(shape[:2] if group.registers[register].per_row else shape)
        for step in group.steps:
            values = [held[operand] for operand in step.operands]
            if step.op in ("sum", "amax", "amin"):
                held[step.result] = spec.run(step.op, values, {"axes": (2,)})
                continue
            if not group.registers[step.result].per_row:
                values = [np.broadcast_to(x[..., None], shape) if x.ndim == 2 else x for x in values]
            attributes = {"dtype": group.registers[step.result].dtype} if step.op == "cast" else {}
            held[step.result] = spec.run(step.op, values, attributes)
        rows = [held[register].reshape(type_.shape) for register, type_ in group.outputs]
        return rows + [multiplied(product, held, matrices) for product in attention.products]

    def multiplied(product: Any, held: dict[int, Array], matrices: Sequence[Array]) -> Array:
        x, w = held[product.register], matrix(matrices[product.matrix])
        x = x if (product.over == "columns") != product.on_left else x.transpose(0, 2, 1)
        pair = [w, x] if product.on_left else [x, w]
        return spec.run("matmul", pair, {"width": product.width}).reshape(product.type.shape)

    return run
