"""Which bytes of a data set a step reads, and the batch that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.data import LOADS_AS, STORED_DTYPE, Field
from engine.job import Job
from engine.merkle import HASH_SIZE, LEAF_SIZE
from engine.order import sample_index
from engine.program import Input
from kernels.types import NUMPY_DTYPE, TensorType
from protocol.game.rules import Refused, Rule, require

Array = np.ndarray


def fields_from_list(content: Any) -> tuple[Field, ...]:
    """The fields of a data set as a witness lists them."""
    require(isinstance(content, list), Rule.WITNESS, "want a list of fields")
    try:
        fields = [
            Field(name, kind, length, stride, dtype, tuple(shape), root)
            for name, kind, length, stride, dtype, shape, root in content
        ]
    except (TypeError, ValueError) as error:
        raise Refused(Rule.WITNESS, str(error)) from None
    for field in fields:
        strings = isinstance(field.name, str) and isinstance(field.root, bytes) and len(field.root) == HASH_SIZE
        require(strings and type(field.length) is int and type(field.stride) is int, Rule.WITNESS, "a field")
    return tuple(fields)


def loadable(fields: tuple[Field, ...], job: Job, value: Input) -> Field | None:
    """The field that a batch input loads; None where the data set has none that fits."""
    for field in fields:
        shape = (job.batch_size, *field.record_shape)
        if field.name == value.name and field.records == job.records and value.type.shape == shape:
            return field if value.type.dtype in LOADS_AS[field.dtype] else None
    return None


def stored_dtype(field: Field) -> np.dtype[Any]:
    """The dtype of a field's stored array."""
    dtype: np.dtype[Any] = STORED_DTYPE[field.dtype]  # type: ignore[assignment]
    return dtype


def field_bytes(field: Field) -> int:
    """The size of a field's stored array."""
    size = stored_dtype(field).itemsize
    for axis in field.shape:
        size *= axis
    return size


def record_spans(field: Field, job: Job, step: int) -> list[tuple[int, int]]:
    """The bytes [start, stop) of each record of a step's batch, in the batch's order."""
    size, item = 1, stored_dtype(field).itemsize
    for axis in field.record_shape:
        size *= axis
    samples = [sample_index(job.seed, step * job.batch_size + place, job.records) for place in range(job.batch_size)]
    starts = [field.position(sample, 0) * item for sample in samples]
    return [(start, start + size * item) for start in starts]


def record_leaves(field: Field, job: Job, step: int) -> list[int]:
    """The 1 KiB leaves of a field that a step's batch lies in, ascending."""
    leaves: set[int] = set()
    for start, stop in record_spans(field, job, step):
        leaves.update(range(start // LEAF_SIZE, -(-stop // LEAF_SIZE)))
    return sorted(leaves)


def batch_of(field: Field, job: Job, step: int, leaves: Mapping[int, bytes], type_: TensorType) -> Array:
    """The loaded batch input of a step, from the leaves it lies in."""
    records = [_bytes_of(leaves, start, stop) for start, stop in record_spans(field, job, step)]
    stored = np.frombuffer(b"".join(records), stored_dtype(field)).reshape(type_.shape)
    return np.ascontiguousarray(stored, NUMPY_DTYPE[type_.dtype])


def _bytes_of(leaves: Mapping[int, bytes], start: int, stop: int) -> bytes:
    if start == stop:
        return b""
    first, last = start // LEAF_SIZE, (stop - 1) // LEAF_SIZE
    data = b"".join(leaves[index] for index in range(first, last + 1))
    return data[start - first * LEAF_SIZE : stop - first * LEAF_SIZE]
