"""Small models around one composite each, and the sequence of operators that the tracer makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.plain_torch import job_of
from engine.program import Constant, Node, Program
from engine.trace import trace
from kernels import spec
from kernels.types import NUMPY_DTYPE

ROWS = 4
PROBE = "g"  # the loss is the sum of the composite's value times this, so its gradient is this
Shapes = Mapping[str, tuple[int, ...]]
Function = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Tensor]


class Model(nn.Module):
    """The operands as parameters."""

    def __init__(self, operands: Shapes) -> None:
        super().__init__()
        for name, shape in operands.items():
            self.register_parameter(name, nn.Parameter(torch.ones(shape)))


def traced(function: Function, operands: Shapes, optimizer: Any = None) -> Program:
    """One training step of a loss that is the sum of PROBE times the composite."""
    model = Model(operands)
    target = np.arange(3 * ROWS) % 3
    y = function(dict(model.named_parameters()), {"t": torch.from_numpy(target[:ROWS])})
    data = {PROBE: np.ones((3 * ROWS, *y.shape[1:]), np.float32), "t": target}

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return (function(dict(model.named_parameters()), batch) * batch[PROBE]).sum()

    build = optimizer or (lambda parameters: torch.optim.SGD(parameters, lr=0.5))
    return trace(job_of(model, loss, data, build(model.parameters()), batch_size=ROWS)).program


def sequence(program: Program, values: Mapping[str, int]) -> str:
    """The operators that lead to the values, in the program's order, as text; layout operators are left out."""
    return Sequence(program, values).text()


class Sequence:
    """The text of some values of a program: every operator once, its result under a letter."""

    def __init__(self, program: Program, values: Mapping[str, int]) -> None:
        self.program = program
        self.results = {self.source(number): name for name, number in values.items()}
        self.letters = iter("abcdefhijklmnopqrsu")
        self.names: dict[int, str] = {}
        self.written: set[int] = set()

    def node(self, number: int) -> Node | None:
        at = number - self.program.first_node
        return self.program.nodes[at] if at >= 0 else None

    def source(self, number: int) -> int:
        """The value behind layout operators."""
        node = self.node(number)
        return self.source(node.operands[0]) if node and spec.is_layout(node.op) else number

    def cone(self, number: int, found: set[int]) -> set[int]:
        """The nodes that a value needs."""
        number = self.source(number)
        node = self.node(number)
        if node and number not in found:
            found.add(number)
            for operand in node.operands:
                self.cone(operand, found)
        return found

    def name(self, number: int) -> str:
        number = self.source(number)
        if number in self.names:
            return self.names[number]
        if number < self.program.first_constant:
            return self.program.inputs[number].name.split(".")[-1]
        return _number(self.program.constants[number - self.program.first_constant])

    def then(self, values: Mapping[str, int]) -> Sequence:
        """What further values need of which nothing is written yet, under capital letters."""
        self.results = {self.source(number): name for name, number in values.items()}
        self.letters = iter([*"ABCDEFHIJKLMNOPQRSTUVWXYZ", *(f"A{n}" for n in range(1, 100))])
        return self

    def text(self) -> str:
        found: set[int] = set()
        for number in self.results:
            self.cone(number, found)
        lines = []
        new, self.written = found - self.written, self.written | found
        for number in sorted(new):
            node = self.node(number)
            assert node is not None, "a cone holds nodes only"
            call = f"{node.op}({', '.join(map(self.name, node.operands))})"
            self.names[number] = self.results.get(number) or next(self.letters)
            lines.append(f"{self.names[number]} = {call}")
        return "; ".join(lines)


def _number(constant: Constant) -> str:
    values = np.unique(np.frombuffer(constant.data, NUMPY_DTYPE[constant.type.dtype]))
    many = "mask" if constant.type.dtype == "float32" else "classes"
    return str(values[0]).removesuffix(".0") if values.size == 1 else many


def forward(program: Program) -> str:
    """The sequence of the composite itself."""
    return sequence(program, {"y": _composite(program)})


def _composite(program: Program) -> int:
    """The value that is multiplied with the probe."""
    view = Sequence(program, {})
    (loss,) = (view.node(view.source(output.value)) for output in program.outputs_of("metric"))
    assert loss and loss.op == "sum", "the loss is a sum"
    product = view.node(view.source(loss.operands[0]))
    assert product and product.op == "mul", "of the composite times the probe"
    return product.operands[0]


def backward(program: Program) -> str:
    """The sequence of the gradients, after the composite's own: what plain SGD scales and subtracts."""
    view = Sequence(program, {"y": _composite(program)})
    view.text()
    gradients = {}
    for output in program.outputs_of("state"):
        subtracted = view.node(view.source(output.value))
        assert subtracted and subtracted.op == "sub", "SGD subtracts"
        scaled = view.node(view.source(subtracted.operands[1]))
        assert scaled and scaled.op == "mul", "the gradient times the rate"
        gradients[f"d{output.name.split('.')[-1]}"] = scaled.operands[0]
    return view.then(gradients).text()


def update(program: Program) -> str:
    """The sequence of the optimizer: the next state from the state and the gradient, which is the probe."""
    return sequence(
        program, {f"next {output.name.split('.')[-1]}": output.value for output in program.outputs_of("state")}
    )


MATRIX, IMAGE, HEADS = (ROWS, 6), (ROWS, 6, 5, 5), (ROWS, 2, 3, 8)
AFFINE = {"w": (6,), "bias": (6,)}


def attention(p: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """The composite of queries, keys and values, causal."""
    return F.scaled_dot_product_attention(p["q"], p["key"], p["v"], is_causal=True)


COMPOSITES: dict[str, tuple[Function, Shapes]] = {
    "softmax": (lambda p, _: F.softmax(p["x"], -1), {"x": MATRIX}),
    "log-softmax": (lambda p, _: F.log_softmax(p["x"], -1), {"x": MATRIX}),
    "layer norm": (lambda p, _: F.layer_norm(p["x"], (6,), p["w"], p["bias"]), {"x": MATRIX, **AFFINE}),
    "RMS norm": (lambda p, _: F.rms_norm(p["x"], (6,), p["w"], 1e-5), {"x": MATRIX, "w": (6,)}),
    "batch norm": (
        lambda p, _: F.batch_norm(p["x"], None, None, p["w"], p["bias"], training=True),
        {"x": IMAGE, **AFFINE},
    ),
    "group norm": (lambda p, _: F.group_norm(p["x"], 3, p["w"], p["bias"]), {"x": IMAGE, **AFFINE}),
    "GELU": (lambda p, _: F.gelu(p["x"]), {"x": MATRIX}),
    "GELU, tanh": (lambda p, _: F.gelu(p["x"], approximate="tanh"), {"x": MATRIX}),
    "SiLU": (lambda p, _: F.silu(p["x"]), {"x": MATRIX}),
    "attention": (attention, {"q": HEADS, "key": HEADS, "v": HEADS}),
    "cross-entropy": (lambda p, batch: F.cross_entropy(p["x"], batch["t"], reduction="none"), {"x": MATRIX}),
}
OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.5),
    "SGD, momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.5, momentum=0.75, weight_decay=0.125),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.5, betas=(0.75, 0.875), weight_decay=0.125),
}


def sequences() -> dict[str, str]:
    """The sequence of every composite, by its name."""
    programs = {name: traced(function, operands) for name, (function, operands) in COMPOSITES.items()}
    found = {name: forward(program) for name, program in programs.items()}
    found |= {f"{name}, gradient": backward(program) for name, program in programs.items()}
    for name, optimizer in OPTIMIZERS.items():
        found[name] = update(traced(lambda p, _: p["p"], {"p": MATRIX}, optimizer))
    return found
