"""Files that are there whole or not at all, and arrays mapped from safetensors without trusting the header."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

Array = np.ndarray
SAFETENSORS_DTYPE: dict[str, Any] = {
    "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "U32": np.dtype("<u4"),
    "F32": np.dtype("<f4"),
    "BOOL": np.dtype("?"),
}


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, whenever the process or the machine stops."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    _write_then_rename(path, write)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays as one safetensors file, whole or not at all."""
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}

    def write(temporary: Path) -> None:
        save_file(contiguous, temporary)

    _write_then_rename(path, write)


def _write_then_rename(path: Path, write: Callable[[Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Return once a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that is there whole or not at all; a ValueError where something stands at its place."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path}: already exists, want a new or an empty folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        fill(temporary)
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a file; a ValueError that says what is missing."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{what}: cannot read {path}: {error.strerror}") from None


def map_arrays(path: Path, what: str) -> dict[str, Array]:
    """The arrays of a safetensors file as read-only views of the mapped file; a ValueError for a malformed file.

    The library has checked the header (sizes, overlaps, holes, duplicate names) before its offsets are used here.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{what}: {path.name} is no sound safetensors file: {error}") from None
    mapped = np.memmap(path, dtype=np.uint8, mode="r")
    (header_size,) = struct.unpack("<Q", mapped[:8].tobytes())
    header = json.loads(mapped[8 : 8 + header_size].tobytes())
    return {name: _view(mapped[8 + header_size :], header[name], f"{what}: {name!r}") for name in sorted(names)}


def _view(body: Array, entry: Mapping[str, Any], what: str) -> Array:
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in SAFETENSORS_DTYPE:
        raise ValueError(f"{what}: got dtype {dtype}, want one of {', '.join(SAFETENSORS_DTYPE)}")
    return body[offsets[0] : offsets[1]].view(SAFETENSORS_DTYPE[dtype]).reshape(shape)
