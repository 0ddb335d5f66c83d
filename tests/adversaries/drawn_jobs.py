"""Small jobs whose step is drawn: any operators of the law in any order, empty tensors and faults among them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.job import JobFolder, open_job, write_job
from engine.program import Constant, Input, Node, Output, Program, verify
from kernels import spec
from kernels.types import TensorType
from tests.engine.small_jobs import BACKEND

STEPS, BATCH, RECORDS = 2, 3, 5
WIDTHS = ("narrow", "wide")
UNARY = ("neg", "abs", "sqrt", "rsqrt", "exp", "log", "sin", "tanh", "erf", "sigmoid", "floor", "round")
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "eq", "lt", "le", "bit_and", "bit_xor", "shift_left")
BINARY_INTEGER = ("floor_divide", "remainder", "shift_right", "bit_or")
INPUTS = (
    Input("w", "state", TensorType("float32", (3, 4))),
    Input("counts", "state", TensorType("int64", (3,))),
    Input("nothing", "state", TensorType("float32", (2, 0))),
    Input("x", "batch", TensorType("float32", (BATCH, 4))),
    Input("ids", "batch", TensorType("int64", (BATCH,))),
    Input("rate", "schedule", TensorType("float32", ())),
    Input("step", "step", TensorType("int64", ())),
    Input("seed", "seed", TensorType("int64", ())),
    Input("micro", "micro_batch", TensorType("int64", ())),
)
CONSTANTS = (
    np.array(-0.75, np.float32),
    np.array([3, 1, 2], np.int64),
    np.array([[np.inf, 1e-42, -0.0, 3e38], [0, 1, -2.5, 7e-39], [0.1, 1e30, 5, -1]], np.float32),
    np.array([[2, -1], [5, 0]], np.int32),
)
Draw = np.random.Generator


class Drawing:
    """A program being drawn: a proposal that the law refuses is dropped."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        constants = [TensorType(str(array.dtype), array.shape) for array in CONSTANTS]
        self.types = [value.type for value in INPUTS] + constants
        self.nodes: list[Node] = []

    def add(self, op: str, *operands: int, **attributes: Any) -> int | None:
        try:
            type_ = spec.infer(op, [self.types[operand] for operand in operands], attributes)
        except (ValueError, KeyError, IndexError):
            return None
        if type_.size > 200:
            return None
        self.types.append(type_)
        self.nodes.append(Node(op, operands, attributes))
        return len(self.types) - 1

    def any(self, dtype: str | None = None, rank: int | None = None) -> int:
        """A value, the later ones more often; of a dtype and a rank where there is one."""
        found = [n for n, t in enumerate(self.types) if dtype in (None, t.dtype) and rank in (None, len(t.shape))]
        return found[int(len(found) * self.draw.random() ** 0.5)] if found else 0

    def axis(self, value: int) -> int:
        return int(self.draw.integers(0, max(1, len(self.types[value].shape))))

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.draw.integers(0, len(choices)))]

    def pair(self, low: int, high: int) -> tuple[int, int]:
        return int(self.draw.integers(low, high)), int(self.draw.integers(low, high))

    def like(self, value: int) -> int:
        """Another value of the same type, if any."""
        found = [number for number, type_ in enumerate(self.types) if type_ == self.types[value]]
        return int(self.pick(*found))


def unary(d: Drawing) -> None:
    d.add(d.pick(*UNARY), d.any("float32"))


def binary(d: Drawing) -> None:
    x = d.any(d.pick("float32", "float32", "int64", "int32", "uint32", "bool"))
    d.add(d.pick(*BINARY, *(BINARY_INTEGER if d.types[x].dtype != "float32" else ())), x, d.like(x))


def cast(d: Drawing) -> None:
    d.add("cast", d.any(), dtype=d.pick("float32", "int64", "int32", "uint32", "bool"))


def choose(d: Drawing) -> None:
    x = d.any("float32")
    condition = d.add("lt", x, d.like(x))
    if condition is not None:
        d.add("select", condition, x, d.like(x))


def reduce(d: Drawing) -> None:
    x = d.any(d.pick("float32", "float32", "int64"))
    rank = len(d.types[x].shape)
    axes = tuple(axis for axis in range(rank) if d.draw.random() < 0.6)
    d.add(d.pick("sum", "sum", "amax", "amin"), x, axes=axes)


def scan(d: Drawing) -> None:
    x = d.any(d.pick("float32", "float32", "int64"))
    d.add(d.pick("cumsum", "argmax"), x, axis=d.axis(x))


def sort(d: Drawing) -> None:
    x = d.any(d.pick("float32", "float32", "int64"))
    axis = d.axis(x)
    order = d.add("argsort", x, axis=axis, descending=bool(d.draw.random() < 0.5))
    if order is not None:
        d.add("gather", d.like(x), order, axis=axis)
        base = d.any("float32", len(d.types[x].shape))
        d.add("scatter_add", base, order, x, axis=axis)


def rows(d: Drawing) -> None:
    ids, table = d.pick(4, 4, 4, 10, d.any("int64")), d.any("float32")
    taken = d.add("take_rows", table, ids)
    if taken is not None:
        d.add("add_rows", table, ids, taken)


def product(d: Drawing) -> None:
    a, b = d.any("float32", 2), d.any("float32", 2)
    turned = d.add("permute", b, axes=(1, 0))
    if turned is not None:
        d.add("matmul", a, turned, width=d.pick(*WIDTHS))
        d.add("matmul", turned, a, width=d.pick(*WIDTHS))


def convolution(d: Drawing) -> None:
    x = d.any("float32", 2)
    M, N = d.types[x].shape
    image = d.add("reshape", x, shape=d.pick((1, 1, M, N), (1, M, 1, N), (M, 1, N, 1)))
    w = d.any("float32", 2)
    R, S = d.types[w].shape
    kernel = d.add("reshape", w, shape=d.pick((1, 1, R, S), (R, 1, 1, S), (S, R, 1, 1)))
    if image is None or kernel is None:
        return
    shared = {"stride": d.pair(1, 3), "padding": d.pair(0, 3), "dilation": d.pair(1, 3), "width": d.pick(*WIDTHS)}
    shared["groups"] = int(d.pick(1, 1, max(1, d.types[image].shape[1])))
    out = d.add("conv", image, kernel, **shared)
    if out is not None:
        d.add("conv_grad_input", out, kernel, size=d.types[image].shape[2:], **shared)
        d.add("conv_grad_weight", out, image, size=d.types[kernel].shape[2:], **shared)
    window = {"kernel": d.pair(1, 3), "stride": d.pair(1, 3), "padding": d.pair(0, 2), "dilation": d.pair(1, 2)}
    d.add("max_pool_index", image, **window)


def layout(d: Drawing) -> None:
    x = d.any()
    shape = d.types[x].shape
    match d.pick("permute", "reshape", "slice", "broadcast"):
        case "permute":
            d.add("permute", x, axes=tuple(int(axis) for axis in d.draw.permutation(len(shape))))
        case "reshape":
            size = d.types[x].size
            d.add("reshape", x, shape=d.pick((size,), (1, size), (*shape, 1), shape[::-1], (2, size // 2)))
        case "slice":
            starts = tuple(int(d.draw.integers(0, size + 1)) for size in shape)
            stops = tuple(int(d.draw.integers(low, size + 1)) for low, size in zip(starts, shape, strict=True))
            d.add("slice", x, start=starts, stop=stops, step=tuple(int(d.pick(1, 2)) for _ in shape))
        case "broadcast":
            target = tuple(int(d.pick(2, 3, 0)) if size == 1 else size for size in shape)
            d.add("broadcast", x, shape=target)


def move(d: Drawing) -> None:
    x = d.any("float32")
    rank = len(d.types[x].shape)
    match d.pick("concat", "pad", "iota", "random"):
        case "concat":
            d.add("concat", x, d.like(x), d.any("float32", rank), axis=d.axis(x))
            d.add("concat", x, d.like(x), axis=d.axis(x))
        case "pad":
            amounts = [tuple(int(n) for n in d.draw.integers(0, 3, rank)) for _ in range(2)]
            d.add("pad", x, d.any("float32", 0), low=amounts[0], high=amounts[1])
        case "iota":
            d.add("iota", shape=d.pick((3,), (2, 3), (0, 2), (4,)), axis=0, dtype=d.pick("int64", "int32"))
        case "random":
            shape = d.pick((3, 4), (5,), (0,), (2, 2))
            step = d.pick(6, 6, 6, d.any("int64", 0))
            d.add("random_bits", 7, step, 8, site=int(d.draw.integers(0, 9)), shape=shape)


KINDS: tuple[Callable[[Drawing], None], ...] = (
    unary,
    binary,
    cast,
    choose,
    reduce,
    scan,
    sort,
    rows,
    product,
    convolution,
    layout,
    move,
)


def drawn_program(seed: int, nodes: int = 24) -> Program:
    """A program of at least so many nodes, whose state depends on what was drawn last."""
    d = Drawing(seed)
    while len(d.nodes) < nodes:
        d.pick(*KINDS)(d)
    ends = {value.name: last_of(d, value.type) for value in INPUTS if value.role == "state"}
    outputs = tuple(Output(name, "state", number) for name, number in ends.items())
    constants = tuple(Constant(TensorType(str(a.dtype), a.shape), a.tobytes()) for a in CONSTANTS)
    return verify(Program(INPUTS, constants, tuple(d.nodes), outputs))


def last_of(d: Drawing, type_: TensorType) -> int:
    return max(number for number, found in enumerate(d.types) if found == type_)


def drawn_job(folder: Path, seed: int, nodes: int = 24) -> JobFolder:
    """The job of a drawn program on drawn numbers."""
    draw = np.random.default_rng(seed + 10**6)
    write_job(
        folder,
        drawn_program(seed, nodes),
        {"w": floats(draw, 3, 4), "counts": np.arange(3), "nothing": np.zeros((2, 0), np.float32)},
        {"x": floats(draw, RECORDS, 4), "ids": draw.integers(0, 3, RECORDS).astype(np.uint8)},
        {"rate": np.full(STEPS, 0.1, np.float32)},
        seed=seed,
        steps=STEPS,
        batch_size=BATCH,
        interval=int(draw.integers(1, STEPS + 1)),
        backend=BACKEND,
    )
    return open_job(folder, BACKEND)


def floats(draw: Draw, *shape: int) -> np.ndarray:
    """Ordinary numbers, and now and then a special one."""
    array = draw.standard_normal(shape).astype(np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, 1e-42, 3e38], np.float32)
    where = draw.random(array.shape) < 0.03
    array[where] = draw.choice(special, int(where.sum()))
    return array
