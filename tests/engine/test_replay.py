"""Replays: any state, any step's trace and any value again, and the table that says where each operand comes from."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from small_jobs import BACKEND, BACKENDS, Builder, small_job, small_program

from engine.entries import TraceEntry, scale_types, sources, step_entries, trace_root
from engine.job import JobFolder
from engine.merkle import inclusion_proof, verify_inclusion
from engine.program import Node, Program
from engine.replay import Replay
from engine.run import RunFolder
from engine.schedule import node_of
from engine.state import commit, tensor_root
from engine.train import train
from kernels import spec
from kernels.conformance import cases
from kernels.types import TensorType, type_of

STEPS = 12


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    return small_job(tmp_path_factory.mktemp("replay") / "job")


@pytest.fixture(scope="module")
def run(job: JobFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("replayed") / "run"
    train(job, folder, BACKEND, checkpoint_every=5)
    return RunFolder(folder)


def test_every_state_has_the_logged_root(job: JobFolder, run: RunFolder) -> None:
    replay = Replay(job, run, BACKEND)
    for step in (0, 7, 3, 12, 5, 6, 11):
        assert commit(replay.state_before(step), BACKEND).root == run.roots()[step]
        assert replay.commitment(step).root == run.roots()[step]


def test_a_replay_needs_no_run(job: JobFolder, run: RunFolder) -> None:
    assert dict(Replay(job, None, BACKEND).roots(range(STEPS + 1))) == run.roots()


def test_roots_are_computed_not_read_from_checkpoints_between(job: JobFolder, tmp_path: Path) -> None:
    """The run of a liar: its checkpoint 5 is of another state, with a matching log."""
    train(job, tmp_path / "run", BACKEND, checkpoint_every=5)
    liar = RunFolder(tmp_path / "run")
    honest = liar.roots()
    liar.roots_log.path.write_bytes(liar.roots_log.header)
    assert dict(Replay(job, liar, BACKEND).roots(range(4, 8))) == {step: honest[step] for step in (4, 5, 6, 7)}


def test_a_checkpoint_that_is_not_the_logged_state_is_named(job: JobFolder, tmp_path: Path) -> None:
    train(job, tmp_path / "run", BACKEND, checkpoint_every=5)
    run = RunFolder(tmp_path / "run")
    lie = [(step, root if step != 5 else bytes(32)) for step, root in run.roots().items()]
    run.roots_log.path.write_bytes(run.roots_log.header + b"".join(run.roots_log.encode(*record) for record in lie))
    with pytest.raises(ValueError, match=r"checkpoint 5 has root .*, the run logged 0000"):
        Replay(job, run, BACKEND).state_before(6)


def test_the_table_lists_batches_then_scales_and_nodes_then_the_state() -> None:
    program = small_program()
    entries = step_entries(program)
    ops = [
        (entry.kind, node_of(program, entry.number).op if entry.number >= program.first_node else "", entry.operand)
        for entry in entries
    ]
    assert ops == [
        ("batch", "", 0),
        ("batch", "", 0),
        ("node", "take_rows", 0),
        ("node", "random_bits", 0),
        ("node", "lt", 0),
        ("node", "select", 0),
        ("node", "mul", 0),
        ("scale", "matmul", 0),
        ("scale", "matmul", 1),
        ("node", "matmul", 0),
        ("node", "sub", 0),
        ("node", "mul", 0),
        ("scale", "sum", 0),
        ("node", "sum", 0),
        ("scale", "matmul", 0),
        ("scale", "matmul", 1),
        ("node", "matmul", 0),
        ("scale", "matmul", 0),
        ("scale", "matmul", 1),
        ("node", "matmul", 0),
        ("node", "mul", 0),
        ("scale", "add_rows", 2),
        ("node", "add_rows", 0),
        ("node", "mul", 0),
        ("node", "sub", 0),
        ("node", "mul", 0),
        ("node", "sub", 0),
        ("state", "", 0),
    ]
    assert entries[-1] == TraceEntry("state", 0, 0, None)


def test_the_static_scale_types_are_those_of_the_law() -> None:
    """On every conformance case: a table entry exactly where the law has a scale, of its shape."""
    quantises = set()
    for case in cases():
        if case.fault is None:
            node = Node(case.op, tuple(range(len(case.inputs))), case.attributes)
            table = [type_ for _, type_ in scale_types(node, [type_of(array) for array in case.inputs])]
            assert table == [type_of(array) for array in spec.scales(case.op, case.inputs, case.attributes)], case.name
            quantises |= {case.op} if table else set()
    assert quantises == {op for op, operator in spec.OPERATORS.items() if operator.scale_groups}


@pytest.mark.parametrize("backend, threads", list(itertools.product(BACKENDS, (1, 2))))
def test_every_backend_and_thread_count_gives_the_same_trace(job: JobFolder, backend: str, threads: int) -> None:
    want, got = Replay(job, None, BACKEND).step_trace(2), Replay(job, None, backend, threads).step_trace(2)
    assert got.roots == want.roots and got.root == want.root == trace_root(want.entries, want.roots)


def test_a_trace_holds_the_roots_of_its_values(job: JobFolder, run: RunFolder) -> None:
    replay = Replay(job, run, BACKEND)
    trace = replay.step_trace(6)
    values = replay.values(6, range(len(trace.entries) - 1))
    for index, entry in enumerate(trace.entries[:-1]):
        assert type_of(values[index]) == entry.type
        assert tensor_root(values[index], BACKEND) == trace.roots[index]
        assert replay.value(6, index).tobytes() == values[index].tobytes()
    assert trace.roots[-1] == run.roots()[7]


def test_an_entry_is_proven_against_the_trace_root(job: JobFolder) -> None:
    trace = Replay(job, None, BACKEND).step_trace(0)
    size = len(trace.entries)
    for index in range(size):
        proof = inclusion_proof(trace.hashes, index)
        assert verify_inclusion(trace.root, trace.hashes[index], index, size, proof)


def follow(replay: Replay, step: int, program: Program, kind: str, index: int, number: int) -> np.ndarray:
    """The array of a source, found by nothing but the table."""
    state = replay.state_before(step)
    match kind:
        case "entry" | "batch":
            return replay.value(step, index)
        case "state" | "step" | "seed":
            return list(state.values())[index]
        case "schedule":
            return replay.job.schedule[program.inputs_of("schedule")[index].name][step]
        case "constant":
            constant = program.constants[index - program.first_constant]
            return np.frombuffer(constant.data, constant.type.dtype).reshape(constant.type.shape)
    raise AssertionError(kind)


def test_operands_follow_from_their_sources_and_layouts(job: JobFolder) -> None:
    """Every operand of every entry, rebuilt from the table alone, has the bytes that the node read."""
    replay, program, step = Replay(job, None, BACKEND), job.program, 4
    kinds = set()
    for index, entry in enumerate(step_entries(program)):
        if entry.kind not in ("node", "scale"):
            continue
        origins, operands = sources(program, entry), replay.operands(step, index)
        assert len(origins) == len(operands)
        for source, operand in zip(origins, operands, strict=True):
            array = follow(replay, step, program, source.kind, source.index, source.number)
            for number in source.layout:
                node = node_of(program, number)
                array = spec.run(node.op, [array], node.attributes)
            assert array.tobytes() == operand.tobytes()
            kinds.add(source.kind)
    assert kinds == {"entry", "batch", "state", "schedule", "constant", "step", "seed"}


def test_the_state_entry_tells_where_every_slot_comes_from(job: JobFolder) -> None:
    replay, program, step = Replay(job, None, BACKEND), job.program, 4
    origins = sources(program, step_entries(program)[-1])
    after = list(replay.state_before(step + 1).values())
    assert [source.kind for source in origins] == ["entry", "entry", "state", "step", "seed"]
    for source, slot in zip(origins[:3], after, strict=False):
        assert follow(replay, step, program, source.kind, source.index, source.number).tobytes() == slot.tobytes()


def test_a_batch_entry_has_no_operands(job: JobFolder) -> None:
    replay = Replay(job, None, BACKEND)
    assert sources(job.program, step_entries(job.program)[0]) == ()
    with pytest.raises(ValueError, match="entry 0 is a batch, want a node or a scale"):
        replay.operands(0, 0)


@pytest.mark.parametrize("step", [-1, 13])
def test_refuses_a_step_outside_the_job(job: JobFolder, step: int) -> None:
    with pytest.raises(ValueError, match=f"got step {step}, want 0 to 12"):
        Replay(job, None, BACKEND).state_before(step)


def test_refuses_the_trace_of_a_step_after_the_last(job: JobFolder) -> None:
    with pytest.raises(ValueError, match="got step 12, want 0 to 11"):
        Replay(job, None, BACKEND).step_trace(12)


def test_refuses_the_value_of_the_post_state(job: JobFolder) -> None:
    last = len(step_entries(job.program)) - 1
    for index in (-1, last):
        with pytest.raises(ValueError, match=f"want 0 to {last - 1}"):
            Replay(job, None, BACKEND).value(0, index)


def test_a_layout_chain_is_followed_to_its_source() -> None:
    build = Builder()
    x = build.input("x", "state", "float32", 2, 3)
    turned = build.node("permute", x, axes=(1, 0))
    flat = build.node("reshape", turned, shape=(6,))
    build.output("x", "state", build.node("reshape", build.node("neg", flat), shape=(2, 3)))
    program = build.program()
    node, slot, state = step_entries(program)
    assert [(s.kind, s.index, s.layout) for s in sources(program, node)] == [("state", 0, (1, 2))]
    # The next state holds the node's result through a layout: no entry is that as it stands, so a slot entry is.
    assert (slot.kind, slot.number, slot.type) == ("slot", 0, TensorType("float32", (2, 3)))
    assert [(s.kind, s.index, s.layout) for s in sources(program, slot)] == [("entry", 0, (4,))]
    assert [(s.kind, s.index, s.layout) for s in sources(program, state)] == [
        ("entry", 1, ()),
        ("step", 1, ()),
        ("seed", 2, ()),
    ]
    assert node.type == TensorType("float32", (6,))
