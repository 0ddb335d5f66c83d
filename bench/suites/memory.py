"""What is bound by memory: sums, softmax, normalisation, losses, AdamW and the embedding's gradient, from operators."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch

from bench.case import Case, Competitors, Work, backend, normal

ROWS, COLUMNS = 4096, 768
VOCABULARY = 8192
PARAMETERS = 2**22
FLOAT = 4


class Composition:
    """Operators of the law applied one after another, each a pass over memory of its own."""

    def __init__(self, threads: int) -> None:
        self.run = partial(backend().run, threads=threads)

    def apply(self, op: str, *inputs: np.ndarray, **attributes: object) -> np.ndarray:
        """One operator."""
        return self.run(op, list(inputs), attributes)

    def per_row(self, op: str, x: np.ndarray) -> np.ndarray:
        """A reduction of each row, spread over the row again by strides."""
        return np.broadcast_to(self.apply(op, x, axes=(1,))[:, None], x.shape)

    def number(self, value: float, shape: tuple[int, ...]) -> np.ndarray:
        """A number spread over a shape by strides."""
        return np.broadcast_to(np.float32(value), shape)

    def softmax(self, x: np.ndarray) -> np.ndarray:
        powers = self.apply("exp", self.apply("sub", x, self.per_row("amax", x)))
        return self.apply("div", powers, self.per_row("sum", powers))

    def layer_norm(self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        share = self.number(1 / x.shape[1], x.shape)
        centred = self.apply("sub", x, self.apply("mul", self.per_row("sum", x), share))
        variance = self.apply("mul", self.per_row("sum", self.apply("mul", centred, centred)), share)
        scale = self.apply("rsqrt", self.apply("add", variance, self.number(1e-5, x.shape)))
        scaled = self.apply("mul", self.apply("mul", centred, scale), np.broadcast_to(weight, x.shape))
        return self.apply("add", scaled, np.broadcast_to(bias, x.shape))

    def cross_entropy(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        shifted = self.apply("sub", x, self.per_row("amax", x))
        total = self.apply("log", self.apply("sum", self.apply("exp", shifted), axes=(1,)))
        chosen = self.apply("gather", shifted, target[:, None], axis=1)[:, 0]
        losses = self.apply("sub", total, chosen)
        return self.apply("div", self.apply("sum", losses, axes=(0,)), np.float32(len(target)))

    def adamw(self, p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
        apply, number = self.apply, partial(self.number, shape=p.shape)
        m = apply("add", apply("mul", m, number(0.9)), apply("mul", g, number(0.1)))
        v = apply("add", apply("mul", v, number(0.999)), apply("mul", apply("mul", g, g), number(0.001)))
        scale = apply("add", apply("sqrt", v), number(1e-8))
        decayed = apply("mul", p, number(1 - 1e-5))
        return [apply("sub", decayed, apply("mul", number(1e-3), apply("div", m, scale))), m, v]


def torch_and_compiled(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> dict[str, Work]:
    """torch's own kernels, and what torch.compile makes of the same function at its first, untimed call."""
    compiled = cache(lambda: torch.compile(function, dynamic=False))
    return {"torch": partial(function, *inputs), "torch_compile": lambda: compiled()(*inputs)}


def softmax(threads: int) -> Competitors:
    x = normal(ROWS, COLUMNS)
    rivals = torch_and_compiled(lambda p: torch.softmax(p, -1), torch.from_numpy(x))
    return Competitors(partial(Composition(threads).softmax, x), rivals)


def layer_norm(threads: int) -> Competitors:
    x, weight, bias = normal(ROWS, COLUMNS), normal(COLUMNS, seed=1), normal(COLUMNS, seed=2)
    p, w, b = map(torch.from_numpy, (x, weight, bias))
    rivals = torch_and_compiled(lambda p, w, b: torch.nn.functional.layer_norm(p, (COLUMNS,), w, b), p, w, b)
    return Competitors(partial(Composition(threads).layer_norm, x, weight, bias), rivals)


def row_sum(threads: int) -> Competitors:
    x = normal(ROWS, COLUMNS)
    ours = partial(Composition(threads).apply, "sum", x, axes=(1,))
    return Competitors(ours, {"torch": partial(torch.sum, torch.from_numpy(x), 1)})


def column_sum(threads: int) -> Competitors:
    x = normal(ROWS, COLUMNS)
    ours = partial(Composition(threads).apply, "sum", x, axes=(0,))
    return Competitors(ours, {"torch": partial(torch.sum, torch.from_numpy(x), 0)})


def cross_entropy(threads: int) -> Competitors:
    x = normal(ROWS // 4, VOCABULARY)
    target = np.random.default_rng(1).integers(0, VOCABULARY, ROWS // 4)
    rivals = torch_and_compiled(torch.nn.functional.cross_entropy, torch.from_numpy(x), torch.from_numpy(target))
    return Competitors(partial(Composition(threads).cross_entropy, x, target), rivals)


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

    return Competitors(partial(Composition(threads).adamw, p, g, m, v), {"torch": theirs})


def embedding_gradient(threads: int) -> Competitors:
    base, rows = np.zeros((VOCABULARY, COLUMNS), np.float32), normal(ROWS, COLUMNS)
    ids = np.random.default_rng(1).integers(0, VOCABULARY, ROWS)
    ours = partial(Composition(threads).apply, "add_rows", base, ids, rows)
    p, q = torch.from_numpy(rows), torch.from_numpy(ids)
    theirs = partial(torch.ops.aten.embedding_dense_backward, p, q, VOCABULARY, -1, False)
    return Competitors(ours, {"torch": theirs})


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
