"""Fusing changes no bit: every group gives what its members give one by one, whatever the program."""

from __future__ import annotations

import numpy as np
import pytest
from random_programs import Writer, random_inputs, random_program, softmax

from engine import emission, fusion
from engine.execute import Executor, NodeFault
from engine.program import Program
from kernels import backends, spec
from kernels.types import TensorType


def one_by_one(program: Program, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Every value of a program, each operator by itself."""
    values = list(inputs)
    for node in program.nodes:
        values.append(
            backends.load("native").run(node.op, [values[o] for o in node.operands], node.attributes, threads=1)
        )
    return values


def fused(
    program: Program, inputs: list[np.ndarray], threads: int, everything: bool
) -> tuple[dict[int, np.ndarray], list[emission.Unit]]:
    """The values that leave the units (or all, of everything), by running the units in their order."""
    values: dict[int, np.ndarray] = dict(enumerate(inputs))
    native = backends.load("native")
    assert native.compile_group is not None
    layouts = {n: node for n, node in program.numbered_nodes() if spec.is_layout(node.op)}

    def value(number: int) -> np.ndarray:
        if number not in values and number in layouts:
            node = layouts[number]
            return native.run(node.op, [value(node.operands[0])], node.attributes)
        return values[number]

    units = fusion.units_of(program, with_gather=True)
    needed = frozenset(range(len(program.types))) if everything else fusion.read_outside(program, units)
    for unit in units:
        if unit.is_group:
            group, reads, writes = emission.group_of(program, unit, needed)
            if not writes:
                continue
            values.update(zip(writes, native.compile_group(group)([value(n) for n in reads], threads), strict=True))
        else:
            node = program.nodes[unit.members[0] - program.first_node]
            values[unit.members[0]] = native.run(node.op, [value(o) for o in node.operands], node.attributes)
    return values, units


def assert_fused_equals_one_by_one(program: Program, seed: int, threads: int = 1) -> list[emission.Unit]:
    inputs = random_inputs(program, seed)
    want = one_by_one(program, inputs)
    for everything in (True, False):
        got, units = fused(program, inputs, threads, everything)
        assert not everything or len(got) == len(inputs) + sum(len(unit.members) for unit in units)
        for number in set(got) - set(range(len(inputs))):
            assert got[number].tobytes() == np.ascontiguousarray(want[number]).tobytes(), f"%{number}"
    return units


@pytest.mark.parametrize("seed", range(150))
def test_a_fused_program_has_the_bytes_of_its_nodes(seed: int) -> None:
    assert_fused_equals_one_by_one(random_program(seed), seed, threads=1 + seed % 2)


@pytest.mark.parametrize("shape", [(3, 5), (64, 300), (2, 3, 1025), (1, 5000), (700, 2)])
def test_softmax_is_one_group(shape: tuple[int, ...]) -> None:
    write = Writer(TensorType("float32", shape))
    softmax(write, 0)
    units = assert_fused_equals_one_by_one(write.program(), 1, threads=2)
    assert len(units) == 1 and units[0].is_group


def test_groups_of_two_operands_become_one() -> None:
    write = Writer(*(TensorType("float32", (100, 100)) for _ in range(4)))
    left, right = write("mul", 0, 1), write("mul", 2, 3)
    write("sqrt", write("add", left, right))
    units = assert_fused_equals_one_by_one(write.program(), 2)
    assert len(units) == 1


def test_a_value_that_comes_back_through_another_node_stays_outside() -> None:
    write = Writer(TensorType("float32", (6, 6)))
    a = write("exp", 0)
    product = write("matmul", a, a, width="wide")
    write("add", a, product)
    units = assert_fused_equals_one_by_one(write.program(), 3)
    assert [len(unit.members) for unit in units] == [1, 1, 1]


def test_a_group_is_refused_where_its_code_would_read_or_write_elsewhere() -> None:
    from kernels import _native

    x, out = np.zeros(8, np.float32), np.zeros(8, np.float32)
    add, index = _native.operator_index("add"), _native.operator_index("take_rows")
    good = [2, 0, 0, 0, 0, 1, add, 1, 0, 0, -1]
    _native.run_group([x], [out], np.array(good, np.int32), 8)
    for place, value in [
        (0, 0),
        (0, 5000),
        (1, 9),
        (2, 1),
        (5, 0),
        (5, 2),
        (6, index),
        (6, 9999),
        (7, 0),
        (7, 2),
        (8, 2),
        (8, 1),
        (9, -1),
    ]:
        bad = list(good)
        bad[place] = value
        with pytest.raises(ValueError, match="group"):
            _native.run_group([x], [out], np.array(bad, np.int32), 8)
    for size in (7, 9, 0, -1):
        with pytest.raises(ValueError, match="group"):
            _native.run_group([x], [out], np.array(good, np.int32), size)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_output_may_be_an_input_that_later_steps_read(threads: int) -> None:
    """x' = x + y, then z = x' * x: x' lands on x, whose old values the second step still wants."""
    from kernels import _native

    add, mul = _native.operator_index("add"), _native.operator_index("mul")
    code = np.array([4, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, add, 2, 0, 1, -1, mul, 3, 2, 0, -1], np.int32)
    size = 200_003
    x, y = (np.random.default_rng(seed).standard_normal(size).astype(np.float32) for seed in range(2))
    want, product, before = x + y, np.empty_like(x), x.copy()
    _native.run_group([x, y], [x, product], code, size, 0, threads)
    assert x.tobytes() == want.tobytes()
    assert product.tobytes() == (want * before).tobytes()


def test_an_output_that_overlaps_an_input_otherwise_is_refused() -> None:
    from kernels import _native

    memory = np.zeros(20, np.float32)
    code = np.array([2, 0, 0, 0, 0, 1, _native.operator_index("add"), 1, 0, 0, -1], np.int32)
    for x, out in [(memory[:8], memory[4:12]), (memory[:16:2], memory[:8]), (memory[::-1][:8][::-1], memory[8:16])]:
        with pytest.raises(ValueError, match="overlaps"):
            _native.run_group([x], [out], code, 8)
    _native.run_group([memory[:8]], [memory[8:16]], code, 8)


def cross_entropy(shape: tuple[int, int]) -> Program:
    """Per row: the logarithm of the sum of e^(x - m), less x - m at the target."""
    write = Writer(TensorType("float32", shape), TensorType("int64", shape[:1]))
    shifted = write("sub", 0, write.repeat(write("amax", 0, axes=(1,)), shape))
    total = write("log", write("sum", write("exp", shifted), axes=(1,)))
    chosen = write("gather", shifted, write("reshape", 1, shape=(shape[0], 1)), axis=1)
    write("sub", total, write("reshape", chosen, shape=shape[:1]))
    return write.program()


@pytest.mark.parametrize("shape", [(5, 2), (40, 63), (7, 1000), (3, 9000)])
def test_a_gather_joins_the_group_of_its_rows_and_faults_as_its_node(shape: tuple[int, int]) -> None:
    program, random = cross_entropy(shape), np.random.default_rng(shape[1])
    assert [len(unit.members) for unit in fusion.units_of(program, with_gather=True)] == [7]
    assert len(fusion.units_of(program)) > 1
    values = {"x0": random.standard_normal(shape).astype(np.float32), "x1": random.integers(0, shape[1], shape[0])}
    for x in (values["x0"], np.where(random.random(shape) < 0.01, np.float32(-np.inf), values["x0"])):
        got, want = (Executor(program, "native", 2, fuse).step({**values, "x0": x})["last"] for fuse in (True, False))
        assert got.tobytes() == want.tobytes()
    for wrong in (-1, shape[1]):
        values["x1"][shape[0] // 2] = wrong
        faults = []
        for fuse in (True, False):
            with pytest.raises(NodeFault) as fault:
                Executor(program, "native", 1, fuse).step(values)
            faults.append((str(fault.value), fault.value.node, fault.value.element))
        assert faults[0] == faults[1]


def layer_norm(write: Writer, x: int) -> int:
    shape = write.types[x].shape

    def mean(value: int) -> int:
        total = write("sum", value, axes=(len(shape) - 1,))
        return write("mul", total, 1)

    centred = write("sub", x, write.repeat(mean(x), shape))
    inverse = write("rsqrt", mean(write("mul", centred, centred)))
    return write("mul", centred, write.repeat(inverse, shape))


@pytest.mark.parametrize("columns", [64, 100, 768, 1025, 3000])
def test_a_layer_norm_of_odd_rows_has_the_bytes_of_its_nodes(columns: int) -> None:
    write = Writer(TensorType("float32", (21, columns)), TensorType("float32", (21,)))
    layer_norm(write, 0)
    units = assert_fused_equals_one_by_one(write.program(), columns, threads=2)
    assert len(units) == 1
