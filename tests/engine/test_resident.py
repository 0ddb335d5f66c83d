"""A resident state takes the bytes that steps on separate arrays give, whatever is overwritten in place."""

from __future__ import annotations

import numpy as np
import pytest
from small_jobs import Builder, fill, small_program

from engine.arena import Block, aligned, places_of
from engine.execute import Executor, NodeFault
from engine.program import Program
from engine.resident import Resident
from kernels.backends import missing
from kernels.types import NUMPY_DTYPE

BACKENDS = tuple(name for name in ("native", "portable", "spec") if not missing(name))
BACKEND = BACKENDS[0]


def start_of(program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Values of every input."""
    random = np.random.default_rng(seed)
    values = {}
    for value in program.inputs:
        numbers = random.standard_normal(value.type.shape) if value.type.dtype == "float32" else 1
        values[value.name] = np.full(value.type.shape, numbers, NUMPY_DTYPE[value.type.dtype])
    return values


def require_equal_steps(program: Program, backend: str, threads: int = 1, steps: int = 3) -> None:
    values = start_of(program)
    executor, resident = Executor(program, backend, threads), Resident(program, backend, threads)
    state = {value.name: values[value.name] for value in program.inputs_of("state")}
    resident.load(state)
    for _ in range(steps):
        outputs = executor.step({**values, **state})
        metrics = resident.step(values)
        state = {name: outputs[name] for name in state}
        assert {name: array.tobytes() for name, array in resident.state.items()} == {
            name: array.tobytes() for name, array in state.items()
        }
        assert all(metrics[name].tobytes() == outputs[name].tobytes() for name in metrics)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_small_training_step(backend: str) -> None:
    require_equal_steps(small_program(), backend)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_optimizer_that_reads_and_writes_its_slots(threads: int) -> None:
    """m' = 0.9 m + g; p' = p - m' * m, so that the old m is read after m' is written."""
    build = Builder()
    p, m = (build.input(name, "state", "float32", 700, 30) for name in "pm")
    g = build.input("g", "batch", "float32", 700, 30)
    after = build.node("add", build.node("mul", m, fill(build, 0.9, 700, 30)), g)
    moved = build.node("sub", p, build.node("mul", after, m))
    build.output("p", "state", moved)
    build.output("m", "state", after)
    require_equal_steps(build.program(), BACKEND, threads)


def test_slots_that_change_places() -> None:
    build = Builder()
    a, b, c = (build.input(name, "state", "float32", 5, 5) for name in "abc")
    turned = build.node("permute", c, axes=(1, 0))
    build.output("a", "state", b)
    build.output("b", "state", a)
    build.output("c", "state", turned)
    require_equal_steps(build.program(), BACKEND)


def test_a_slot_that_is_read_after_its_next_content_is_known() -> None:
    build = Builder()
    a, b = (build.input(name, "state", "float32", 6, 6) for name in "ab")
    after = build.node("exp", build.node("neg", a))
    product = build.node("matmul", after, a, width="wide")
    build.output("a", "state", after)
    build.output("b", "state", build.node("add", build.node("matmul", product, b, width="wide"), after))
    require_equal_steps(build.program(), BACKEND)


def test_two_slots_with_one_content() -> None:
    build = Builder()
    a, _ = (build.input(name, "state", "float32", 40) for name in "ab")
    after = build.node("tanh", a)
    build.output("a", "state", after)
    build.output("b", "state", after)
    require_equal_steps(build.program(), BACKEND)


def test_a_fault_leaves_the_state_as_it_was() -> None:
    build = Builder()
    a, ids = build.input("a", "state", "float32", 4, 3), build.input("ids", "batch", "int64", 2)
    after = build.node("add", a, a)
    build.output("a", "state", after)
    rows = build.node("take_rows", after, ids)
    build.output("first", "metric", build.node("sum", rows, axes=(0, 1)))
    resident, start = Resident(build.program(), BACKEND), np.arange(12, dtype=np.float32).reshape(4, 3)
    resident.load({"a": start})
    with pytest.raises(NodeFault, match="take_rows"):
        resident.step({"ids": np.array([0, 9])})
    assert resident.state["a"].tobytes() == start.tobytes()
    resident.step({"ids": np.array([0, 3])})
    assert resident.state["a"].tobytes() == (2 * start).tobytes()


def test_what_is_loaded_is_copied_and_what_is_shown_is_read_only() -> None:
    program = small_program()
    values = start_of(program)
    before = {name: array.copy() for name, array in values.items()}
    resident = Resident(program, BACKEND)
    resident.load(values)
    resident.step(values)
    assert all(values[name].tobytes() == before[name].tobytes() for name in values)
    assert not any(array.flags.writeable for array in resident.state.values())


@pytest.mark.parametrize("seed", range(20))
def test_blocks_that_live_together_lie_apart(seed: int) -> None:
    random = np.random.default_rng(seed)
    first = random.integers(0, 40, 60)
    blocks = [Block(int(random.integers(0, 5000)), int(f), int(f + random.integers(0, 9))) for f in first]
    places, size = places_of(blocks)
    used = [set(range(place, place + block.size)) for place, block in zip(places, blocks, strict=True)]
    for i, a in enumerate(blocks):
        assert places[i] % 64 == 0 and places[i] + aligned(a.size) <= size
        for j, b in enumerate(blocks[:i]):
            if a.first <= b.last and b.first <= a.last:
                assert not used[i] & used[j]
    together = max(sum(aligned(b.size) for b in blocks if b.first <= t <= b.last) for t in range(50))
    assert together <= size <= 2 * together
