"""Programs made of what groups fuse: elementwise operators, reductions of rows, layouts, in any order."""

from __future__ import annotations

import numpy as np

from engine.program import Input, Node, Output, Program, verify
from kernels import spec
from kernels.types import NUMPY_DTYPE, TensorType

UNARY = ("exp", "neg", "abs", "sqrt", "tanh", "sigmoid")
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")


class Writer:
    """Builds a program node by node."""

    def __init__(self, *types: TensorType) -> None:
        self.types = list(types)
        self.inputs = tuple(Input(f"x{i}", "batch", t) for i, t in enumerate(types))
        self.nodes: list[Node] = []

    def __call__(self, op: str, *operands: int, **attributes: object) -> int:
        self.types.append(spec.infer(op, [self.types[o] for o in operands], attributes))
        self.nodes.append(Node(op, operands, attributes))
        return len(self.types) - 1

    def repeat(self, x: int, shape: tuple[int, ...]) -> int:
        """A value per row, repeated along rows of the shape."""
        column = self("reshape", x, shape=(*self.types[x].shape, 1))
        return self("broadcast", column, shape=shape)

    def program(self) -> Program:
        return verify(Program(self.inputs, (), tuple(self.nodes), (Output("last", "metric", len(self.types) - 1),)))


def softmax(write: Writer, x: int) -> int:
    shape = write.types[x].shape
    axes = (len(shape) - 1,)
    shifted = write("sub", x, write.repeat(write("amax", x, axes=axes), shape))
    e = write("exp", shifted)
    return write("div", e, write.repeat(write("sum", e, axes=axes), shape))


def random_program(seed: int) -> Program:
    """Elementwise operators, reductions of rows, layouts and permutations in any order."""
    random = np.random.default_rng(seed)
    shape = (int(random.integers(1, 5)), int(random.integers(1, 7)), int(random.integers(2, 40)))
    write = Writer(*(TensorType("float32", shape) for _ in range(3)))
    full, rows = list(range(3)), []
    for _ in range(int(random.integers(3, 40))):
        kind = random.choice(["unary", "binary", "reduce", "spread", "row", "turn", "select", "flat"])
        x, y = (int(random.choice(full)) for _ in range(2))
        if kind == "unary":
            full.append(write(str(random.choice(UNARY)), x))
        elif kind == "binary":
            full.append(write(str(random.choice(BINARY)), x, y))
        elif kind == "reduce":
            rows.append(write(str(random.choice(["sum", "amax", "amin"])), x, axes=(2,)))
        elif kind == "spread" and rows:
            full.append(write(str(random.choice(BINARY)), x, write.repeat(int(random.choice(rows)), shape)))
        elif kind == "row" and rows:
            rows.append(write(str(random.choice(BINARY)), *(int(random.choice(rows)) for _ in range(2))))
        elif kind == "turn":
            turned = write("permute", x, axes=(2, 0, 1))
            back = write("permute", write("exp", turned), axes=(1, 2, 0))
            full.append(write("add", y, back))
        elif kind == "select":
            full.append(
                write("select", write("lt", x, y), x, write("cast", write("cast", y, dtype="int32"), dtype="float32"))
            )
        elif kind == "flat":
            flat = write("reshape", x, shape=(shape[0] * shape[1], shape[2]))
            full.append(write("reshape", write("neg", flat), shape=shape))
    return write.program()


def random_inputs(program: Program, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    arrays = [random.standard_normal(v.type.shape).astype(NUMPY_DTYPE[v.type.dtype]) for v in program.inputs]
    for array in arrays:
        odd = random.random(array.shape) < 0.02
        array[odd] = random.choice(np.array([0.0, -0.0, np.inf, -np.inf, 1e-42, 3e38], np.float32), odd.sum())
    return arrays
