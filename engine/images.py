"""A folder of images, one sub-folder a class, decoded once into arrays: decoders differ, arrays do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.files import filled_arrays

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def decode_images(folder: Path, output: Path, size: int) -> dict[str, int]:
    """Write `image` uint8 [N, 3, size, size] and `label` int64 [N] in one safetensors file; class -> images of it.

    Classes are numbered by the order of their folders' names; their images follow in the order of their names. Each is
    scaled until its shorter side is `size`, and cut to the middle square.
    """
    files = image_files(folder)
    classes = sorted({path.parent.name for path in files})
    types: dict[str, tuple[Any, tuple[int, ...]]] = {
        "image": (np.dtype("u1"), (len(files), 3, size, size)),
        "label": (np.dtype("<i8"), (len(files),)),
    }
    with filled_arrays(output, types) as arrays:
        for place, path in enumerate(files):
            arrays["image"][place] = _square(path, size)
            arrays["label"][place] = classes.index(path.parent.name)
    return {name: sum(path.parent.name == name for path in files) for name in classes}


def image_files(folder: Path) -> list[Path]:
    """The images of every class, in order; a ValueError where there are none."""
    if not folder.is_dir():
        raise ValueError(f"images: got {folder}, want a folder with a sub-folder per class")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = [path for each in classes for path in sorted(each.iterdir()) if path.suffix.lower() in SUFFIXES]
    for path in files:
        if not path.is_file():
            raise ValueError(f"images: got {path}, want a file")
    if not files:
        raise ValueError(f"images: {folder} has no sub-folder with images ({', '.join(SUFFIXES)})")
    return files


def _square(path: Path, size: int) -> np.ndarray:
    image, resampling = _decoded(path)
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    image = image.resize((width, height), resampling)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)), np.uint8).transpose(2, 0, 1)


def _decoded(path: Path) -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ValueError("images: decoding needs Pillow: pip install 'isobit[images]'") from None
    try:
        with Image.open(path) as file:
            return ImageOps.exif_transpose(file).convert("RGB"), Image.Resampling.BICUBIC
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"images: cannot decode {path}: {error}") from None
