"""A step: the same bytes on every backend and thread count, faults at the lowest node, memory given back."""

from __future__ import annotations

import itertools
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_jobs import BACKEND, BACKENDS, Builder, fill, small_job, small_program

from engine.execute import Executor, NodeFault
from engine.layouts import view_of
from engine.program import Node, Program
from engine.schedule import fused_calls, needed_nodes, node_of, single_calls, with_frees
from kernels import spec
from kernels.backends import load
from kernels.types import TensorType

SETTINGS = list(itertools.product(BACKENDS, (1, 2)))


def start_values(folder: Path) -> dict[str, np.ndarray]:
    opened = small_job(folder / "job")
    return opened.step_inputs(opened.start_state(BACKEND))


def bytes_of(outputs: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in outputs.items()}


def by_the_law(program: Program, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every node by its definition, in program order, nothing freed."""
    held = [values[value.name] for value in program.inputs]
    for constant in program.constants:
        held.append(np.frombuffer(constant.data, constant.type.dtype).reshape(constant.type.shape))
    for _, node in program.numbered_nodes():
        held.append(spec.run(node.op, [held[operand] for operand in node.operands], node.attributes))
    return {output.name: held[output.value] for output in program.outputs}


@pytest.mark.parametrize("backend, threads", SETTINGS)
def test_every_backend_and_thread_count_equals_the_law(tmp_path: Path, backend: str, threads: int) -> None:
    values = start_values(tmp_path)
    program = small_program()
    for fuse in (True, False):
        executor = Executor(program, backend, threads, fuse)
        assert bytes_of(executor.step(values)) == bytes_of(by_the_law(program, values))


def test_watching_a_step_changes_no_bit_and_shows_every_node_but_layouts_in_order(tmp_path: Path) -> None:
    values, program, seen = start_values(tmp_path), small_program(), []
    executor = Executor(program, BACKEND)

    def watch(number: int, operands: Any, result: np.ndarray) -> None:
        assert (
            result.tobytes()
            == spec.run(node_of(program, number).op, operands, node_of(program, number).attributes).tobytes()
        )
        seen.append(number)

    assert bytes_of(executor.step(values, watch)) == bytes_of(executor.step(values))
    assert seen == [number for number, node in program.numbered_nodes() if not spec.is_layout(node.op)]


LAYOUTS = [
    ((2, 3), "reshape", {"shape": (3, 2)}),
    ((), "reshape", {"shape": (1, 1)}),
    ((0, 3), "reshape", {"shape": (3, 0)}),
    ((2, 3, 4), "permute", {"axes": (2, 0, 1)}),
    ((), "permute", {"axes": ()}),
    ((1, 3, 1), "broadcast", {"shape": (5, 3, 2)}),
    ((2, 3), "broadcast", {"shape": (2, 3)}),
    ((1, 0), "broadcast", {"shape": (4, 0)}),
    ((1, 3), "broadcast", {"shape": (0, 3)}),
    ((5, 4), "slice", {"start": (1, 0), "stop": (5, 4), "step": (2, 3)}),
    ((5,), "slice", {"start": (2,), "stop": (2,), "step": (1,)}),
]


@pytest.mark.parametrize("shape, op, attributes", LAYOUTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_view_equals_the_law_on_arrays_of_any_strides(backend: str, shape: Any, op: str, attributes: Any) -> None:
    node = Node(op, (0,), attributes)
    view = view_of(node, TensorType("float32", shape), load(backend))
    row_major = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    axes = tuple(reversed(range(len(shape))))
    turned = row_major.transpose(axes).copy().transpose(axes)
    spread = np.repeat(row_major[..., None], 3, axis=-1)[..., 1]
    for x in (row_major, turned, spread):
        (got,), want = view([x]), spec.run(op, [x], attributes)
        assert (got.shape, got.dtype, got.tobytes()) == (want.shape, want.dtype, want.tobytes())


def test_a_step_leaves_its_inputs_as_they_were(tmp_path: Path) -> None:
    values = start_values(tmp_path)
    before = bytes_of(values)
    Executor(small_program(), BACKEND).step(values)
    assert bytes_of(values) == before


def test_an_unchanged_slot_is_the_same_object(tmp_path: Path) -> None:
    values = start_values(tmp_path)
    assert Executor(small_program(), BACKEND).step(values)["frozen"] is values["frozen"]


@pytest.mark.parametrize(
    "name, array", [("weight", np.zeros((1, 4), "f4")), ("weight", np.zeros((4, 1))), ("other", np.zeros(1))]
)
def test_refuses_inputs_of_another_type(tmp_path: Path, name: str, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"step: .*(input 'weight' is|got inputs \['other'\])"):
        Executor(small_program(), BACKEND).step({**start_values(tmp_path), name: array})


def test_refuses_a_missing_input(tmp_path: Path) -> None:
    values = start_values(tmp_path)
    del values["rate"]
    with pytest.raises(ValueError, match="step: input 'rate' is nothing, want float32"):
        Executor(small_program(), BACKEND).step(values)


def faulting_program(unused: bool) -> Program:
    """Two look-ups that may fault; the result of the first may be read by nobody."""
    build = Builder()
    table, ids, other = (
        build.input(n, "batch", t, *s)
        for n, t, s in (("table", "float32", (3,)), ("a", "int64", (2,)), ("b", "int64", (2,)))
    )
    first = build.node("take_rows", table, ids)
    second = build.node("take_rows", table, other)
    build.output("out", "metric", second if unused else build.node("add", first, second))
    return build.program()


@pytest.mark.parametrize("unused", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fault_names_the_lowest_node_even_where_nobody_reads_it(backend: str, unused: bool) -> None:
    program = faulting_program(unused)
    values = {"table": np.zeros(3, np.float32), "a": np.array([0, 3]), "b": np.array([-1, 0])}
    with pytest.raises(NodeFault) as caught:
        Executor(program, backend).step(values)
    assert (caught.value.node, caught.value.operator, caught.value.element) == (program.first_node, "take_rows", 1)


def test_a_node_that_nobody_needs_and_that_cannot_fault_is_left_out() -> None:
    build = Builder()
    x = build.input("x", "batch", "float32", 2)
    build.node("neg", x)
    build.output("out", "metric", build.node("abs", x))
    program = build.program()
    assert needed_nodes(program) == {2}


@pytest.mark.parametrize("schedule", [single_calls, fused_calls])
def test_a_value_dies_at_its_last_use(schedule: Any) -> None:
    """After every call the values that are alive are those that are read later, or that leave the step."""
    program = small_program()
    calls = with_frees(schedule(program, needed_nodes(program)), [output.value for output in program.outputs])
    held: set[int] = set(range(program.first_node))
    for place, call in enumerate(calls):
        assert held.issuperset(call.reads)
        held = (held | set(call.writes)) - set(call.frees)
        later = {value for other in calls[place + 1 :] for value in other.reads} | {o.value for o in program.outputs}
        assert {value for value in held if value >= program.first_node} <= later
        assert not later.intersection(call.frees)


def test_fusing_takes_fewer_calls() -> None:
    program = small_program()
    nodes = needed_nodes(program)
    assert len(fused_calls(program, nodes)) < len(single_calls(program, nodes))


def test_a_fault_in_a_fused_schedule_names_the_lowest_node_in_program_order() -> None:
    """The first look-up joins a late group's order; both look-ups fault, and the first in the program is named."""
    build = Builder()
    x, ids = build.input("x", "batch", "float32", 3), build.input("ids", "batch", "int64", 2)
    late = build.node("take_rows", build.node("exp", build.node("neg", x)), ids)
    early = build.node("take_rows", x, ids)
    build.output("out", "metric", build.node("add", early, late))
    program = build.program()
    with pytest.raises(NodeFault) as caught:
        Executor(program, BACKEND).step({"x": np.zeros(3, np.float32), "ids": np.array([0, 9])})
    assert caught.value.node == program.first_node + 2 and caught.value.element == 1


def test_memory_is_given_back_during_the_step(tmp_path: Path) -> None:
    values, program = start_values(tmp_path), small_program()
    results: list[weakref.ref] = []
    alive: list[int] = []

    def watch(number: int, operands: Any, result: np.ndarray) -> None:
        results.append(weakref.ref(result))
        alive.append(sum(ref() is not None for ref in results))

    Executor(program, BACKEND).step(values, watch)
    assert max(alive) < len(results) / 2


def random_program(seed: int) -> Program:
    """Elementwise nodes, row reductions spread again, products, look-ups and layouts, some of them read by nobody."""
    pick, build, rows, columns = np.random.default_rng(seed), Builder(), 4, 6
    full = [build.input(f"x{i}", "state", "float32", rows, columns) for i in range(2)]
    ids = build.input("ids", "batch", "int64", rows)
    full.append(fill(build, 0.5, rows, columns))

    def any_full() -> tuple[str, int]:
        return full[int(pick.integers(len(full)))]

    for _ in range(30):
        match pick.integers(7):
            case 0:
                full.append(build.node(str(pick.choice(["neg", "abs", "floor"])), any_full()))
            case 1 | 2:
                full.append(build.node(str(pick.choice(["add", "mul", "maximum"])), any_full(), any_full()))
            case 3:
                reduced = build.node(str(pick.choice(["sum", "amax"])), any_full(), axes=(1,))
                column = build.node("reshape", reduced, shape=(rows, 1))
                full.append(build.node("broadcast", column, shape=(rows, columns)))
            case 4:
                turned = build.node("permute", any_full(), axes=(1, 0))
                full.append(build.node("reshape", turned, shape=(rows, columns)))
            case 5:
                square = build.node(
                    "matmul", any_full(), build.node("permute", any_full(), axes=(1, 0)), width="narrow"
                )
                full.append(build.node("matmul", square, any_full(), width="wide"))
            case 6:
                full.append(build.node("take_rows", any_full(), ids))
    build.output("x0", "state", any_full())
    build.output("x1", "state", build.node("add", full[-1], any_full()))
    build.output("loss", "metric", build.node("sum", any_full(), axes=(0, 1)))
    return build.program()


# The last three made a cycle of groups while a search for dependencies stopped too early.
@pytest.mark.parametrize("seed", [*range(40), 517, 1713, 3067])
def test_fusing_and_freeing_change_no_bit_of_a_random_program(seed: int) -> None:
    program, numbers = random_program(seed), np.random.default_rng(seed + 1000)
    values = {f"x{i}": numbers.standard_normal((4, 6)).astype(np.float32) for i in range(2)}
    values["ids"] = numbers.integers(0, 4, 4)
    want = bytes_of(by_the_law(program, values))
    for fuse, threads in itertools.product((True, False), (1, 2)):
        assert bytes_of(Executor(program, BACKEND, threads, fuse).step(values)) == want
