"""What is bound by memory: sums, softmax, normalisation, losses, AdamW and the embedding's gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch

from bench.case import Case, Competitors, Work, normal
from bench.suites.composition import Composition, Value

ROWS, COLUMNS = 4096, 768
VOCABULARY = 8192
PARAMETERS = 2**22
FLOAT = 4


def ours(threads: int, write: Callable[..., Value | list[Value]], *arrays: np.ndarray) -> Work:
    """The computation that `write` composes from the arrays, as the engine runs it."""
    composition = Composition(*arrays)
    results = write(composition, *composition.inputs)
    return composition.runner(*(results if isinstance(results, list) else [results]), threads=threads)


def softmax_of(c: Composition, x: Value) -> Value:
    powers = c.apply("exp", c.apply("sub", x, c.per_row("amax", x)))
    return c.apply("div", powers, c.per_row("sum", powers))


def layer_norm_of(c: Composition, x: Value, weight: Value, bias: Value) -> Value:
    count = x.type.shape[1]
    mean = c.per_rows("div", c.apply("sum", x, axes=(1,)), count)
    centred = c.apply("sub", x, c.spread(mean, x))
    variance = c.per_rows("div", c.apply("sum", c.apply("mul", centred, centred), axes=(1,)), count)
    inverse = c.apply("rsqrt", c.per_rows("add", variance, 1e-5))
    scaled = c.apply("mul", centred, c.spread(inverse, x))
    return c.apply("add", c.apply("mul", scaled, c.spread(weight, x)), c.spread(bias, x))


def cross_entropy_of(c: Composition, x: Value, target: Value) -> Value:
    shifted = c.apply("sub", x, c.per_row("amax", x))
    total = c.apply("log", c.apply("sum", c.apply("exp", shifted), axes=(1,)))
    rows = total.type.shape
    index = c.apply("reshape", target, shape=(*rows, 1))
    chosen = c.apply("reshape", c.apply("gather", shifted, index, axis=1), shape=rows)
    mean = c.apply("sum", c.apply("sub", total, chosen), axes=(0,))
    return c.apply("mul", mean, c.number(1 / rows[0], mean))


def adamw_of(c: Composition, p: Value, g: Value, m: Value, v: Value) -> list[Value]:
    """The next p, g, m and v, as engine/tracing/optimizers.py writes AdamW; g stays."""

    def number(value: float) -> Value:
        return c.number(value, p)

    kept = c.apply("mul", p, number(1 - 1e-5))
    m = c.apply("add", m, c.apply("mul", c.apply("sub", g, m), number(0.1)))
    v = c.apply("add", c.apply("mul", v, number(0.999)), c.apply("mul", c.apply("mul", g, g), number(0.001)))
    spread = c.apply("add", c.apply("div", c.apply("sqrt", v), number(0.03)), number(1e-8))
    step = c.apply("mul", c.apply("div", m, spread), number(1e-2))
    return [c.apply("sub", kept, step), g, m, v]


def torch_and_compiled(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> dict[str, Work]:
    """torch's own kernels, and what torch.compile makes of the same function at its first, untimed call."""
    compiled = cache(lambda: torch.compile(function, dynamic=False))
    return {"torch": partial(function, *inputs), "torch_compile": lambda: compiled()(*inputs)}


def softmax(threads: int) -> Competitors:
    x = normal(ROWS, COLUMNS)
    rivals = torch_and_compiled(lambda p: torch.softmax(p, -1), torch.from_numpy(x))
    return Competitors(ours(threads, softmax_of, x), rivals)


def layer_norm(threads: int) -> Competitors:
    x, weight, bias = normal(ROWS, COLUMNS), normal(COLUMNS, seed=1), normal(COLUMNS, seed=2)
    p, w, b = map(torch.from_numpy, (x, weight, bias))
    rivals = torch_and_compiled(lambda p, w, b: torch.nn.functional.layer_norm(p, (COLUMNS,), w, b), p, w, b)
    return Competitors(ours(threads, layer_norm_of, x, weight, bias), rivals)


def row_sum(threads: int) -> Competitors:
    x = normal(ROWS, COLUMNS)
    return Competitors(
        ours(threads, lambda c, x: c.apply("sum", x, axes=(1,)), x),
        {"torch": partial(torch.sum, torch.from_numpy(x), 1)},
    )


def column_sum(threads: int) -> Competitors:
    x = normal(ROWS, COLUMNS)
    return Competitors(
        ours(threads, lambda c, x: c.apply("sum", x, axes=(0,)), x),
        {"torch": partial(torch.sum, torch.from_numpy(x), 0)},
    )


def cross_entropy(threads: int) -> Competitors:
    x = normal(ROWS // 4, VOCABULARY)
    target = np.random.default_rng(1).integers(0, VOCABULARY, ROWS // 4)
    rivals = torch_and_compiled(torch.nn.functional.cross_entropy, torch.from_numpy(x), torch.from_numpy(target))
    composition = Composition(x, target)
    loss = cross_entropy_of(composition, *composition.inputs)
    return Competitors(composition.resident([loss], composition.inputs, threads), rivals)


def adamw(threads: int) -> Competitors:
    p, g, m = (normal(PARAMETERS, seed=seed) for seed in range(3))
    v = np.square(normal(PARAMETERS, seed=3))
    tensors = [torch.from_numpy(x.copy()) for x in (p, g, m, v)]
    step = torch.tensor(1.0)

    def theirs() -> None:
        torch._fused_adamw_(
            *([tensor] for tensor in tensors),
            [],
            [step],
            lr=1e-3,
            beta1=0.9,
            beta2=0.999,
            weight_decay=1e-2,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    composition = Composition(p, g, m, v)
    following = adamw_of(composition, *composition.inputs)
    return Competitors(composition.resident((), following, threads), {"torch": theirs})


def embedding_gradient(threads: int) -> Competitors:
    base, rows = np.zeros((VOCABULARY, COLUMNS), np.float32), normal(ROWS, COLUMNS)
    ids = np.random.default_rng(1).integers(0, VOCABULARY, ROWS)
    p, q = torch.from_numpy(rows), torch.from_numpy(ids)
    theirs = partial(torch.ops.aten.embedding_dense_backward, p, q, VOCABULARY, -1, False)
    return Competitors(ours(threads, lambda c, *x: c.apply("add_rows", *x), base, ids, rows), {"torch": theirs})


MATRIX = ROWS * COLUMNS * FLOAT
CASES: tuple[tuple[str, Callable[[int], Competitors], int], ...] = (  # name, competitors, least bytes moved
    (f"sum rows {ROWS}x{COLUMNS}", row_sum, MATRIX),
    (f"sum columns {ROWS}x{COLUMNS}", column_sum, MATRIX),
    (f"softmax {ROWS}x{COLUMNS}", softmax, 2 * MATRIX),
    (f"layer norm {ROWS}x{COLUMNS}", layer_norm, 2 * MATRIX),
    (f"cross-entropy {ROWS // 4}x{VOCABULARY}", cross_entropy, ROWS // 4 * VOCABULARY * FLOAT),
    (f"AdamW {PARAMETERS}", adamw, 7 * PARAMETERS * FLOAT),
    (f"embedding gradient {VOCABULARY}x{COLUMNS} of {ROWS}", embedding_gradient, MATRIX + VOCABULARY * COLUMNS * FLOAT),
)


def cases() -> list[Case]:
    """Every composition."""
    return [Case(name, prepare, work, "bytes", quick=name.startswith("sum")) for name, prepare, work in CASES]
