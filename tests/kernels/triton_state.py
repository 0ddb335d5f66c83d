"""Run by test_triton.py with TRITON_INTERPRET=1: state hashing, and whole runs on the device's code path."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

from small_jobs import small_job, small_program

from bench import gpu
from bench.gpu_scale import DRY, Scale
from engine.execute import Executor, NodeFault
from engine.job import store_traced
from engine.replay import Replay, check
from engine.resident import OnHost, Resident
from engine.run import RunFolder
from engine.trace import trace_job
from engine.train import train
from kernels import hashing
from kernels.triton import record
from kernels.triton.hashing import many_roots
from kernels.triton.sha256_constants import ROUND_WORDS, START
from kernels.types import NUMPY_DTYPE
from protocol.play import local_dispute
from protocol.players.dishonest import flips_one_bit, node_of_operator, train_altered

ROOT = Path(__file__).parents[2]
SIZES = (0, 1, 2, 3, 4, 54, 55, 56, 57, 63, 64, 118, 119, 120, 1020, 1021, 1022, 1023, 1024, 1025, 2048, 3000, 9999)


def small_values() -> dict[str, np.ndarray]:
    """Values of every input of the small program."""
    random = np.random.default_rng(0)
    return {
        value.name: np.full(
            value.type.shape,
            random.standard_normal(value.type.shape) if value.type.dtype == "float32" else 1,
            NUMPY_DTYPE[value.type.dtype],
        )
        for value in small_program().inputs
    }


def test_hashes_of_tensors_are_hashlibs() -> None:
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, size, dtype=np.uint8) for size in SIZES]
    tensors = [torch.from_numpy(array.copy()) for array in arrays]
    mixed = [*tensors, np.array(7, np.int64), torch.from_numpy(arrays[-1].copy()[:9996].reshape(3, -1)).T]
    wanted = [*arrays, np.array(7, np.int64), arrays[-1][:9996].reshape(3, -1).T]
    for leaves in (4, 1024):
        assert many_roots(mixed, leaves) == [hashing.subtree_roots(array, leaves) for array in wanted]
    assert many_roots([], 1024) == []


def test_the_constants_of_sha_256() -> None:
    assert (START[0], START[7], ROUND_WORDS[0], ROUND_WORDS[63]) == (0x6A09E667, 0x5BE0CD19, 0x428A2F98, 0xC67178F2)


def test_a_state_on_the_device_takes_the_bytes_of_steps_on_separate_arrays() -> None:
    program, values = small_program(), small_values()
    resident, slots = Resident(program, "triton"), ("table", "weight", "frozen")
    resident.load(values)
    for _ in range(2):
        wanted = {name: array.tobytes() for name, array in Executor(program, "native").step(values).items()}
        assert wanted == {name: array.tobytes() for name, array in Executor(program, "triton").step(values).items()}
        assert resident.step(values)["loss"].tobytes() == wanted["loss"]
        state = OnHost(resident.state, resident.memory)
        assert {name: state[name].tobytes() for name in slots} == {name: wanted[name] for name in slots}
        values = {**values, **state}


def test_a_fault_on_the_device_names_its_node_and_leaves_the_state() -> None:
    program, values = small_program(), small_values()
    resident = Resident(program, "triton")
    resident.load(values)
    for wrong in (9, -1):
        with pytest.raises(NodeFault, match="take_rows: element 1") as fault:
            resident.step({**values, "ids": np.array([0, wrong, wrong])})
        with pytest.raises(NodeFault, match="take_rows: element 1") as native:
            Executor(program, "native").step({**values, "ids": np.array([0, wrong, wrong])})
        assert fault.value.node == native.value.node
    assert all(resident.memory.get(array).tobytes() == values[name].tobytes() for name, array in resident.state.items())


def test_a_small_run_has_the_roots_of_native_and_goes_on_where_native_stopped(tmp_path: Path) -> None:
    job = small_job(tmp_path / "job", steps=2, interval=2)
    train(job, tmp_path / "native", "native")
    wanted = RunFolder(tmp_path / "native").roots()
    train(job, tmp_path / "run", "native", until=1)
    train(job, tmp_path / "run", "triton")
    assert RunFolder(tmp_path / "run").roots() == wanted
    assert RunFolder(tmp_path / "run").metrics() == RunFolder(tmp_path / "native").metrics()
    assert check(job, tmp_path / "native", 2, 2, "triton") is None
    replays = [Replay(job, None, backend) for backend in ("triton", "native")]
    assert len({replay.step_trace(1).root for replay in replays}) == 1
    assert len({replay.state_before(1)["table"].tobytes() for replay in replays}) == 1


@pytest.mark.long
def test_a_liar_is_found_with_both_sides_on_the_device(tmp_path: Path) -> None:
    job = small_job(tmp_path / "job", steps=2)
    lie = flips_one_bit(1, node_of_operator(job.program, "sub"))
    train(job, tmp_path / "honest", "triton")
    train_altered(job, tmp_path / "liar", lie, "triton")
    found = local_dispute(job, tmp_path / "liar", tmp_path / "honest", backend="triton", alter_a=lie)
    won = {name: found.payouts[address] for address, name in found.names.items()}
    assert found.disputed and won["verifier"] > 0 > won["solver"]


@pytest.mark.long
@pytest.mark.parametrize(("example", "steps"), [("digits.py", 3), ("gpt_text.py", 1)])
def test_an_example_has_the_roots_of_native(example: str, steps: int, tmp_path: Path) -> None:
    store_traced(tmp_path / "job", trace_job(ROOT / "examples" / example, {"steps": steps, "interval": 1}))
    for backend in ("native", "triton"):
        train(tmp_path / "job", tmp_path / backend, backend)
    assert RunFolder(tmp_path / "triton").roots() == RunFolder(tmp_path / "native").roots()


def test_a_kernel_that_never_ran_on_a_gpu_is_called_unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RUNS", ())
    assert "unproven: on record for no GPU" in record.about() and "device Triton's interpreter" in record.about()
    monkeypatch.setattr(record, "RUNS", (record.Run("H100", "580.1", record.sources(), "d"),))
    assert record.about().endswith(f"kernels {record.sources()}: proven on H100")
    monkeypatch.setattr(record, "RUNS", (record.Run("H100", "580.1", "other sources", "d"),))
    assert "unproven" in record.about()


def test_the_report_of_a_gpu_fails_where_a_bit_differs_and_says_what_could_not_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(scale: Scale) -> Iterator[str]:
        raise RuntimeError("no such device")
        yield "never"

    checks = {"right": lambda scale: iter(()), "wrong": lambda scale: iter(["add: zeros"]), "broken": broken}
    monkeypatch.setattr(gpu, "CHECKS", checks)
    monkeypatch.setattr(gpu, "FIGURES", {"slow": broken})
    status = {}
    for name in ("right", "wrong", "broken", "slow"):
        report = gpu.Report(tmp_path / f"{name}.json")
        work = gpu.run_figure if name == "slow" else gpu.run_check
        report.section(name, lambda work=work, report=report, name=name: work(report, name, DRY))  # type: ignore[misc]
        status[name] = report.status
        written = json.loads((tmp_path / f"{name}.json").read_text())
        assert {"machine", "commit", "rows"} <= set(written) and written["machine"]["gpu"] == record.device_name()
    assert status == {"right": 0, "wrong": 1, "broken": 2, "slow": 0}
    assert "no such device" in written["errors"]["slow"]
