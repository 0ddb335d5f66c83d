"""The commands on local files: what they print, what they refuse, and that nothing is written where they refuse."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from engine.job import open_job
from engine.run import RunFolder
from protocol.cli import main

JOB = """
import numpy as np, torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
def loss(model, batch):
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
x = np.random.default_rng(0).standard_normal((32, 4)).astype("float32")
data = {"x": x, "y": x[:, :1] * 2 + 1}
batch_size, steps = 8, globals().get("steps", 12)
"""


def isobit(*arguments: object, code: int = 0) -> str:
    """The output of a command that ends with a code; an error is one line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            got = main([str(argument) for argument in arguments])
        except SystemExit as end:
            got = int(end.code or 0)
    assert got == code, out.getvalue() + err.getvalue()
    if code == 2:
        assert err.getvalue().count("\n") == 1, err.getvalue()
        return err.getvalue()
    return out.getvalue()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    (folder / "job.py").write_text(JOB)
    isobit("trace", folder / "job.py", "-o", folder / "job")
    isobit("train", folder / "job", "-o", folder / "run", "--threads", 1, "--checkpoint-every", 5, "--interval", 1)
    return folder / "job"


@pytest.fixture
def run(job: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to damage."""
    copy = tmp_path / "run"
    shutil.copytree(job.parent / "run", copy, symlinks=True)
    (copy / "job").unlink()
    (copy / "job").symlink_to(job)
    return copy


def test_a_run_in_two_parts_ends_in_the_state_of_one_run(job: Path, tmp_path: Path) -> None:
    isobit("train", job, "-o", tmp_path / "parts", "--until", 7, "--threads", 2)
    last = isobit("resume", tmp_path / "parts", "--backend", "portable", "--threads", 1)
    assert last.split()[-1] == isobit("resume", job.parent / "run").split()[-1]


def test_check_finds_every_root_again_on_another_backend(run: Path) -> None:
    assert isobit("check", run, "--backend", "portable", "--threads", 1).startswith(
        "equal: every state root from step 0 to 12"
    )


def test_an_exported_state_holds_the_model_and_the_optimizer(run: Path, tmp_path: Path) -> None:
    isobit("export", run, "-o", tmp_path / "weights.safetensors")
    state = load_file(tmp_path / "weights.safetensors")
    assert int(state["step"]) == 12 and any(array.shape == (8, 4) and array.any() for array in state.values())
    assert "no checkpoint 3" in isobit("export", run, "-o", tmp_path / "other", "--step", 3, code=2)
    assert not (tmp_path / "other").exists()


def test_show_knows_a_job_a_run_a_program_and_a_checkpoint(job: Path, run: Path) -> None:
    assert "= matmul(" in isobit("show", job) and "= matmul(" in isobit("show", job / "program.cbor")
    assert "checkpoint" in isobit("show", run)
    assert "root " in isobit("show", run / "checkpoints" / "000000000005.cbor")
    assert "steps: 12" in isobit("show", job / "job.cbor")


def test_a_claim_is_a_file_that_others_check(job: Path, run: Path, tmp_path: Path) -> None:
    isobit("claim", run, "-o", tmp_path / "claim.cbor")
    assert "claim of steps 0 to 12" in isobit("show", tmp_path / "claim.cbor")
    assert "equal" in isobit("check", tmp_path / "claim.cbor", "--job", job, "--threads", 1)
    altered = bytearray((tmp_path / "claim.cbor").read_bytes())
    altered[altered.index(RunFolder(run).roots()[5]) + 1] ^= 1
    (tmp_path / "claim.cbor").write_bytes(altered)
    assert "after step 5 " in isobit("check", tmp_path / "claim.cbor", "--job", job, "--threads", 1, code=1)
    assert "--job" in isobit("check", tmp_path / "claim.cbor", code=2)
    (tmp_path / "claim.cbor").write_bytes(altered[:-1])
    assert "canonical" in isobit("show", tmp_path / "claim.cbor", code=2)


def test_a_dispute_of_equal_runs_has_nothing_to_decide(run: Path, job: Path) -> None:
    assert "nothing to dispute" in isobit("dispute", run, job.parent / "run", "--threads", 1)


@pytest.mark.parametrize(
    "name", ["trace", "train", "resume", "check", "show", "export", "claim", "dispute", "selftest", "demo"]
)
def test_every_command_explains_itself(name: str) -> None:
    assert f"usage: isobit {name}" in isobit(name, "--help")


def last_chunk(run: Path) -> Path:
    """The file of the first chunk of the last checkpoint."""
    checkpoint = RunFolder(run).store.read_manifest(12)
    return run / "chunks" / checkpoint.chunks[0][0].hex()


def test_an_altered_chunk_is_named(run: Path) -> None:
    chunk = last_chunk(run)
    data = bytearray(chunk.read_bytes())
    data[3] ^= 1
    chunk.write_bytes(data)
    assert chunk.name in isobit("export", run, "-o", run / "out", code=2) and not (run / "out").exists()


def test_a_truncated_chunk_is_named(run: Path) -> None:
    chunk = last_chunk(run)
    chunk.write_bytes(chunk.read_bytes()[:-1])
    assert chunk.name in isobit("export", run, "-o", run / "out", code=2)


def test_a_run_of_another_job_is_refused(job: Path, run: Path, tmp_path: Path) -> None:
    isobit("trace", job.parent / "job.py", "-o", tmp_path / "other", "--set", "steps=5")
    before = sorted(path.name for path in run.rglob("*"))
    assert "is a run of job" in isobit("train", tmp_path / "other", "-o", run, code=2)
    assert sorted(path.name for path in run.rglob("*")) == before


def test_an_altered_program_is_refused(job: Path, tmp_path: Path) -> None:
    shutil.copytree(job, tmp_path / "job")
    program = tmp_path / "job" / "program.cbor"
    program.write_bytes(program.read_bytes().replace(b"momentum", b"momentun") + b"x")
    isobit("train", tmp_path / "job", "-o", tmp_path / "run", code=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("def loss(model, batch):\n    return torch.linalg.svdvals(model(batch['x'])).sum()", "svd"),
        (
            "def loss(model, batch):\n    y = model(batch['x'])\n    return y.sum() if y.sum() > 0 else y.mean()",
            "job.py",
        ),
        ("def loss(model, batch):\n    return model(batch['z']).sum()", "'z'"),
        ("def loss(model, batch):\n    return model(batch['x'])", "loss"),
        ("batch_size = 0", "batch_size"),
        ("steps = 2**32", "steps is 4294967296, want at most 4294967295"),
        ("interval = 0", "interval is 0"),
        ("interval = 'often'", "interval is 'often'"),
        ("interval, max_interval = 3, 4", "want 'auto' or the max_interval, 4"),
        ("data = {'x': x, 'y': x[:5]}", "record"),
        ("del model", "model"),
        ("1 +", "job.py:13: SyntaxError"),
        ("model.nothing", "job.py:13: AttributeError"),
        ("def learning_rate(step):\n    return 1 / (step - 2)", "learning_rate(2): ZeroDivisionError"),
    ],
)
def test_a_job_file_that_cannot_be_traced_is_refused_with_the_reason(tmp_path: Path, line: str, wanted: str) -> None:
    (tmp_path / "job.py").write_text(f"{JOB}\n{line}\n")
    assert wanted in isobit("trace", tmp_path / "job.py", "-o", tmp_path / "job", code=2)
    assert not (tmp_path / "job").exists()


def test_wrong_arguments_are_refused(job: Path, tmp_path: Path) -> None:
    assert "want one of" in isobit("train", job, "-o", tmp_path / "run", "--backend", "abacus", code=2)
    assert "cannot read" in isobit("train", tmp_path / "nothing", "-o", tmp_path / "run", code=2)
    assert "want 0 to 12" in isobit("train", job, "-o", tmp_path / "run", "--until", 13, code=2)
    assert "already exists" in isobit("trace", job.parent / "job.py", "-o", job, code=2)
    assert not (tmp_path / "run").exists()
    (tmp_path / "numbers.cbor").write_bytes(np.arange(4).tobytes())
    assert "canonical" in isobit("show", tmp_path / "numbers.cbor", code=2)


def test_the_installed_command_ends_in_one_line_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "protocol.cli", "train", str(tmp_path / "nothing"), "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")


def test_measure_shows_costs_and_changes_nothing(job: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in job.rglob("*")}
    words = isobit("measure", job, "--threads", 1)
    assert {line.split()[0] for line in words.splitlines()} == {"memory", "step", "commitment", "interval"}
    assert before == {path: path.stat().st_mtime_ns for path in job.rglob("*")}


def test_a_run_finds_its_interval_once_and_says_so(job: Path, tmp_path: Path) -> None:
    assert open_job(job).job.intervals == (1, 12) and "interval  auto: the solver's, 1 to 12" in isobit("show", job)
    said = isobit("train", job, "-o", tmp_path / "run", "--until", 5, "--threads", 1).splitlines()[1]
    interval = RunFolder(tmp_path / "run").interval
    assert 1 <= interval <= 12 and said == f"committed every {interval} steps"
    assert isobit("resume", tmp_path / "run", "--threads", 1).splitlines()[1] == said
    assert f", committed every {interval}\n" in isobit("show", tmp_path / "run")
    assert "equal" in isobit("check", tmp_path / "run", "--backend", "portable", "--threads", 1)


def test_a_run_takes_the_interval_of_an_accepted_bid(job: Path, tmp_path: Path) -> None:
    isobit("train", job, "-o", tmp_path / "run", "--interval", 5, "--threads", 1)
    assert sorted(RunFolder(tmp_path / "run").roots()) == [0, 5, 10, 12]
    assert "want the run's own 5" in isobit("resume", tmp_path / "run", "--interval", 4, code=2)
    assert "got 13, want 1 to 12" in isobit("train", job, "-o", tmp_path / "other", "--interval", 13, code=2)
    isobit("claim", tmp_path / "run", "-o", tmp_path / "claim.cbor")
    assert "equal" in isobit("check", tmp_path / "claim.cbor", "--job", job, "--threads", 1)
    assert "nothing to dispute" in isobit("dispute", tmp_path / "run", job.parent / "run", "--threads", 1)


@pytest.mark.parametrize(
    ("line", "intervals"),
    [("interval = 3", (3, 3)), ("max_interval = 4", (1, 4)), ('interval, max_interval = "auto", 5', (1, 5))],
)
def test_a_job_file_says_how_often_a_run_commits(tmp_path: Path, line: str, intervals: tuple[int, int]) -> None:
    (tmp_path / "job.py").write_text(f"{JOB}\n{line}\n")
    isobit("trace", tmp_path / "job.py", "-o", tmp_path / "job")
    assert open_job(tmp_path / "job").job.intervals == intervals


def test_images_lists_the_classes(tmp_path: Path) -> None:
    for number, name in enumerate(("dog", "cat")):
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), (number, 2, 3)).save(tmp_path / "in" / name / "0.png")
    printed = isobit("images", tmp_path / "in", "-o", tmp_path / "out.safetensors", "--size", 4)
    assert printed.splitlines() == ["0  cat  1 images", "1  dog  1 images"]
    assert load_file(tmp_path / "out.safetensors")["image"].shape == (2, 3, 4, 4)


MAP = """
import numpy as np, torch
model = torch.nn.Identity()
def outputs(model, batch):
    return {"scaled": batch["x"].float() / 255}
data = {"x": np.arange(60, dtype=np.uint8).reshape(10, 6)}
batch_size = 4
"""


def test_a_job_that_maps_ends_in_a_file_of_rows(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(MAP)
    isobit("trace", tmp_path / "job.py", "-o", tmp_path / "job")
    isobit("train", tmp_path / "job", "-o", tmp_path / "run", "--until", 2)
    assert "has done 2 of 3 steps" in isobit("outputs", tmp_path / "run", "-o", tmp_path / "rows", code=2)
    isobit("resume", tmp_path / "run")
    isobit("outputs", tmp_path / "run", "-o", tmp_path / "rows")
    scaled = np.arange(60, dtype=np.float32).reshape(10, 6) / np.float32(255)
    assert load_file(tmp_path / "rows")["scaled"].tobytes() == scaled.tobytes()


def test_solving_checking_and_disputing_need_no_torch(job: Path, tmp_path: Path) -> None:
    """Whoever did not trace a job runs it from data alone."""
    without_torch = (
        "import sys; sys.modules['torch'] = None; from protocol.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    for arguments in (
        ["train", job, "-o", tmp_path / "run", "--threads", "1"],
        ["check", tmp_path / "run", "--backend", "portable", "--threads", "1"],
        ["show", job],
        ["dispute", tmp_path / "run", job.parent / "run", "--threads", "1"],
    ):
        command = [sys.executable, "-c", without_torch, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
