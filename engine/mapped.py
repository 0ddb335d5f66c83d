"""Arrays of a user's own files, mapped and never read whole: tokens without a header, .npy, .safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.data import STORED_DTYPE
from engine.files import map_arrays

Array = np.ndarray


def map_file(path: Path, dtype: Any, name: str) -> Array:
    """A file's array: of a .npy, of this name in a .safetensors, or with a dtype the file's bytes as a stream [N]."""
    what = f"data {name!r}"
    if not path.is_file():
        raise ValueError(f"{what}: got {path}, want a file")
    if dtype is not None:
        return _map_stream(path, dtype, what)
    match path.suffix:
        case ".npy":
            return _map_npy(path, what)
        case ".safetensors":
            arrays = map_arrays(path, what)
            if name not in arrays:
                raise ValueError(f"{what}: {path.name} holds {', '.join(arrays) or 'nothing'}, want an array {name!r}")
            return arrays[name]
    raise ValueError(f"{what}: got {path.name}, want a .npy, a .safetensors, or (file, dtype) for a file of numbers")


def _map_npy(path: Path, what: str) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{what}: {path.name} is no sound .npy file: {error}") from None
    if not array.flags.c_contiguous:
        raise ValueError(f"{what}: {path.name} is in column order, want rows: numpy.save(path, array.copy(order='C'))")
    return array


def _map_stream(path: Path, dtype: Any, what: str) -> Array:
    stored: Any = STORED_DTYPE.get(str(dtype))
    if stored is None:
        raise ValueError(f"{what}: got dtype {dtype!r:.40}, want one of {', '.join(STORED_DTYPE)}")
    size = path.stat().st_size
    if size == 0 or size % stored.itemsize:
        raise ValueError(f"{what}: {path.name} has {size} bytes, want a positive multiple of {stored.itemsize}")
    return np.memmap(path, stored, "r")
