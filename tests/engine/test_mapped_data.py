"""Data from files: mapped, never read whole, larger than the memory that a process may take."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from small_jobs import BACKEND

from engine.data import dataset_of
from engine.files import filled_arrays, map_arrays, write_arrays
from engine.merkle import EMPTY_ROOT
from engine.samples import SampleOpener, SampleOpening, verified_sample
from engine.trace import trace_job

ROOT = Path(__file__).parents[2]
MIB = 2**20
JOB = """
import torch
model = torch.nn.Embedding(256, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def loss(model, batch):
    return sum(model(field.long().flatten() % 256).square().mean() for field in batch.values())
batch_size, steps = 2, 3
"""
NUMBERS = np.random.default_rng(2).integers(0, 200, (50,)).astype(np.uint16)


@pytest.mark.parametrize(
    "data, window",
    [
        ("{'x': 'x.npy'}", None),
        ("{'x': Path('x.npy')}", 8),
        ("{'x': ('x.bin', 'uint16')}", 8),
        ("{'x': 'both.safetensors'}", None),
        ("'x.safetensors'", 8),
    ],
)
def test_a_job_names_its_files_beside_itself(tmp_path: Path, data: str, window: int | None) -> None:
    np.save(tmp_path / "x.npy", NUMBERS)
    NUMBERS.tofile(tmp_path / "x.bin")
    save_file({"x": NUMBERS}, tmp_path / "x.safetensors")
    save_file({"x": NUMBERS, "y": np.zeros(3, np.float32)}, tmp_path / "both.safetensors")
    cut = "" if window is None else f"window = {window}\n"
    (tmp_path / "job.py").write_text(f"from pathlib import Path\n{JOB}data = {data}\n{cut}")
    field = trace_job(tmp_path / "job.py").fields["x"]
    array = field if window is None else field.stream  # type: ignore[union-attr]
    assert array.tobytes() == NUMBERS.tobytes() and array.dtype == NUMBERS.dtype  # type: ignore[union-attr]
    assert not array.flags.writeable and not array.flags.owndata  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "data, message",
    [
        ("{'x': 'none.npy'}", "want a file"),
        ("{'x': 'x.txt'}", "want a .npy, a .safetensors, or"),
        ("{'x': ('x.txt', 'uint16')}", "has 3 bytes, want a positive multiple of 2"),
        ("{'x': ('x.txt', 'float64')}", "got dtype 'float64'"),
        ("{'y': 'x.safetensors'}", "holds x, want an array 'y'"),
        ("{'x': 'columns.npy'}", "is in column order"),
        ("{'x': 'pickled.npy'}", "is no sound .npy file"),
    ],
)
def test_refuses_a_file(tmp_path: Path, data: str, message: str) -> None:
    (tmp_path / "x.txt").write_bytes(b"abc")
    save_file({"x": NUMBERS}, tmp_path / "x.safetensors")
    np.save(tmp_path / "columns.npy", np.asfortranarray(np.ones((3, 2), np.float32)))
    np.save(tmp_path / "pickled.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "job.py").write_text(f"{JOB}data = {data}\n")
    with pytest.raises(ValueError, match=message):
        trace_job(tmp_path / "job.py")


def test_data_larger_than_memory_is_hashed_stored_and_trained_on(tmp_path: Path) -> None:
    """768 MiB of records under a limit of 320 MiB of private memory above what the libraries take."""
    with (tmp_path / "x.npy").open("wb") as file:
        shape = (768, MIB // 4)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        header = file.tell()
        file.truncate(header + 768 * MIB)
        file.seek(header + 700 * MIB)
        file.write(np.arange(1000, dtype="<f4").tobytes())
    script = f"""
    import resource, sys
    from pathlib import Path
    import numpy as np
    from engine.job import open_job, write_job
    from engine.train import train
    from small_jobs import Builder
    build = Builder()
    seen = build.input("seen", "state", "float32", 1)
    x = build.input("x", "batch", "float32", 2, {MIB // 4})
    runs = build.node("sum", build.node("reshape", x, shape=(512, 1024)), axes=(1,))
    total = build.node("sum", build.node("reshape", runs, shape=(1, 512)), axes=(1,))
    build.output("seen", "state", build.node("add", seen, total))
    used = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + 320 * {MIB},) * 2)
    folder = Path({str(tmp_path)!r})
    records = np.load(folder / "x.npy", mmap_mode="r")
    write_job(folder / "job", build.program(), {{"seen": np.zeros(1, np.float32)}}, {{"x": records}}, {{}},
        seed=1, steps=384, batch_size=2, interval=384, backend={BACKEND!r})
    train(open_job(folder / "job", {BACKEND!r}), folder / "run", {BACKEND!r}, until=384, checkpoint_every=384)
    from engine.run import RunFolder
    run = RunFolder(folder / "run")
    print(float(run.store.read_arrays(run.store.read_manifest(384))["seen"][0]))
    try:
        bytes(records)
    except MemoryError:
        print("limited")
    """
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/engine'}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(float(np.arange(1000).sum())), "limited"]


def test_written_arrays_are_what_the_library_reads(tmp_path: Path) -> None:
    arrays = {
        "scalar": np.array(7, np.int64),
        "bytes": np.arange(5, dtype=np.uint8),
        "rows": np.arange(12, dtype=np.float32).reshape(3, 4).T,
        "none": np.zeros((0, 4), np.float32),
        "flags": np.array([True, False]),
    }
    write_arrays(tmp_path / "a.safetensors", arrays)
    for read in (load_file(tmp_path / "a.safetensors"), map_arrays(tmp_path / "a.safetensors", "a")):
        assert set(read) == set(arrays)
        for name, array in arrays.items():
            assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
            assert read[name].tobytes() == array.tobytes()


def test_an_array_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyError), filled_arrays(tmp_path / "a", {"x": (np.dtype("u1"), (3,))}):
        raise KeyError
    with pytest.raises(ValueError, match="'x' is float64"):
        write_arrays(tmp_path / "a", {"x": np.zeros(3)})
    assert not list(tmp_path.iterdir())


def openings() -> tuple[SampleOpener, bytes]:
    numbers = np.random.default_rng(9)
    images = numbers.integers(0, 256, (2100, 700)).astype(np.uint8)
    dataset = dataset_of({"image": images, "label": np.arange(2100), "none": np.zeros((2100, 0), np.uint8)}, BACKEND)
    return SampleOpener(dataset, BACKEND), dataset.root


def test_a_sample_is_proven_without_the_others() -> None:
    opener, root = openings()
    for name, array in opener.dataset.arrays.items():
        for record in (0, 1, 1497, 1498, 2098, 2099):  # around the end of the first chunk, and of the array
            opening = opener.open(name, record)
            assert verified_sample(opening, root, 3, record).tobytes() == array[record].tobytes()
            assert sum(map(len, opening.leaves)) <= 3 * 1024


def test_an_altered_opening_proves_nothing() -> None:
    opener, root = openings()
    right = opener.open("image", 1000)
    flipped = bytes([right.leaves[0][0] ^ 1]) + right.leaves[0][1:]
    fields = (right.field, right.place, right.field_proof)
    for wrong, record in (
        (SampleOpening(*fields, (flipped, *right.leaves[1:]), right.leaf_proofs), 1000),
        (SampleOpening(*fields, right.leaves[:-1], right.leaf_proofs[:-1]), 1000),
        (SampleOpening(right.field, 1, right.field_proof, right.leaves, right.leaf_proofs), 1000),
        (right, 1100),
        (right, 2100),
    ):
        with pytest.raises(ValueError, match="opening: "):
            verified_sample(wrong, root, 3, record)
    with pytest.raises(ValueError, match="opening: "):
        verified_sample(right, EMPTY_ROOT, 3, 1000)
    with pytest.raises(ValueError, match="got record 2100"):
        opener.open("image", 2100)
