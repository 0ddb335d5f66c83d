"""A data set with a root, and which sample stands at which place of which step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np

from engine.canonical import from_canonical, to_canonical
from engine.merkle import HASH_SIZE, leaf_hash, root_of
from engine.order import sample_indices
from engine.state import require_canonical, tensor_root
from kernels.types import NUMPY_DTYPE, TensorType

Array = np.ndarray
Kind = Literal["rows", "windows"]
STORED_DTYPE = {
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "float32": np.dtype("<f4"),
    "bool": np.dtype("?"),
}
# What a stored dtype may be loaded as: every value must survive.
LOADS_AS = {
    "uint8": ("int64", "int32", "uint32", "float32"),
    "uint16": ("int64", "int32", "uint32", "float32"),
    "int32": ("int32", "int64"),
    "int64": ("int64",),
    "float32": ("float32",),
    "bool": ("bool",),
}
ORDER_BLOCK = 4096
MAX_FIELDS_BYTES = 2**20


@dataclass(frozen=True)
class Windows:
    """A stream of tokens [N], cut to overlapping records of `length` that start every `stride` tokens."""

    stream: Array
    length: int
    stride: int


@dataclass(frozen=True, slots=True)
class Field:
    """The committed description of one field.

    kind:  rows: record r is array[r]; windows: record r is array[r * stride : r * stride + length]
    shape: of the stored array
    root:  the tensor root of the stored array
    """

    name: str
    kind: Kind
    length: int
    stride: int
    dtype: str
    shape: tuple[int, ...]
    root: bytes

    def __post_init__(self) -> None:
        _require_field(self)

    @property
    def records(self) -> int:
        if self.kind == "rows":
            return self.shape[0]
        return max(0, (self.shape[0] - self.length) // self.stride + 1)

    @property
    def record_shape(self) -> tuple[int, ...]:
        return self.shape[1:] if self.kind == "rows" else (self.length,)

    @property
    def hash(self) -> bytes:
        """The leaf hash: canonical CBOR of [name, kind, length, stride, dtype, shape, root]."""
        return leaf_hash(to_canonical(self.to_list()))

    def to_list(self) -> list[Any]:
        return [self.name, self.kind, self.length, self.stride, self.dtype, list(self.shape), self.root]

    def position(self, record: int, element: int) -> int:
        """The flat index in the stored array of an element (row-major) of a record."""
        if self.kind == "windows":
            return record * self.stride + element
        size = 1
        for axis in self.shape[1:]:
            size *= axis
        return record * size + element


def _require_field(field: Field) -> None:
    what = f"data: field {field.name!r}"
    if field.dtype not in STORED_DTYPE:
        raise ValueError(f"{what}: got dtype {field.dtype}, want one of {', '.join(STORED_DTYPE)}")
    if not field.shape or any(type(size) is not int or size < 0 for size in field.shape):
        raise ValueError(f"{what}: got shape {field.shape}, want a leading axis of records")
    if field.kind == "rows" and (field.length, field.stride) != (0, 0):
        raise ValueError(f"{what}: got rows with length {field.length}, stride {field.stride}, want 0 and 0")
    if field.kind == "windows" and (len(field.shape) != 1 or field.length < 1 or field.stride < 1):
        raise ValueError(
            f"{what}: got windows of length {field.length}, stride {field.stride} over shape {field.shape},"
            " want at least 1 and 1 over a stream of rank 1"
        )
    if field.kind not in ("rows", "windows"):
        raise ValueError(f"{what}: got kind {field.kind!r}, want rows or windows")


def fields_from_bytes(data: bytes) -> tuple[Field, ...]:
    """The fields of a data set from the canonical bytes of their list; a ValueError for anything else."""
    if len(data) > MAX_FIELDS_BYTES:
        raise ValueError(f"data: got a list of fields of {len(data)} bytes, want at most {MAX_FIELDS_BYTES}")
    content = from_canonical(data, "data")
    if not isinstance(content, list):
        raise ValueError(f"data: got a {type(content).__name__}, want a list of fields")
    return tuple(_field(item) for item in content)


def _field(item: Any) -> Field:
    if not isinstance(item, list) or len(item) != 7 or not isinstance(item[5], list):
        raise ValueError("data: want fields of [name, kind, length, stride, dtype, shape, root]")
    name, kind, length, stride, dtype, shape, root = item
    strings = isinstance(name, str) and isinstance(kind, str) and isinstance(dtype, str)
    if not strings or type(length) is not int or type(stride) is not int:
        raise ValueError("data: want a field's name, kind and dtype as strings, its length and stride as integers")
    if not isinstance(root, bytes) or len(root) != HASH_SIZE:
        raise ValueError(f"data: field {name!r}: want a root of {HASH_SIZE} bytes")
    return Field(name, kind, length, stride, dtype, tuple(shape), root)


class Dataset:
    """Committed fields with their arrays, all with the same number of records."""

    def __init__(self, fields: Sequence[Field], arrays: Mapping[str, Array]) -> None:
        self.fields = tuple(fields)
        self.arrays = {field.name: arrays[field.name] for field in self.fields}
        _require_one_count(self.fields)
        self._views = {field.name: _records(field, self.arrays[field.name]) for field in self.fields}

    @property
    def records(self) -> int:
        return self.fields[0].records if self.fields else 0

    @cached_property
    def root(self) -> bytes:
        """The root over the fields."""
        return root_of([field.hash for field in self.fields])

    def field(self, name: str) -> Field:
        """A field by name; a ValueError where there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise ValueError(f"data: no field {name!r}, got {', '.join(field.name for field in self.fields) or 'none'}")

    def require_loads_as(self, name: str, type_: TensorType, batch_size: int) -> None:
        """A ValueError unless a batch of a field has exactly this type."""
        field = self.field(name)
        if type_.dtype not in LOADS_AS[field.dtype] or type_.shape != (batch_size, *field.record_shape):
            raise ValueError(
                f"data: batch input {name!r} wants {type_}, got {batch_size} records of"
                f" {field.dtype}{list(field.record_shape)}; {field.dtype} loads as {', '.join(LOADS_AS[field.dtype])}"
            )

    def batch(self, seed: int, step: int, batch_size: int) -> dict[str, Array]:
        """The records of a step, in the order of the law, as stored: name -> [B, ...]."""
        samples = self.samples(seed, step, batch_size)
        return {name: records[samples] for name, records in self._views.items()}

    def load(self, types: Mapping[str, TensorType], seed: int, step: int) -> dict[str, Array]:
        """The batch inputs of a step in the program's types; each type's first axis is the batch."""
        loaded = {}
        for name, type_ in types.items():
            samples = self.samples(seed, step, type_.shape[0])
            loaded[name] = np.ascontiguousarray(self._views[name][samples], NUMPY_DTYPE[type_.dtype])
        return loaded

    def samples(self, seed: int, step: int, batch_size: int) -> Array:
        """The record numbers of a step: [B] int64."""
        first, last = step * batch_size, (step + 1) * batch_size - 1
        blocks = range(first // ORDER_BLOCK, last // ORDER_BLOCK + 1)
        parts = [_order_block(seed, block, self.records) for block in blocks]
        start = first - blocks[0] * ORDER_BLOCK
        return np.concatenate(parts)[start : start + batch_size]


@lru_cache(maxsize=4)
def _order_block(seed: int, block: int, records: int) -> Array:
    """The samples at 4096 consecutive positions: one vectorised call costs little more than that of one batch."""
    positions = np.arange(block * ORDER_BLOCK, (block + 1) * ORDER_BLOCK, dtype=np.int64)
    return sample_indices(seed, positions, records)


def _records(field: Field, array: Array) -> Array:
    """A view of an array by record: [records, ...]."""
    if array.dtype != STORED_DTYPE[field.dtype] or array.shape != field.shape:
        raise ValueError(
            f"data: field {field.name!r}: got {array.dtype}{list(array.shape)}, want {field.dtype}{list(field.shape)}"
        )
    if field.kind == "rows":
        return array
    if field.records == 0:
        return np.empty((0, field.length), array.dtype)
    return np.lib.stride_tricks.sliding_window_view(array, field.length)[:: field.stride]


def _require_one_count(fields: Sequence[Field]) -> None:
    names = [field.name for field in fields]
    if len(set(names)) != len(names):
        raise ValueError(f"data: two fields share a name among {', '.join(names)}")
    counts = {field.name: field.records for field in fields}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise ValueError(f"data: got fields of {counts} records, want the same number, at least 1")


def dataset_of(fields: Mapping[str, Array | Windows], backend: str = "native", threads: int = 1) -> Dataset:
    """The data set of named arrays (rows) and token streams (windows), hashed."""
    arrays = {name: value.stream if isinstance(value, Windows) else value for name, value in fields.items()}
    described = []
    for name, value in fields.items():
        kind, length, stride = ("windows", value.length, value.stride) if isinstance(value, Windows) else ("rows", 0, 0)
        array = require_canonical(arrays[name], f"data: field {name!r}")
        dtype = next((dtype for dtype, stored in STORED_DTYPE.items() if stored == array.dtype), str(array.dtype))
        root = tensor_root(array, backend, threads)
        described.append(Field(name, kind, length, stride, dtype, array.shape, root))  # type: ignore[arg-type]
    return Dataset(described, arrays)


def verify_arrays(dataset: Dataset, backend: str = "native", threads: int = 1) -> Dataset:
    """The same data set, once every array hashes to its committed root; a ValueError that names the field."""
    for field in dataset.fields:
        array = require_canonical(dataset.arrays[field.name], f"data: field {field.name!r}")
        root = tensor_root(array, backend, threads)
        if root != field.root:
            raise ValueError(
                f"data: field {field.name!r} was altered: its root is {root.hex()}, want {field.root.hex()}"
            )
    return dataset
