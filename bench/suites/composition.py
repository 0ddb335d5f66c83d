"""A computation written operator by operator, then run as the engine runs a program: fused where it fuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.execute import Executor
from engine.program import Constant, Input, Node, Output, Program, verify
from engine.resident import Resident
from kernels import spec
from kernels.types import TensorType, type_of

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the program: which of the inputs, constants or nodes it is."""

    kind: str
    index: int
    type: TensorType


class Composition:
    """A program in the making. Inputs are the arrays it will be timed on."""

    def __init__(self, *arrays: Array) -> None:
        self.arrays = {f"input {i}": array for i, array in enumerate(arrays)}
        self.inputs = [Value("input", i, type_of(array)) for i, array in enumerate(arrays)]
        self.constants: list[Constant] = []
        self.nodes: list[tuple[str, tuple[Value, ...], dict[str, object]]] = []

    def apply(self, op: str, *operands: Value, **attributes: object) -> Value:
        """One operator."""
        result = spec.infer(op, [operand.type for operand in operands], attributes)
        self.nodes.append((op, operands, attributes))
        return Value("node", len(self.nodes) - 1, result)

    def spread(self, x: Value, like: Value) -> Value:
        """One value per row, or per column where x is shorter than the rows, along all of like."""
        rows = x.type.shape == like.type.shape[:1]
        shape = (*x.type.shape, 1) if rows else (1, *x.type.shape)
        return self.apply("broadcast", self.apply("reshape", x, shape=shape), shape=like.type.shape)

    def per_row(self, op: str, x: Value) -> Value:
        """A reduction of each row, along all of the row again."""
        return self.spread(self.apply(op, x, axes=(1,)), x)

    def per_rows(self, op: str, x: Value, number: float) -> Value:
        """An operator of one value per row and a number."""
        return self.apply(op, x, self.number(number, x))

    def number(self, value: float, like: Value) -> Value:
        """A number along all of like."""
        ones = (1,) * len(like.type.shape)
        self.constants.append(Constant(TensorType("float32", ones), np.float32(value).tobytes()))
        constant = Value("constant", len(self.constants) - 1, self.constants[-1].type)
        return constant if ones == like.type.shape else self.apply("broadcast", constant, shape=like.type.shape)

    def program(self, results: Sequence[Value], following: Sequence[Value] = ()) -> Program:
        """The program that gives the results.

        following: the next contents of the inputs, where these are a state
        """
        first = {"input": 0, "constant": len(self.inputs), "node": len(self.inputs) + len(self.constants)}

        def place(value: Value) -> int:
            return first[value.kind] + value.index

        role = "state" if following else "batch"
        inputs = tuple(Input(f"input {value.index}", role, value.type) for value in self.inputs)
        nodes = tuple(Node(op, tuple(map(place, operands)), names) for op, operands, names in self.nodes)
        outputs = [Output(f"output {i}", "metric", place(value)) for i, value in enumerate(results)]
        outputs += [Output(f"input {i}", role, place(value)) for i, value in enumerate(following)]
        return verify(Program(inputs, tuple(self.constants), nodes, tuple(outputs)))

    def runner(self, *results: Value, threads: int) -> Callable[[], list[Array]]:
        """A function that computes the results from the inputs, in new arrays."""
        step = Executor(self.program(results), "native", threads).step
        return lambda: list(step(self.arrays).values())

    def resident(
        self, results: Sequence[Value], following: Sequence[Value], threads: int
    ) -> Callable[[], dict[str, Array]]:
        """A function that gives the results and moves the inputs to their next contents, as training does: everything
        but the results has its place beforehand."""
        resident = Resident(self.program(results, following), "native", threads)
        resident.load(self.arrays)
        return lambda: resident.step({})
