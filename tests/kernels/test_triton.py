"""The Triton kernels: interpreted on the CPU, compiled for GPUs that are not here, and run on one that is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from kernels import backends, conformance

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None or find_spec("torch") is None,
    reason="a machine with torch and triton (pip install 'isobit[gpu]') runs this",
)
TRITON_VERSION = tuple(map(int, version("triton").split(".")[:2])) if find_spec("triton") else (0, 0)
needs_interpreter = pytest.mark.skipif(
    TRITON_VERSION < (3, 8),
    reason="a machine with triton 3.8 or later runs this: before, its interpreter's fma rounds twice",
)
needs_gpu = pytest.mark.skipif(
    "triton" not in backends.available(), reason="a machine with an NVIDIA GPU, torch and triton runs this"
)


def run(file: str, interpret: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The tests of a file in a process of their own: Triton reads TRITON_INTERPRET once, when a kernel is defined."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE / file), *arguments]
    environment = {**os.environ, "TRITON_INTERPRET": interpret, "TRITON_DEFAULT_FP_FUSION": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@needs_triton
@needs_interpreter
def test_the_interpreted_kernels_equal_the_spec_under_every_tiling() -> None:
    finished = run("triton_interpreted.py", "1")
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]


@needs_triton
@needs_interpreter
@pytest.mark.parametrize(
    "file",
    [
        "triton_attention.py",
        "triton_cuda.py",
        "triton_graphs.py",
        "triton_groups.py",
        "triton_pairs.py",
        "triton_residues.py",
        "triton_scale.py",
        "triton_state.py",
    ],
)
def test_generated_kernels_and_the_state_on_a_device(file: str) -> None:
    finished = run(file, "1")
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]


@needs_triton
@needs_interpreter
@pytest.mark.long
def test_the_examples_have_the_roots_of_native() -> None:
    finished = run("triton_state.py", "1", "-m", "long")
    assert finished.returncode == 0 and "3 passed" in finished.stdout, finished.stdout[-4000:]


@needs_triton
@needs_interpreter
@pytest.mark.long
def test_attention_in_every_case_and_width() -> None:
    finished = run("triton_attention.py", "1", "-m", "long")
    assert finished.returncode == 0 and "29 passed" in finished.stdout, finished.stdout[-4000:]


@needs_triton
@needs_interpreter
@pytest.mark.long
def test_the_report_of_a_gpu_runs_through_in_the_interpreter(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bench" / "gpu.py"), "--dry", "--json", str(tmp_path / "gpu.json")]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert finished.returncode == 0 and report["errors"] == {}, finished.stdout[-4000:] + finished.stderr[-2000:]
    assert {row["case"].split()[0] for row in report["rows"]} >= {
        "narrow",
        "wide",
        "exp",
        "softmax",
        "hash",
        "llama-1b",
    }


@needs_triton
def test_the_report_of_a_gpu_needs_no_native_library() -> None:
    code = "import sys; sys.modules['kernels.native_library'] = None; sys.argv.append('--dry'); import bench.gpu"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@needs_triton
@pytest.mark.parametrize(
    "file",
    [
        "triton_compiled.py",
        "triton_compiled_attention.py",
        "triton_compiled_functions.py",
        "triton_compiled_groups.py",
    ],
)
def test_the_compiled_kernels_use_integer_tensor_cores_and_ieee_arithmetic(file: str) -> None:
    finished = run(file, "0")
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]


@needs_triton
@pytest.mark.long
def test_attention_is_compiled_for_every_architecture_in_both_widths() -> None:
    finished = run("triton_compiled_attention.py", "0", "-m", "long")
    assert finished.returncode == 0 and "9 passed" in finished.stdout, finished.stdout[-4000:] + finished.stderr[-2000:]


@needs_triton
@pytest.mark.long
def test_hopper_fits_every_tiling() -> None:
    finished = run("triton_compiled.py", "0", "-m", "long")
    assert finished.returncode == 0 and "10 passed" in finished.stdout, (
        finished.stdout[-4000:] + finished.stderr[-2000:]
    )


@needs_gpu
def test_the_gpu_equals_the_spec() -> None:
    from kernels.triton import OPERATORS

    gpu, spec = backends.load("triton"), backends.load("spec")
    cases = [case for case in conformance.cases() if case.op in OPERATORS]
    wrong = [case.name for case in cases if conformance.outcome(case, gpu) != conformance.outcome(case, spec)]
    assert wrong == []


def test_the_door_names_what_triton_needs() -> None:
    if "triton" in backends.available():
        assert backends.load("triton").name == "triton"
    else:
        with pytest.raises(ValueError, match="install torch and triton on a machine with an NVIDIA GPU"):
            backends.load("triton")
