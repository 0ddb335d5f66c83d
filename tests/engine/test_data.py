"""Data sets: every record in the order of the law, loaded exactly, under a root that covers the layout."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from small_jobs import BACKEND, BACKENDS

from engine.data import Dataset, Field, Windows, dataset_of
from engine.merkle import leaf_hash
from engine.order import sample_index, sample_indices
from engine.state import leaf_hashes
from kernels.spec.random import sample_index as by_the_law
from kernels.types import TensorType

SEEDS = (0, 1, 2**32, 2**63 - 1)
TOKENS = np.arange(100, 143, dtype=np.uint16)


def dataset() -> Dataset:
    numbers = np.random.default_rng(5)
    fields = {"image": numbers.integers(0, 256, (9, 2, 3)).astype(np.uint8), "label": np.arange(9, dtype=np.int64)}
    return dataset_of(fields, BACKEND)


@pytest.mark.parametrize("records", [1, 2, 3, 5, 16, 17, 100, 255, 256, 257, 65537])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_equals_the_law(records: int, seed: int) -> None:
    positions = [0, 1, 2, records - 1, records, 3 * records + 1, 2**40 * min(records, 2) // 2**9, (2**32 - 1) * records]
    got = sample_indices(seed, np.array(positions, np.int64), records)
    assert got.tolist() == [by_the_law(position, records, seed) for position in positions]
    assert sample_index(seed, positions[-1], records) == got[-1]


@pytest.mark.parametrize("records", [1, 2, 7, 64, 1000])
def test_an_epoch_visits_every_record_once(records: int) -> None:
    first = sample_indices(7, np.arange(records), records)
    second = sample_indices(7, np.arange(records, 2 * records), records)
    assert sorted(first) == sorted(second) == list(range(records))
    assert records < 7 or first.tolist() != second.tolist() != list(range(records))


def test_steps_cut_the_order_without_a_gap() -> None:
    """Batches of 5 over 9 records: the samples of consecutive steps are consecutive positions, across epochs."""
    data = dataset()
    joined = np.concatenate([data.samples(3, step, 5) for step in range(900)])
    assert joined.tolist() == sample_indices(3, np.arange(4500), 9).tolist()
    assert set(Counter(joined.tolist()).values()) == {500}


def test_a_batch_is_the_records_at_its_samples() -> None:
    data = dataset()
    samples = data.samples(3, 7, 4)
    batch = data.batch(3, 7, 4)
    assert batch["image"].tobytes() == data.arrays["image"][samples].tobytes()
    assert batch["label"].tolist() == samples.tolist()


def test_windows_are_cut_every_stride() -> None:
    data = dataset_of({"tokens": Windows(TOKENS, 8, 5)}, BACKEND)
    assert data.records == (43 - 8) // 5 + 1
    loaded = data.load({"tokens": TensorType("int64", (3, 8))}, seed=2, step=1)["tokens"]
    for row, record in zip(loaded, data.samples(2, 1, 3), strict=True):
        assert row.tolist() == TOKENS[record * 5 : record * 5 + 8].tolist()
    assert loaded.dtype == np.int64 and loaded.flags.c_contiguous


@pytest.mark.parametrize("stored", ["uint8", "uint16"])
@pytest.mark.parametrize("loaded", ["int64", "int32", "uint32", "float32"])
def test_a_load_keeps_every_value(stored: str, loaded: str) -> None:
    values = np.array([0, 1, np.iinfo(stored).max], stored)
    data = dataset_of({"x": values}, BACKEND)
    data.require_loads_as("x", TensorType(loaded, (3,)), 3)
    got = data.load({"x": TensorType(loaded, (3,))}, 0, 0)["x"]
    assert sorted(got.tolist()) == values.tolist() and got.dtype == np.dtype(loaded)


def test_a_position_finds_the_element_of_a_record() -> None:
    data = dataset()
    field, stored = data.field("image"), data.arrays["image"]
    assert [stored.reshape(-1)[field.position(4, e)] for e in range(6)] == stored[4].reshape(-1).tolist()
    windows = dataset_of({"t": Windows(TOKENS, 8, 5)}, BACKEND).field("t")
    assert [TOKENS[windows.position(3, e)] for e in range(8)] == TOKENS[15:23].tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_same_root(backend: str) -> None:
    data = dataset()
    assert dataset_of(data.arrays, backend, threads=2).root == data.root


def test_the_root_covers_name_layout_dtype_shape_and_bytes() -> None:
    base = {"x": TOKENS}
    variants = [
        base,
        {"y": TOKENS},
        {"x": TOKENS + np.uint16(1)},
        {"x": TOKENS.view(np.uint8)},
        {"x": TOKENS.reshape(43, 1)},
        {"x": Windows(TOKENS, 1, 1)},
        {"x": Windows(TOKENS, 2, 1)},
        {"x": Windows(TOKENS, 1, 2)},
        {"x": TOKENS, "y": TOKENS},
    ]
    assert len({dataset_of(variant, BACKEND).root for variant in variants}) == len(variants)


def test_an_empty_array_has_the_root_of_nothing() -> None:
    assert leaf_hashes(np.zeros((4, 0), np.float32), BACKEND) == []
    assert leaf_hashes(np.zeros(3, np.uint8), BACKEND) == [leaf_hash(bytes(3))]


REFUSED = {
    "another kind": (("x", "columns", 0, 0, "uint8", (3,)), "got kind 'columns'"),
    "rows with a stride": (("x", "rows", 0, 1, "uint8", (3,)), "got rows with length 0, stride 1"),
    "windows of length 0": (("x", "windows", 0, 1, "uint8", (3,)), "got windows of length 0, stride 1"),
    "windows of stride 0": (("x", "windows", 1, 0, "uint8", (3,)), "got windows of length 1, stride 0"),
    "no axis": (("x", "rows", 0, 0, "uint8", ()), "want a leading axis of records"),
    "a negative size": (("x", "rows", 0, 0, "uint8", (-3,)), "want a leading axis of records"),
    "a foreign dtype": (("x", "rows", 0, 0, "float64", (3,)), "got dtype float64"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_refuses_a_field(wrong: str) -> None:
    arguments, message = REFUSED[wrong]
    with pytest.raises(ValueError, match=re.escape(message)):
        Field(*arguments, root=bytes(32))  # type: ignore[arg-type]


def test_refuses_windows_longer_than_the_stream() -> None:
    with pytest.raises(ValueError, match="want the same number, at least 1"):
        dataset_of({"t": Windows(TOKENS, 44, 1)}, BACKEND)


def test_refuses_arrays_that_are_not_the_described_ones() -> None:
    data = dataset()
    with pytest.raises(ValueError, match=re.escape("got int32[9], want int64[9]")):
        Dataset(data.fields, {**data.arrays, "label": np.zeros(9, np.int32)})


def test_refuses_a_nan_of_another_pattern() -> None:
    with pytest.raises(ValueError, match="field 'x': got a NaN other than 0x7fc00000"):
        dataset_of({"x": np.array([0x7FC00000, 0xFFC00000], "<u4").view("<f4")}, BACKEND)
