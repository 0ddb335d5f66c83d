"""Files that are there whole or not at all, and arrays mapped from safetensors without trusting the header."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

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
COPIED_AT_A_TIME = 2**24
MOST_READ = 2**30  # of a file that is read whole


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, whenever the process or the machine stops."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    _write_then_rename(path, write)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays as one safetensors file, whole or not at all. Mapped arrays are copied part by part."""
    types = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    with filled_arrays(path, types) as made:
        for name, array in arrays.items():
            rows = max(1, COPIED_AT_A_TIME // max(1, array[:1].nbytes)) if array.ndim else 1
            for start in range(0, array.shape[0] if array.ndim else 1, rows):
                part = slice(start, start + rows) if array.ndim else ...
                made[name][part] = array[part]


@contextmanager
def filled_arrays(path: Path, types: Mapping[str, tuple[np.dtype, tuple[int, ...]]]) -> Iterator[dict[str, Array]]:
    """Zeros to fill, mapped from a new safetensors file that is at its place, whole, once the block ends well."""
    header, places = _header(types)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _naming(path), temporary.open("w+b") as file:
            file.write(header)
            file.flush()
            size = max((stop for _, stop in places.values()), default=0)
            if size:
                os.posix_fallocate(file.fileno(), len(header), size)  # a full disk is an error here, not a signal later
            mapped = np.memmap(temporary, np.uint8, "r+")
        body = mapped[len(header) :]
        yield {name: body[slice(*places[name])].view(dtype).reshape(shape) for name, (dtype, shape) in types.items()}
        with _naming(path):
            mapped.flush()
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _header(types: Mapping[str, tuple[np.dtype, tuple[int, ...]]]) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """The first bytes of a safetensors file, and (start, stop) of each array behind them; wide elements come first."""
    codes = {dtype: code for code, dtype in SAFETENSORS_DTYPE.items()}
    entries: dict[str, Any] = {}
    start = 0
    for name, (dtype, shape) in sorted(types.items(), key=lambda item: (-item[1][0].itemsize, item[0])):
        if dtype not in codes:
            raise ValueError(f"write arrays: {name!r} is {dtype}, want one of {', '.join(map(str, codes))}")
        stop = start + dtype.itemsize * prod(shape)
        entries[name] = {"dtype": codes[dtype], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, {name: tuple(entry["data_offsets"]) for name, entry in entries.items()}


def _write_then_rename(path: Path, write: Callable[[Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _naming(path):
            write(temporary)
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """An OSError names the file that was to be written: a full disk names none, and others the temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


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


def read_file(path: Path, what: str, most: int | None = MOST_READ) -> bytes:
    """The bytes of a file; a ValueError that says what is missing, or that it is no file of a size that fits."""
    try:
        size = require_file(path, what).stat().st_size
        if most is not None and size > most:
            raise ValueError(f"{what}: {path} has {size} bytes, want at most {most}")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{what}: cannot read {path}: {error.strerror}") from None


def require_file(path: Path, what: str) -> Path:
    """The same path; a ValueError where a folder, a pipe or a device stands there, which might never end."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{what}: got {path}, want a file")
    return path


def map_arrays(path: Path, what: str) -> dict[str, Array]:
    """The arrays of a safetensors file as read-only views of the mapped file; a ValueError for a malformed file.

    The library has checked the header (sizes, overlaps, holes, duplicate names) before its offsets are used here.
    """
    try:
        with safe_open(require_file(path, what), framework="numpy") as file:
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
