"""A small job written by hand: rows of a table, dropout, one product, squared error, plain SGD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.job import JobFolder, open_job, write_job
from engine.program import Constant, Input, Node, Output, Program, verify
from kernels.backends import missing
from kernels.types import NUMPY_DTYPE, TensorType

BACKENDS = tuple(name for name in ("native", "portable", "spec") if not missing(name))
BACKEND = BACKENDS[0]
BATCH, ROWS, WIDTH, RECORDS = 3, 7, 4, 10


class Builder:
    """Writes a program value by value; every method gives a handle, numbered when the program is finished."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self.constants: list[Constant] = []
        self.nodes: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.outputs: list[tuple[str, str, Any]] = []

    def input(self, name: str, role: str, dtype: str, *shape: int) -> tuple[str, int]:
        self.inputs.append(Input(name, role, TensorType(dtype, shape)))
        return "input", len(self.inputs) - 1

    def constant(self, value: Any, dtype: str) -> tuple[str, int]:
        array = np.array(value, NUMPY_DTYPE[dtype])
        self.constants.append(Constant(TensorType(dtype, array.shape), array.tobytes()))
        return "constant", len(self.constants) - 1

    def node(self, op: str, *operands: tuple[str, int], **attributes: Any) -> tuple[str, int]:
        self.nodes.append((op, operands, attributes))
        return "node", len(self.nodes) - 1

    def output(self, name: str, role: str, value: tuple[str, int]) -> None:
        self.outputs.append((name, role, value))

    def number(self, handle: tuple[str, int]) -> int:
        first = {"input": 0, "constant": len(self.inputs), "node": len(self.inputs) + len(self.constants)}
        return first[handle[0]] + handle[1]

    def program(self) -> Program:
        nodes = tuple(
            Node(op, tuple(map(self.number, operands)), attributes) for op, operands, attributes in self.nodes
        )
        outputs = tuple(Output(name, role, self.number(value)) for name, role, value in self.outputs)
        return verify(Program(tuple(self.inputs), tuple(self.constants), nodes, outputs))


def fill(build: Builder, value: float, *shape: int) -> tuple[str, int]:
    """A tensor of one repeated number."""
    one = build.node("reshape", build.constant(value, "float32"), shape=(1,) * len(shape))
    return build.node("broadcast", one, shape=shape)


def small_program(rows: int = ROWS) -> Program:
    """table[ids] with dropout, times weight, against y; the gradients by hand; SGD with a rate per step."""
    build = Builder()
    table = build.input("table", "state", "float32", rows, WIDTH)
    weight = build.input("weight", "state", "float32", WIDTH, 1)
    frozen = build.input("frozen", "state", "int32", 5)
    ids = build.input("ids", "batch", "int64", BATCH)
    y = build.input("y", "batch", "float32", BATCH, 1)
    rate = build.input("rate", "schedule", "float32")
    step, seed = build.input("step", "step", "int64"), build.input("seed", "seed", "int64")
    x = build.node("take_rows", table, ids)
    micro_batch = build.constant(0, "int64")
    bits = build.node("random_bits", seed, step, micro_batch, site=0, shape=(BATCH, WIDTH))
    half = build.node("reshape", build.constant(2**31, "uint32"), shape=(1, 1))
    keep = build.node("lt", bits, build.node("broadcast", half, shape=(BATCH, WIDTH)))
    mask = build.node("select", keep, fill(build, 2.0, BATCH, WIDTH), fill(build, 0.0, BATCH, WIDTH))
    dropped = build.node("mul", x, mask)
    error = build.node("sub", build.node("matmul", dropped, weight, width="wide"), y)
    loss = build.node("sum", build.node("mul", error, error), axes=(0, 1))
    weight_gradient = build.node("matmul", build.node("permute", dropped, axes=(1, 0)), error, width="narrow")
    row_gradient = build.node("matmul", error, build.node("permute", weight, axes=(1, 0)), width="narrow")
    row_gradient = build.node("mul", row_gradient, mask)
    table_gradient = build.node("add_rows", fill(build, 0.0, rows, WIDTH), ids, row_gradient)
    build.output("table", "state", descend(build, table, table_gradient, rate, (rows, WIDTH)))
    build.output("weight", "state", descend(build, weight, weight_gradient, rate, (WIDTH, 1)))
    build.output("frozen", "state", frozen)
    build.output("loss", "metric", loss)
    return build.program()


def descend(build: Builder, parameter: Any, gradient: Any, rate: Any, shape: tuple[int, int]) -> Any:
    """parameter - rate * gradient."""
    rates = build.node("broadcast", build.node("reshape", rate, shape=(1, 1)), shape=shape)
    return build.node("sub", parameter, build.node("mul", rates, gradient))


def small_parts(rows: int = ROWS, steps: int = 12) -> dict[str, Any]:
    """What write_job takes for the small job."""
    numbers = np.random.default_rng(3)
    return {
        "program": small_program(rows),
        "start_state": {
            "table": numbers.standard_normal((rows, WIDTH)).astype(np.float32),
            "weight": numbers.standard_normal((WIDTH, 1)).astype(np.float32),
            "frozen": np.arange(5, dtype=np.int32),
        },
        "data_fields": {
            "ids": numbers.integers(0, ROWS, RECORDS).astype(np.uint8),
            "y": numbers.standard_normal((RECORDS, 1)).astype(np.float32),
        },
        "schedule": {"rate": (0.1 / np.arange(1, steps + 1)).astype(np.float32)},
        "seed": 11,
        "steps": steps,
        "batch_size": BATCH,
        "interval": 1,
        "backend": BACKEND,
    }


def small_job(folder: Path, **changes: Any) -> JobFolder:
    """The small job, written and opened."""
    rows, steps = changes.pop("rows", ROWS), changes.get("steps", 12)
    write_job(folder, **{**small_parts(rows, steps), **changes})
    return open_job(folder, BACKEND)
