"""Checkpoints as content-addressed chunks: a local folder by default, any object store by URL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import obstore.exceptions
from obstore.store import LocalStore

from engine.canonical import from_canonical, to_canonical
from engine.files import MOST_READ, require_file, sync
from engine.merkle import HASH_SIZE, root_of
from engine.state import CHUNK_SIZE, Slot, chunk_roots, require_canonical, state_root
from kernels.hashing import as_bytes
from kernels.types import DTYPES, NUMPY_DTYPE, TensorType

Array = np.ndarray
FORMAT = "isobit-checkpoint-1"
# Chunks that are written at a time: most of a write is waiting for a disk or a network.
WRITERS = 16
# Slots that are read at a time: a read is copied and hashed.
READERS = 4
FIELDS = {"format", "job", "step", "slots"}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the job, the number of steps done, the slots and the chunk keys of each slot."""

    job: bytes
    step: int
    slots: tuple[Slot, ...]
    chunks: tuple[tuple[bytes, ...], ...]

    @property
    def root(self) -> bytes:
        return state_root(self.slots)

    def to_bytes(self) -> bytes:
        slots = [
            [slot.name, slot.type.dtype, list(slot.type.shape), slot.root, list(chunks)]
            for slot, chunks in zip(self.slots, self.chunks, strict=True)
        ]
        return to_canonical({"format": FORMAT, "job": self.job, "step": self.step, "slots": slots})


def checkpoint_from_bytes(data: bytes, what: str) -> Checkpoint:
    """The checkpoint of a manifest whose slot roots follow from its chunk keys; a ValueError for anything else."""
    content = from_canonical(data, what)
    if not isinstance(content, dict) or set(content) != FIELDS or content["format"] != FORMAT:
        raise ValueError(f"{what}: want a map with exactly the fields {', '.join(sorted(FIELDS))}, format {FORMAT!r}")
    if not isinstance(content["slots"], list) or type(content["step"]) is not int or not _is_hash(content["job"]):
        raise ValueError(f"{what}: want a list of slots, a step number and a job id of {HASH_SIZE} bytes")
    slots, chunks = [], []
    for entry in content["slots"]:
        slot, keys = _slot_from_list(entry, what)
        slots.append(slot)
        chunks.append(keys)
    return Checkpoint(content["job"], content["step"], tuple(slots), tuple(chunks))


def _slot_from_list(entry: Any, what: str) -> tuple[Slot, tuple[bytes, ...]]:
    if not isinstance(entry, list) or len(entry) != 5:
        raise ValueError(f"{what}: a slot is {entry!r:.100}, want [name, dtype, shape, root, chunk keys]")
    name, dtype, shape, root, keys = entry
    if not isinstance(name, str) or dtype not in DTYPES or not isinstance(shape, list) or not isinstance(keys, list):
        raise ValueError(f"{what}: slot {name!r} has dtype {dtype!r:.20}, want a name, a dtype of the law, two lists")
    slot = Slot(name, TensorType(dtype, tuple(shape)), root)
    if len(keys) != -(-slot.type.bytes // CHUNK_SIZE) or not all(map(_is_hash, (root, *keys))):
        raise ValueError(
            f"{what}: slot {name!r} of {slot.type} has {len(keys)} chunk keys, want one hash per {CHUNK_SIZE} bytes"
        )
    if root_of(keys) != root:
        raise ValueError(f"{what}: slot {name!r}: its root does not follow from its chunk keys")
    return slot, tuple(keys)


def _is_hash(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_SIZE


class Store:
    """Chunks and checkpoint manifests at a folder or an object-store URL (`s3://bucket/prefix`, `memory://`)."""

    def __init__(self, location: str | Path, create: bool = False) -> None:
        self.location = str(location)
        self.folder = None if "://" in self.location else Path(location)
        if self.folder is None:
            with self._named("no store"):
                self._objects: Any = obstore.store.from_url(self.location)
        elif create or self.folder.is_dir():
            self._objects = LocalStore(self.folder, mkdir=create)
        else:
            raise ValueError(f"store: no folder {self.folder}")
        self._known: frozenset[bytes] = frozenset()

    def put_chunk(self, key: bytes, data: memoryview) -> int:
        """Store a chunk under its root unless it is there; the number of bytes written."""
        path = _chunk_path(key)
        if key in self._known or self._has(path, len(data)):
            return 0
        self._put(path, bytes(data))
        return len(data)

    def get_chunk(self, key: bytes, size: int, backend: str = "native") -> memoryview:
        """The bytes of a chunk, checked against its key; a ValueError that names the chunk."""
        what = f"chunk {key.hex()}"
        data = self._get(_chunk_path(key), what, size)
        if len(data) != size:
            raise ValueError(f"store: {what} has {len(data)} bytes, want {size}")
        if chunk_roots(np.frombuffer(data, np.uint8), backend) != (key,):
            raise ValueError(f"store: chunk {key.hex()} was altered: its bytes have another root")
        return data

    def write_checkpoint(self, checkpoint: Checkpoint, arrays: Mapping[str, Array]) -> int:
        """Store a state: first the chunks that are not there yet, then the manifest. Gives the bytes of new chunks."""
        chunks: dict[bytes, memoryview] = {}
        for slot, keys in zip(checkpoint.slots, checkpoint.chunks, strict=True):
            data = as_bytes(arrays[slot.name])
            for number, key in enumerate(keys):
                chunks[key] = data[number * CHUNK_SIZE : (number + 1) * CHUNK_SIZE]
        with ThreadPoolExecutor(WRITERS) as pool:
            written = sum(pool.map(self.put_chunk, chunks.keys(), chunks.values()))
        self._sync_names("chunks")
        self._known = frozenset(chunks)
        self._put(_checkpoint_path(checkpoint.step), checkpoint.to_bytes())
        self._sync_names("checkpoints")
        return written

    def checkpoint_steps(self) -> tuple[int, ...]:
        """The steps that have a checkpoint, ascending."""
        with self._named("cannot list checkpoints"):
            pages = obstore.list(self._objects, "checkpoints")
            names = [entry["path"].rpartition("/")[2] for page in pages for entry in page]
        return tuple(sorted(int(name[:-5]) for name in names if name.endswith(".cbor") and name[:-5].isdigit()))

    def read_manifest(self, step: int) -> Checkpoint:
        """The checkpoint of a step without its arrays."""
        what = f"checkpoint {step}"
        checkpoint = checkpoint_from_bytes(bytes(self._get(_checkpoint_path(step), what)), what)
        if checkpoint.step != step:
            raise ValueError(f"{what}: its manifest says step {checkpoint.step}")
        return checkpoint

    def read_arrays(
        self, checkpoint: Checkpoint, backend: str = "native", into: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """The arrays of a checkpoint, every chunk checked; a ValueError that names the chunk.

        into: arrays to fill, of the slots' types; slots that it has not are new arrays
        """
        places, common = into or {}, self._most_common(checkpoint, backend)

        def read(slot: Slot, keys: tuple[bytes, ...]) -> Array:
            return self._read_slot(slot, keys, checkpoint.step, backend, places.get(slot.name), common)

        with ThreadPoolExecutor(READERS) as pool:
            arrays = list(pool.map(read, checkpoint.slots, checkpoint.chunks))
        return {slot.name: array for slot, array in zip(checkpoint.slots, arrays, strict=True)}

    def _most_common(self, checkpoint: Checkpoint, backend: str) -> dict[bytes, memoryview]:
        """The whole chunk that repeats most, such as the zeros of an optimizer's start: read and checked once."""
        whole = (
            key
            for slot, keys in zip(checkpoint.slots, checkpoint.chunks, strict=True)
            for key in keys[: slot.type.bytes // CHUNK_SIZE]
        )
        found = [key for key, count in Counter(whole).most_common(1) if count > 1]
        try:
            return {key: self.get_chunk(key, CHUNK_SIZE, backend) for key in found}
        except ValueError:
            return {}  # the slot that holds it is named where it is read

    def _read_slot(
        self,
        slot: Slot,
        keys: tuple[bytes, ...],
        step: int,
        backend: str,
        place: Array | None,
        common: Mapping[bytes, memoryview],
    ) -> Array:
        array = np.empty(slot.type.shape, NUMPY_DTYPE[slot.type.dtype]) if place is None else place
        data = as_bytes(array)
        for number, key in enumerate(keys):
            part = data[number * CHUNK_SIZE : (number + 1) * CHUNK_SIZE]
            try:
                part[:] = common.get(key) or self.get_chunk(key, len(part), backend)
            except ValueError as error:
                raise ValueError(f"checkpoint {step}: slot {slot.name!r}: {error}") from None
        return require_canonical(array, f"checkpoint {step}: slot {slot.name!r}")

    def _has(self, path: str, size: int) -> bool:
        try:
            with self._named(f"cannot look for {path}"):
                return bool(obstore.head(self._objects, path)["size"] == size)
        except FileNotFoundError:
            return False

    def _get(self, path: str, what: str, most: int = MOST_READ) -> memoryview:
        if self.folder is not None and (file := require_file(self.folder / path, f"store: {what}")).is_file():
            # A folder may be anybody's: no more is read than there should be.
            if (size := file.stat().st_size) > most:
                raise ValueError(f"store: {what} has {size} bytes, want {most} or less")
        try:
            with self._named(f"cannot read {what}"):
                return memoryview(obstore.get(self._objects, path).bytes())
        except FileNotFoundError:
            raise ValueError(f"store: {what} is missing at {self.location}/{path}") from None

    def _put(self, path: str, data: bytes) -> None:
        with self._named(f"cannot write {path}"):
            obstore.put(self._objects, path, data)
        if self.folder is not None:
            sync(self.folder / path)

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        """What the object store says of a full disk or a lost network, as an OSError of one line that says where."""
        try:
            yield
        except obstore.exceptions.BaseError as error:
            raise OSError(f"store: {what} at {self.location}: {str(error).splitlines()[0]}") from None

    def _sync_names(self, folder: str) -> None:
        """Return once the names of the files in a folder are on the disk; an object store does so by itself."""
        if self.folder is not None and (self.folder / folder).is_dir():
            sync(self.folder / folder)


def _chunk_path(key: bytes) -> str:
    return f"chunks/{key.hex()}"


def _checkpoint_path(step: int) -> str:
    return f"checkpoints/{step:012d}.cbor"
