"""Every file in examples/ traces as it stands, and two backends give one run of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from engine.files import write_arrays
from engine.images import decode_images
from engine.job import JobFolder, open_job, store_traced
from engine.outputs import write_outputs
from engine.run import RunFolder, read_state
from engine.trace import trace_job
from engine.train import train

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = EXAMPLES / "data" / "optdigits.safetensors"
STEPS = 3


def job_of(name: str, folder: Path, **settings: Any) -> JobFolder:
    return store_traced(folder, trace_job(EXAMPLES / f"{name}.py", settings))


def run_of(job: JobFolder, folder: Path, until: int | None = None) -> RunFolder:
    """The run of the native backend, once the portable one has given the same."""
    for backend in ("native", "portable"):
        train(job, folder / backend, backend, until=until, interval=1)
    native, portable = (RunFolder(folder / backend) for backend in ("native", "portable"))
    assert native.roots() == portable.roots() and native.metrics() == portable.metrics()
    return native


def exported(job: JobFolder, run: RunFolder, path: Path) -> Path:
    write_arrays(path, read_state(job, run, max(run.checkpoints())))
    return path


@pytest.fixture(scope="module")
def folder_of_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 40 digits as a folder of images, a class a digit, decoded at 16 x 16."""
    folder = tmp_path_factory.mktemp("images")
    digits = load_file(DIGITS)
    for number, (image, label) in enumerate(zip(digits["image"][:40], digits["label"][:40], strict=True)):
        (folder / "in" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0] * 15).save(folder / "in" / str(label) / f"{number:02}.png")
    decode_images(folder / "in", folder / "images.safetensors", 16)
    return folder / "images.safetensors"


@pytest.mark.parametrize("name", ["digits", "gpt_text", "diffusion"])
def test_a_training_example_runs(tmp_path: Path, name: str) -> None:
    run = run_of(job_of(name, tmp_path / "job", steps=STEPS), tmp_path)
    assert len(set(run.roots().values())) == STEPS + 1


def test_a_folder_of_images_trains(tmp_path: Path, folder_of_digits: Path) -> None:
    job = job_of("image_folder", tmp_path / "job", steps=STEPS, images=str(folder_of_digits))
    run = run_of(job, tmp_path)
    assert job.job.records == 40 and set(run.metrics()[0]) == {"loss", "accuracy"}


def test_adapters_train_on_exported_weights_that_stay(tmp_path: Path) -> None:
    base = job_of("gpt_text", tmp_path / "base", steps=2)
    train(base, tmp_path / "run", "native")
    weights = exported(base, RunFolder(tmp_path / "run"), tmp_path / "weights")
    job = job_of("lora_text", tmp_path / "job", steps=STEPS, weights=str(weights))
    run = run_of(job, tmp_path)
    state, before = read_state(job, run, STEPS), load_file(weights)
    changed = {name for name, array in job.start_state().items() if state[name].tobytes() != array.tobytes()}
    assert {name.rsplit(".", 1)[1] for name in changed if name.startswith("parameter.")} == {"down", "up"}
    kept = "parameter.blocks.0.attention.qkv.linear.weight"
    assert state[kept].tobytes() == before["parameter.blocks.0.attention.qkv.weight"].tobytes()
    assert state["parameter.token.weight"].tobytes() == before["parameter.token.weight"].tobytes()


def test_preprocessing_gives_every_digit_in_its_place(tmp_path: Path) -> None:
    job = job_of("preprocess_digits", tmp_path / "job")
    run = run_of(job, tmp_path)
    write_outputs(job, run, tmp_path / "out")
    made, digits = load_file(tmp_path / "out"), load_file(DIGITS)
    assert made["label"].tolist() == digits["label"].tolist()
    small = made["image"][:, :, ::2, ::2]
    wanted = digits["image"] / 16
    wanted = (wanted - wanted.mean((1, 2, 3), keepdims=True)) / np.sqrt(wanted.var((1, 2, 3), keepdims=True) + 1e-5)
    assert np.allclose(small, wanted, atol=1e-5) and made["image"].shape == (1797, 1, 16, 16)
    assert open_job(tmp_path / "job").id == job.id


def test_evaluation_finds_a_trained_classifier_better_than_a_fresh_one(tmp_path: Path) -> None:
    digits = job_of("digits", tmp_path / "digits", steps=30)
    train(digits, tmp_path / "digits run", "native")
    weights = exported(digits, RunFolder(tmp_path / "digits run"), tmp_path / "weights")
    right = []
    for name, settings in (("fresh", {}), ("trained", {"weights": str(weights)})):
        job = job_of("evaluate_digits", tmp_path / name, **settings)
        run = run_of(job, tmp_path / f"runs {name}")
        write_outputs(job, run, tmp_path / f"{name} rows")
        right.append(int(load_file(tmp_path / f"{name} rows")["right"].sum()))
    assert right[0] < 600 and right[1] > 1200
