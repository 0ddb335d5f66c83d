"""Named tensors become one root: leaves, tensor root, slot, state root."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from engine.canonical import to_canonical
from engine.merkle import HASH_SIZE, LEAF_SIZE, inclusion_proof, leaf_hash, root_of, verify_inclusion
from kernels.backends import load
from kernels.types import CANONICAL_NAN, TensorType, type_of

Array = np.ndarray
CHUNK_LEAVES = 1024
CHUNK_SIZE = LEAF_SIZE * CHUNK_LEAVES


def leaf_hashes(array: Array, backend: str = "native", threads: int = 1) -> list[bytes]:
    """The hashes of the 1 KiB leaves of an array's bytes; the last leaf may be shorter."""
    joined = load(backend).leaf_hashes(array, threads=threads)
    return [joined[start : start + HASH_SIZE] for start in range(0, len(joined), HASH_SIZE)]


def chunk_roots(array: Array, backend: str = "native", threads: int = 1) -> tuple[bytes, ...]:
    """The subtree roots over each 1 MiB (1024 leaves) of an array's bytes."""
    return tuple(load(backend).subtree_roots(array, CHUNK_LEAVES, threads=threads))


def tensor_root(array: Array, backend: str = "native", threads: int = 1) -> bytes:
    """The RFC 6962 root over the 1 KiB leaves of an array's bytes. It carries no name, dtype or shape."""
    return root_of(chunk_roots(array, backend, threads))


@dataclass(frozen=True, slots=True)
class Slot:
    """One named tensor of a state, by its root."""

    name: str
    type: TensorType
    root: bytes

    @property
    def hash(self) -> bytes:
        return slot_hash(self.name, self.type, self.root)


def slot_hash(name: str, type_: TensorType, root: bytes) -> bytes:
    """The leaf hash of a slot: canonical CBOR of [name, dtype, shape, tensor root]."""
    return leaf_hash(_before_root(name, type_) + root)


@lru_cache(4096)  # one state after another has the same slots
def _before_root(name: str, type_: TensorType) -> bytes:
    """The canonical bytes of a slot up to those of its root."""
    return to_canonical([name, type_.dtype, list(type_.shape), bytes(HASH_SIZE)])[:-HASH_SIZE]


def state_root(slots: Sequence[Slot]) -> bytes:
    """The root over the slots in their order."""
    return root_of([slot.hash for slot in slots])


@dataclass(frozen=True)
class Commitment:
    """Slots in order, their root and the proof that a slot is one of them."""

    slots: tuple[Slot, ...]

    @cached_property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(slot.hash for slot in self.slots)

    @cached_property
    def root(self) -> bytes:
        return root_of(self.hashes)

    def index(self, name: str) -> int:
        """The place of a slot; a ValueError where there is none of this name."""
        for place, slot in enumerate(self.slots):
            if slot.name == name:
                return place
        raise ValueError(f"commitment: no slot {name!r}, want one of {', '.join(slot.name for slot in self.slots)}")

    def opening(self, name: str) -> tuple[int, Slot, tuple[bytes, ...]]:
        """(index, slot, inclusion proof) of a named slot."""
        index = self.index(name)
        return index, self.slots[index], inclusion_proof(self.hashes, index)


def verify_slot(root: bytes, index: int, size: int, slot: Slot, proof: Sequence[bytes]) -> bool:
    """Whether a slot stands at an index of the commitment of `size` slots with this root."""
    return verify_inclusion(root, slot.hash, index, size, proof)


def commit(arrays: Mapping[str, Array], backend: str = "native", threads: int = 1) -> Commitment:
    """The commitment to named arrays in the order of the mapping."""
    return Commitment(
        tuple(Slot(name, type_of(array), tensor_root(array, backend, threads)) for name, array in arrays.items())
    )


@dataclass(frozen=True)
class StateCommitment(Commitment):
    """A commitment that also knows the chunk keys of each slot, which are what a checkpoint stores."""

    chunks: tuple[tuple[bytes, ...], ...] = ()


class StateHasher:
    """Commits to one state after another; an array that is the same object as before is not hashed again."""

    def __init__(self, backend: str = "native", threads: int = 1) -> None:
        self._backend, self._threads = backend, threads
        self._last: dict[str, tuple[Any, tuple[bytes, ...]]] = {}

    def commit(self, arrays: Mapping[str, Any]) -> StateCommitment:
        """The commitment to a state in the order of the mapping: NumPy arrays, or arrays of the backend's memory.

        They must not change afterwards.
        """
        return self.begin(arrays)()

    def begin(self, arrays: Mapping[str, Any]) -> Callable[[], StateCommitment]:
        """The same, begun where the backend can hash beside what it computes: a function to call before the next one.

        The arrays must not change before the backend's memory was told of it (`overwrite`).
        """
        arrays = dict(arrays)
        changed = [name for name, array in arrays.items() if self._last.get(name, (None,))[0] is not array]
        finish = self._chunk_roots([arrays[name] for name in changed])

        def commitment() -> StateCommitment:
            roots = dict(zip(changed, finish(), strict=True))
            self._last = {n: (array, roots[n] if n in roots else self._last[n][1]) for n, array in arrays.items()}
            slots = tuple(Slot(name, type_of(array), root_of(self._last[name][1])) for name, array in arrays.items())
            return StateCommitment(slots, tuple(self._last[slot.name][1] for slot in slots))

        return commitment

    def _chunk_roots(self, arrays: list[Any]) -> Callable[[], list[tuple[bytes, ...]]]:
        begin = load(self._backend).begin_roots
        if begin is not None:
            finish = begin(arrays, CHUNK_LEAVES, threads=self._threads)
            return lambda: [tuple(roots) for roots in finish()]
        found = [chunk_roots(array, self._backend, self._threads) for array in arrays]
        return lambda: found


def require_canonical(array: Array, what: str) -> Array:
    """The same array; a ValueError where it holds a NaN other than 0x7fc00000 or a bool byte above 1."""
    if array.dtype not in (np.bool_, np.float32):
        return array
    for part in _parts(array):
        if part.dtype == np.bool_ and (part.view(np.uint8) > 1).any():
            raise ValueError(f"{what}: got a bool that is neither 0 nor 1")
        if part.dtype == np.float32:
            nan = np.isnan(part)
            if nan.any() and (part[nan].view(np.uint32) != CANONICAL_NAN).any():
                raise ValueError(f"{what}: got a NaN other than 0x{CANONICAL_NAN:08x}")
    return array


def _parts(array: Array) -> Iterator[Array]:
    """The elements of an array, a few at a time where they lie in a row: a mapped array may be larger than memory."""
    if not array.flags.c_contiguous:
        yield array
        return
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHUNK_SIZE):
        yield flat[start : start + CHUNK_SIZE]
