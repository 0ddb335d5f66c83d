"""One record of a data set, proven against the data root without the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data import STORED_DTYPE, Dataset, Field
from engine.merkle import LEAF_SIZE, inclusion_proof, leaf_hash, verify_inclusion
from engine.state import CHUNK_LEAVES, CHUNK_SIZE, chunk_roots, leaf_hashes
from kernels.hashing import as_bytes

Array = np.ndarray


@dataclass(frozen=True)
class SampleOpening:
    """What proves one record of one field.

    place:       the field's place in the data set; field_proof: that it stands there
    leaves:      the 1 KiB leaves that the record lies in, first to last
    leaf_proofs: that each is a leaf of the field's stored array
    """

    field: Field
    place: int
    field_proof: tuple[bytes, ...]
    leaves: tuple[bytes, ...]
    leaf_proofs: tuple[tuple[bytes, ...], ...]


class SampleOpener:
    """Opens records of a data set; a field is hashed once, and only its chunks' roots are kept."""

    def __init__(self, dataset: Dataset, backend: str = "native", threads: int = 1) -> None:
        self.dataset, self._backend, self._threads = dataset, backend, threads
        self._chunks: dict[str, tuple[bytes, ...]] = {}

    def open(self, name: str, record: int) -> SampleOpening:
        """The opening of a record of a field."""
        field = self.dataset.field(name)
        if not 0 <= record < field.records:
            raise ValueError(f"data: got record {record} of {name!r}, want 0 to {field.records - 1}")
        place = self.dataset.fields.index(field)
        data = as_bytes(self.dataset.arrays[name])
        numbers = _leaves_of(field, record)
        return SampleOpening(
            field,
            place,
            inclusion_proof([field.hash for field in self.dataset.fields], place),
            tuple(bytes(data[number * LEAF_SIZE : (number + 1) * LEAF_SIZE]) for number in numbers),
            tuple(self._proof(name, number) for number in numbers),
        )

    def _proof(self, name: str, leaf: int) -> tuple[bytes, ...]:
        """A leaf's siblings inside its chunk, then the chunk's: chunks are whole subtrees, so both are one proof."""
        array = self.dataset.arrays[name]
        if name not in self._chunks:
            self._chunks[name] = chunk_roots(array, self._backend, self._threads)
        chunk, inside = divmod(leaf, CHUNK_LEAVES)
        data = np.frombuffer(as_bytes(array)[chunk * CHUNK_SIZE : (chunk + 1) * CHUNK_SIZE], np.uint8)
        below = inclusion_proof(leaf_hashes(data, self._backend), inside)
        return below + inclusion_proof(self._chunks[name], chunk)


def verified_sample(opening: SampleOpening, root: bytes, fields: int, record: int) -> Array:
    """The record that an opening proves, as stored; a ValueError where it proves none.

    root, fields, record: the data root, its number of fields, the record asked for, from the caller's own knowledge
    """
    field = opening.field
    if not verify_inclusion(root, field.hash, opening.place, fields, opening.field_proof):
        raise ValueError(f"opening: field {field.name!r} does not stand at place {opening.place} of the data set")
    if not 0 <= record < field.records:
        raise ValueError(f"opening: got record {record}, want 0 to {field.records - 1}")
    numbers, size = _leaves_of(field, record), _stored_bytes(field)
    if not len(numbers) == len(opening.leaves) == len(opening.leaf_proofs):
        raise ValueError(f"opening: got {len(opening.leaves)} leaves, want {len(numbers)}")
    for number, leaf, proof in zip(numbers, opening.leaves, opening.leaf_proofs, strict=True):
        whole = min(LEAF_SIZE, size - number * LEAF_SIZE)
        if len(leaf) != whole or not verify_inclusion(
            field.root, leaf_hash(leaf), number, -(-size // LEAF_SIZE), proof
        ):
            raise ValueError(f"opening: leaf {number} of field {field.name!r} is not what the data root commits to")
    start, stop = _span(field, record)
    first = start - start % LEAF_SIZE
    data = b"".join(opening.leaves)[start - first : stop - first]
    return np.frombuffer(data, _dtype(field)).reshape(field.record_shape)


def _leaves_of(field: Field, record: int) -> range:
    start, stop = _span(field, record)
    return range(start // LEAF_SIZE, -(-stop // LEAF_SIZE)) if stop > start else range(0)


def _span(field: Field, record: int) -> tuple[int, int]:
    """The bytes [start, stop) of a record in its stored array."""
    item = _dtype(field).itemsize
    start = field.position(record, 0) * item
    return start, start + int(np.prod(field.record_shape, dtype=np.int64)) * item


def _stored_bytes(field: Field) -> int:
    return int(np.prod(field.shape, dtype=object)) * _dtype(field).itemsize


def _dtype(field: Field) -> Any:
    return STORED_DTYPE[field.dtype]
