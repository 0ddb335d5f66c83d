"""Run by test_triton.py with TRITON_INTERPRET=1: steps that a CUDA graph could hold, and hashes beside them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from host_waits import HostWaits, traced

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

from attention_programs import program_of, values_of
from small_jobs import small_job, small_program
from triton_state import small_values

from engine import resident as resident_module
from engine.execute import NodeFault
from engine.program import Program
from engine.resident import OnHost, Resident
from engine.run import RunFolder
from engine.train import train
from kernels import backends, conformance
from kernels.triton import MEMORY, graphs, prepare, streams
from kernels.triton.faults import deferred, require
from kernels.types import Fault, type_of

PROGRAMS = {"small": (small_program, small_values), "attention": (lambda: program_of("causal", "wide"), None)}


def inputs_of(name: str) -> tuple[Program, dict[str, np.ndarray]]:
    program, values = PROGRAMS[name]
    return program(), values() if values else values_of(program(), 2)


class Recorded:
    """Stands for graphs.record where there is no GPU: keeps the calls, does nothing, and does them when asked."""

    def __init__(self) -> None:
        self.replays: list[Callable[[], None]] = []

    def __call__(self, calls: Sequence[graphs.Call]) -> Callable[[], None]:
        def replay() -> None:
            self.work(calls)

        self.replays.append(replay)
        return replay

    def work(self, calls: Sequence[graphs.Call]) -> None:
        with deferred() as faults:
            for _, call in calls:
                call()
            faults()


def resident_with(record: Any, program: Program, monkeypatch: pytest.MonkeyPatch) -> Resident:
    backend = replace(backends.load("triton"), record=record)
    monkeypatch.setattr(resident_module, "load", lambda name: backend)
    return Resident(program, "triton", graphs=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_recorded_steps_have_the_bytes_of_steps_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, values = inputs_of(name)
    record = Recorded()
    recorded, plain = resident_with(record, program, monkeypatch), Resident(program, "triton")
    for resident in (recorded, plain):
        resident.load(values)
    for step in range(3):
        metrics = [resident.step(values) for resident in (recorded, plain)]
        assert len(record.replays) == (2 if step else 0), "the first step compiles kernels and chooses tilings"
        assert [m["loss"].tobytes() for m in metrics] == [metrics[1]["loss"].tobytes()] * 2
        states = [OnHost(resident.state, resident.memory) for resident in (recorded, plain)]
        assert [{n: x.tobytes() for n, x in s.items()} for s in states] == [
            {n: x.tobytes() for n, x in states[1].items()}
        ] * 2


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_step_waits_for_nothing_and_is_the_same_in_every_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same operators on the same addresses with the same numbers, whatever the values are."""
    program, values = inputs_of(name)
    resident = Resident(program, "triton")
    resident.load(values)
    resident.step(values)
    traces = []
    for seed in range(2):
        other = values_of(program, seed) if name == "attention" else {**values, "step": np.array(seed + 3)}
        resident.step({n: other[n] for n in (v.name for v in program.inputs)})
        parts = []
        for calls in (resident._may_fault, resident._safe):

            def work(calls: Sequence[graphs.Call] = calls) -> None:
                with deferred():
                    for _, call in calls:
                        call()

            parts.append(traced(work, resident._sources.values(), monkeypatch))
        traces.append(parts)
    assert traces[0] == traces[1] and sum(map(len, traces[0])) > 10
    kernels = {event[0] for part in traces[0] for event in part}
    assert "product_kernel" in kernels or "row_kernel" in kernels


def test_what_waits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.arange(3.0)
    waits = [lambda: x.sum().item(), lambda: bool(x.any()), lambda: x[x > 1], lambda: x.nonzero(), lambda: x.numpy()]
    for work in (*waits, lambda: torch.tensor([1.0, 2.0]), lambda: torch.from_numpy(np.zeros(3))):
        with pytest.raises(HostWaits):
            traced(work, [x], monkeypatch)


def first_cases() -> dict[str, conformance.Case]:
    """A case of every operator that has operands and does not fault."""
    found: dict[str, conformance.Case] = {}
    for case in conformance.cases():
        if case.op not in found and case.inputs and min(x.size for x in case.inputs) > 0 and "fault" not in case.label:
            found[case.op] = case
    return found


@pytest.mark.parametrize("case", first_cases().values(), ids=lambda case: case.op)
def test_no_operator_waits_for_the_device(case: conformance.Case, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare(case.op, [type_of(x) for x in case.inputs], case.attributes)
    tensors = [MEMORY.put(x) for x in case.inputs]
    with deferred():
        with np.errstate(all="ignore"):
            run(tensors, 1)  # tables that are made once
        traced(lambda: run(tensors, 1), tensors, monkeypatch)


def test_a_fault_in_a_recorded_step_names_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    program, values = inputs_of("small")
    resident = resident_with(Recorded(), program, monkeypatch)
    resident.load(values)
    for _ in range(2):
        resident.step(values)
    before = {name: MEMORY.get(x).tobytes() for name, x in resident.state.items()}
    with pytest.raises(NodeFault, match="take_rows: element 1"):
        resident.step({**values, "ids": np.array([0, 9, 0])})
    assert before == {name: MEMORY.get(x).tobytes() for name, x in resident.state.items()}
    resident.step(values)


class FakeGraph:
    """A CUDA graph that can be begun, broken and replayed."""

    replays = 0

    def replay(self) -> None:
        FakeGraph.replays += 1


def test_recording_names_what_cannot_be_recorded_and_reads_the_faults_after_a_replay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def capture(graph: FakeGraph) -> Iterator[None]:
        yield

    def wait() -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    wrong = torch.zeros(1, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"graphs: got Triton's interpreter, want an NVIDIA GPU"):
        graphs.record([])
    monkeypatch.setattr(graphs, "INTERPRETED", False)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    with pytest.raises(ValueError, match=r"graphs: cannot record node %3 sum: CUDA error: [a-z ]+$"):
        graphs.record([("node %2 add", lambda: None), ("node %3 sum", wait)])
    graphs.record([("node %2 add", lambda: None)])()
    found = torch.zeros((), dtype=torch.bool)
    monkeypatch.setattr(torch, "stack", lambda flags: found.reshape(1))
    monkeypatch.setattr(torch.Tensor, "any", lambda x: found)
    replay = graphs.record([("node %1 take_rows", lambda: require("take_rows", wrong, str))])
    replay()
    found.fill_(True)
    with pytest.raises(Fault, match="an operator faulted"):
        replay()
    assert FakeGraph.replays == 3


def test_a_backend_that_records_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="graphs: got backend native, want triton or cuda"):
        train(small_job(tmp_path / "job", steps=2), tmp_path / "run", "native", graphs=True)
    with pytest.raises(ValueError, match="graphs: got Triton's interpreter"):
        train(small_job(tmp_path / "other", steps=3), tmp_path / "second", "triton", graphs=True)


def test_hashes_are_over_before_the_state_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    class Stream:
        def __init__(self, name: str = "second") -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            events.append(f"{self.name} waits for {other.name}")

        def wait_event(self, event: Event) -> None:
            events.append(f"{self.name} waits for what {event.of} did")

    class Event:
        def record(self) -> None:
            self.of = now[-1].name
            events.append(f"{self.of} marked")

    now = [Stream("first")]

    @contextmanager
    def stream(other: Stream) -> Iterator[None]:
        now.append(other)
        yield
        now.pop()

    monkeypatch.setattr(streams, "INTERPRETED", False)
    for name, fake in (("Stream", Stream), ("Event", Event), ("stream", stream), ("current_stream", lambda: now[-1])):
        monkeypatch.setattr(torch.cuda, name, fake)
    with streams.beside():
        events.append("hash")
    streams.join()
    streams.join()
    want = ["second waits for first", "hash", "second marked", "first waits for what second did"]
    assert events == want


def test_a_step_tells_before_it_overwrites(monkeypatch: pytest.MonkeyPatch) -> None:
    program, values = inputs_of("small")
    resident = Resident(program, "triton")
    resident.load(values)
    events: list[str] = []

    def named(kind: str, run: Callable[[], object]) -> Callable[[], object]:
        def call() -> object:
            events.append(kind)
            return run()

        return call

    resident._may_fault = [(name, named("may fault", run)) for name, run in resident._may_fault]
    resident._safe = [(name, named("safe", run)) for name, run in resident._safe]
    monkeypatch.setattr(type(resident.memory), "overwrite", staticmethod(lambda: events.append("overwrite")))
    resident.step(values, lambda: events.append("meanwhile"))
    at = events.index("overwrite")
    assert set(events[:at]) == {"may fault"} and set(events[at + 1 :]) == {"safe", "meanwhile"}
    assert events[-1] == "meanwhile" and events.count("overwrite") == 1


def test_roots_that_are_written_a_step_later_are_the_same(tmp_path: Path) -> None:
    job = small_job(tmp_path / "job", steps=3)
    seen: dict[str, list[tuple[int, bytes | None]]] = {"native": [], "triton": []}
    for backend, steps in seen.items():
        end = train(job, tmp_path / backend, backend, progress=lambda p, steps=steps: steps.append((p.step, p.root)))
        assert (end.step, end.root) == steps[-1]
    assert seen["native"] == seen["triton"] and [step for step, _ in seen["native"]] == [1, 2, 3]
    assert RunFolder(tmp_path / "triton").roots() == RunFolder(tmp_path / "native").roots()
