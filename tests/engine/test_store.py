"""Chunks under their own roots: what comes back was put there, and a manifest cannot say otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from small_jobs import BACKEND, BACKENDS

from engine.canonical import from_canonical, to_canonical
from engine.files import map_arrays, write_folder
from engine.state import CHUNK_SIZE, Commitment, StateHasher, commit, tensor_root, verify_slot
from engine.store import Checkpoint, Store, checkpoint_from_bytes

SIZES = (0, 1, CHUNK_SIZE // 4 - 1, CHUNK_SIZE // 4, CHUNK_SIZE // 4 + 1, 3 * CHUNK_SIZE // 4 + 77)
JOB = b"j" * 32


def arrays() -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(8)
    named = {f"x{size}": numbers.standard_normal(size).astype(np.float32) for size in SIZES}
    return {**named, "step": np.array(3, np.int64), "mask": np.array([[True], [False]])}


def save_state(store: Store, state: dict[str, np.ndarray], step: int = 3) -> tuple[Checkpoint, int]:
    commitment = StateHasher(BACKEND).commit(state)
    checkpoint = Checkpoint(JOB, step, commitment.slots, commitment.chunks)
    return checkpoint, store.write_checkpoint(checkpoint, state)


@pytest.mark.parametrize("location", ["folder", "memory"])
def test_a_state_comes_back(tmp_path: Path, location: str) -> None:
    store = Store(tmp_path / "s", create=True) if location == "folder" else Store("memory://")
    state = arrays()
    checkpoint, _ = save_state(store, state)
    assert store.checkpoint_steps() == (3,)
    assert store.read_manifest(3) == checkpoint
    for name, array in store.read_arrays(checkpoint, BACKEND).items():
        assert (array.dtype, array.shape, array.tobytes()) == (
            state[name].dtype,
            state[name].shape,
            state[name].tobytes(),
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_backend_gives_the_same_commitment(backend: str, threads: int) -> None:
    hashed = StateHasher(backend, threads).commit(arrays())
    assert hashed.root == commit(arrays(), BACKEND).root
    assert [slot.root for slot in hashed.slots] == [tensor_root(array, backend, threads) for array in arrays().values()]


def test_an_array_that_is_the_same_object_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    state, hasher, hashed = arrays(), StateHasher(BACKEND), list[int]()
    first = hasher.commit(state)

    count = hasher._chunk_roots
    monkeypatch.setattr(hasher, "_chunk_roots", lambda given: hashed.extend(x.size for x in given) or count(given))
    changed = {**state, "step": np.array(4, np.int64)}
    assert hasher.commit(state).root == first.root and hashed == []
    assert hasher.commit(changed).root == commit(changed, BACKEND).root != first.root and hashed == [1]


def test_a_strided_array_has_the_root_of_its_row_major_bytes() -> None:
    array = np.arange(600 * 5, dtype=np.int32).reshape(600, 5)
    assert tensor_root(array.T, BACKEND) == tensor_root(array.T.copy(), BACKEND) != tensor_root(array, BACKEND)


def test_an_opening_shows_a_slot_and_no_other() -> None:
    commitment = commit(arrays(), BACKEND)
    size = len(commitment.slots)
    for name in arrays():
        index, slot, proof = commitment.opening(name)
        assert verify_slot(commitment.root, index, size, slot, proof)
        assert not verify_slot(commitment.root, (index + 1) % size, size, slot, proof)
        assert not verify_slot(commitment.root, index, size, commitment.slots[index - 1], proof)
    with pytest.raises(ValueError, match="no slot 'y', want one of x0, "):
        commitment.opening("y")


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    store, state = Store(tmp_path, create=True), arrays()
    _, first = save_state(store, state)
    _, again = save_state(Store(tmp_path), state, step=4)
    changed = {**state, "x1": state["x1"] + np.float32(1)}
    _, one = save_state(Store(tmp_path), changed, step=5)
    assert (first, again, one) == (sum(array.nbytes for array in state.values()), 0, 4)


def test_a_chunk_cut_short_by_a_crash_is_written_again(tmp_path: Path) -> None:
    store, state = Store(tmp_path, create=True), arrays()
    checkpoint, _ = save_state(store, state)
    chunk = tmp_path / "chunks" / checkpoint.chunks[1][0].hex()
    chunk.write_bytes(chunk.read_bytes()[:-1])
    save_state(Store(tmp_path), state)
    assert Store(tmp_path).read_arrays(checkpoint, BACKEND)["x1"].tobytes() == state["x1"].tobytes()


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing", "longer"])
def test_names_the_damaged_chunk_of_many(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path, create=True)
    checkpoint, _ = save_state(store, arrays())
    key = checkpoint.chunks[5][2].hex()
    path = tmp_path / "chunks" / key
    data = path.read_bytes()
    path.unlink()
    changed = {"truncated": data[:-1], "altered": data[:9] + bytes([data[9] ^ 1]) + data[10:], "longer": data + b"\0"}
    if damage in changed:
        path.write_bytes(changed[damage])
    with pytest.raises(ValueError, match=f"checkpoint 3: slot 'x786509': store: chunk {key} (has|was|is)"):
        store.read_arrays(checkpoint, BACKEND)


def edit(change: Callable[[dict[str, Any]], Any]) -> bytes:
    commitment = StateHasher(BACKEND).commit(arrays())
    content = from_canonical(Checkpoint(JOB, 3, commitment.slots, commitment.chunks).to_bytes(), "checkpoint")
    change(content)
    return to_canonical(content)


MANIFESTS = {
    "a field too few": (lambda c: c.pop("job"), "want a map with exactly the fields"),
    "another format": (lambda c: c.update(format="x"), "want a map with exactly the fields"),
    "a job that is no hash": (lambda c: c.update(job=b"j"), "a job id of 32 bytes"),
    "a step that is no number": (lambda c: c.update(step="3"), "a step number"),
    "a slot that is no list": (lambda c: c["slots"].append(7), "a slot is 7"),
    "a dtype of no law": (lambda c: c["slots"][1].__setitem__(1, "float64"), "has dtype 'float64'"),
    "a negative size": (lambda c: c["slots"][1].__setitem__(2, [-1]), "want sizes of 0 or more"),
    "a larger shape": (lambda c: c["slots"][1].__setitem__(2, [2**30]), "has 1 chunk keys"),
    "a chunk too few": (lambda c: c["slots"][5][4].pop(), "has 3 chunk keys"),
    "a key that is a path": (lambda c: c["slots"][1][4].__setitem__(0, "../../etc/passwd"), "want one hash per"),
    "chunks in another order": (lambda c: c["slots"][5][4].reverse(), "its root does not follow from its chunk keys"),
    "another root": (lambda c: c["slots"][1].__setitem__(3, bytes(32)), "its root does not follow"),
}


@pytest.mark.parametrize("wrong", MANIFESTS)
def test_refuses_a_manifest(wrong: str) -> None:
    change, message = MANIFESTS[wrong]
    with pytest.raises(ValueError, match=message):
        checkpoint_from_bytes(edit(change), "checkpoint 3")


def test_refuses_a_manifest_under_another_step(tmp_path: Path) -> None:
    store = Store(tmp_path, create=True)
    save_state(store, arrays())
    folder = tmp_path / "checkpoints"
    (folder / "000000000003.cbor").rename(folder / "000000000004.cbor")
    with pytest.raises(ValueError, match="checkpoint 4: its manifest says step 3"):
        store.read_manifest(4)
    with pytest.raises(ValueError, match="checkpoint 9 is missing"):
        store.read_manifest(9)


def test_what_the_store_cannot_write_is_one_line(tmp_path: Path) -> None:
    """A full disk is such a thing; a folder at the place of a chunk is another."""
    store, key = Store(tmp_path, create=True), bytes(32)
    (tmp_path / "chunks" / key.hex() / "something").mkdir(parents=True)
    with pytest.raises(OSError, match=rf"^store: cannot write chunks/{key.hex()} at .*: Generic LocalFileSystem error"):
        store.put_chunk(key, memoryview(b"bytes"))
    with pytest.raises(OSError, match=r"^store: no store at nowhere://x: Generic URL error"):
        Store("nowhere://x")


def test_a_folder_that_is_not_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="store: no folder"):
        Store(tmp_path / "nothing")


GOOD = save({"x": np.arange(6, dtype=np.int32)})
HEADER = int.from_bytes(GOOD[:8], "little")


def with_header(text: bytes, body: bytes = GOOD[8 + HEADER :]) -> bytes:
    return len(text).to_bytes(8, "little") + text + body


SAFETENSORS = {
    "nothing": b"",
    "a length past the end": (2**40).to_bytes(8, "little") + GOOD[8:],
    "no JSON": with_header(b"{" * 64),
    "a body cut short": GOOD[:-1],
    "a body too long": GOOD + b"\0",
    "offsets past the end": with_header(b'{"x":{"dtype":"I32","shape":[6],"data_offsets":[0,400]}}'),
    "offsets reversed": with_header(b'{"x":{"dtype":"I32","shape":[6],"data_offsets":[24,0]}}'),
    "a hole": with_header(b'{"x":{"dtype":"I32","shape":[5],"data_offsets":[4,24]}}'),
    "an overlap": with_header(
        b'{"x":{"dtype":"I32","shape":[6],"data_offsets":[0,24]},"y":{"dtype":"I32","shape":[1],"data_offsets":[20,24]}}'
    ),
    "a shape of another size": with_header(b'{"x":{"dtype":"I32","shape":[7],"data_offsets":[0,24]}}'),
    "a negative size": with_header(b'{"x":{"dtype":"I32","shape":[-6],"data_offsets":[0,24]}}'),
    "a dtype that we do not store": with_header(b'{"x":{"dtype":"F64","shape":[3],"data_offsets":[0,24]}}'),
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
}


@pytest.mark.parametrize("wrong", SAFETENSORS)
def test_refuses_a_malformed_safetensors_file(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(SAFETENSORS[wrong])
    with pytest.raises(ValueError, match=r"^data: "):
        map_arrays(tmp_path / "x.safetensors", "data")


@pytest.mark.parametrize("spaces", [0, 1, 3])
def test_an_array_is_read_wherever_its_header_puts_it(tmp_path: Path, spaces: int) -> None:
    (tmp_path / "x.safetensors").write_bytes(with_header(GOOD[8 : 8 + HEADER].rstrip() + b" " * spaces))
    array = map_arrays(tmp_path / "x.safetensors", "data")["x"]
    assert array.tolist() == [0, 1, 2, 3, 4, 5] and not array.flags.writeable


def test_a_folder_that_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        (path / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_folder(tmp_path / "job", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_commitment_to_nothing_has_the_root_of_nothing() -> None:
    assert Commitment(()).root == tensor_root(np.zeros(0, np.float32), BACKEND)
