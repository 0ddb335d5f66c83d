"""Run by test_triton.py with TRITON_INTERPRET=1: generated kernels on the CPU against operators one by one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

from random_programs import Writer, random_inputs, random_program, softmax

from engine import emission, fusion
from engine.program import Program
from kernels import backends, conformance, spec
from kernels.group import ELEMENTWISE, ROW_REDUCTIONS, Group, Register, Step
from kernels.triton import MEMORY
from kernels.triton.group import compile_group
from kernels.types import TensorType, type_of

BLOCKS = {"whole rows": (2**16, 2**16), "passes": (32, 4), "many programs": (64, 64)}
ALONE = [
    case for case in conformance.cases() if case.op in ELEMENTWISE and case.fault is None and case.inputs[0].size > 0
]


def fused(program: Program, inputs: list[np.ndarray], elements: int, longest: int) -> dict[int, np.ndarray]:
    """Every value of a program, its groups in kernels of these blocks."""
    native = backends.load("native")
    values: dict[int, np.ndarray] = dict(enumerate(inputs))

    def value(number: int) -> np.ndarray:
        node = program.nodes[number - program.first_node] if number >= program.first_node else None
        if number not in values and node is not None and spec.is_layout(node.op):
            return native.run(node.op, [value(node.operands[0])], node.attributes)
        return values[number]

    for unit in fusion.units_of(program):
        if unit.is_group:
            group, reads, writes = emission.group_of(program, unit, frozenset(range(len(program.types))))
            run = compile_group(group, elements, longest)
            with np.errstate(all="ignore"):
                results = run([MEMORY.put(value(number)) for number in reads], 1)
            values.update(zip(writes, map(MEMORY.get, results), strict=True))
        else:
            node = program.nodes[unit.members[0] - program.first_node]
            values[unit.members[0]] = native.run(node.op, [value(o) for o in node.operands], node.attributes)
    return values


def one_by_one(program: Program, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Every value of a program, by the definition."""
    values = list(inputs)
    for node in program.nodes:
        values.append(spec.run(node.op, [values[o] for o in node.operands], node.attributes))
    return values


def assert_fused_equals_one_by_one(program: Program, seed: int, blocks: str) -> None:
    inputs = random_inputs(program, seed)
    want = one_by_one(program, inputs)
    for number, got in fused(program, inputs, *BLOCKS[blocks]).items():
        assert got.tobytes() == np.ascontiguousarray(want[number]).tobytes(), f"%{number}"


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("seed", range(25))
def test_a_generated_kernel_has_the_bits_of_its_members(seed: int, blocks: str) -> None:
    assert_fused_equals_one_by_one(random_program(seed), seed, blocks)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("shape", [(3, 5), (7, 130), (2, 3, 65)])
def test_a_softmax_is_one_kernel(shape: tuple[int, ...], blocks: str) -> None:
    write = Writer(TensorType("float32", shape))
    softmax(write, 0)
    assert [unit.is_group for unit in fusion.units_of(write.program())] == [True]
    assert_fused_equals_one_by_one(write.program(), 1, blocks)


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_an_operator_alone_in_a_kernel_equals_the_spec(case: conformance.Case) -> None:
    want = spec.run(case.op, case.inputs, case.attributes)
    registers = tuple(Register(type_of(x).dtype, False) for x in (*case.inputs, want))
    last = len(case.inputs)
    step = Step(case.op, last, tuple(range(last)))
    group = Group(want.size, 0, registers, last, ((last, type_of(want)),), (step,))
    with np.errstate(all="ignore"):
        (got,) = compile_group(group)([MEMORY.put(x) for x in case.inputs], 1)
    assert MEMORY.get(got).tobytes() == np.ascontiguousarray(want).tobytes()


@pytest.mark.parametrize("op", ROW_REDUCTIONS)
@pytest.mark.parametrize("blocks", BLOCKS)
def test_a_reduction_of_rows_in_a_kernel_equals_the_spec(op: str, blocks: str) -> None:
    for case in conformance.cases():
        x = case.inputs[0] if case.inputs else np.zeros(0)
        if case.op != op or x.dtype != np.float32 or not 1 < x.size <= 5000 or not np.isin(x.ndim, (1, 2)):
            continue
        rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
        if rows.shape[1] < 2:
            continue
        write = Writer(TensorType("float32", rows.shape))
        write(op, 0, axes=(1,))
        got = fused(write.program(), [rows], *BLOCKS[blocks])[1]
        assert got.tobytes() == spec.run(op, [rows], {"axes": (1,)}).tobytes(), case.name


def test_inputs_of_any_strides_are_read_where_they_lie() -> None:
    base = np.random.default_rng(2).standard_normal((6, 4, 10)).astype(np.float32)
    views = [base.transpose(2, 0, 1), base.transpose(1, 2, 0).reshape(10, 6, 4), base[:1, :1, :1], base[0].T[:, None]]
    views += [base.reshape(10, 6, 4)[:, ::-1][:, ::2].repeat(2, axis=1), base.reshape(10, 6, 4)[:, :1, :]]
    inputs = [np.broadcast_to(x, (10, 6, 4)) for x in views]
    for columns in (0, 4):
        registers = tuple(Register("float32", False) for _ in range(len(inputs) + 1))
        last = len(inputs)
        steps = [Step("add", last, (0, 1)), *(Step("sub", last, (last, n)) for n in range(2, last))]
        group = Group(240, columns, registers, last, ((last, TensorType("float32", (10, 6, 4))),), tuple(steps))
        (got,) = compile_group(group, 32, 64)([MEMORY.put(x) for x in inputs], 1)
        want = inputs[0] + inputs[1]
        for x in inputs[2:]:
            want = want - x
        assert MEMORY.get(got).tobytes() == want.tobytes()


def test_an_output_may_be_an_input_that_later_steps_read() -> None:
    """x' = x + y, then z = x' * x: x' lands on x, whose old values the second step still wants."""
    x, y = (np.random.default_rng(seed).standard_normal(5003).astype(np.float32) for seed in range(2))
    type_ = TensorType("float32", (5003,))
    steps = (Step("add", 2, (0, 1)), Step("mul", 3, (2, 0)))
    group = Group(5003, 0, (Register("float32", False),) * 4, 2, ((2, type_), (3, type_)), steps)
    want, place, product = x + y, MEMORY.put(x.copy()), MEMORY.put(np.empty_like(x))
    compile_group(group, 256)([place, MEMORY.put(y)], 1, [place, product])
    assert MEMORY.get(place).tobytes() == want.tobytes()
    assert MEMORY.get(product).tobytes() == (want * x).tobytes()
