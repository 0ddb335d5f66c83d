"""A folder of images becomes two arrays, in the order of names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from engine.images import decode_images

COLOURS = {"cat": (255, 0, 0), "dog": (0, 255, 0), "eel": (0, 0, 255)}


def folder_of_images(folder: Path) -> Path:
    """Flat colours of different sizes and kinds of file, made in an order other than that of the names."""
    for number, (name, colour) in enumerate(reversed(COLOURS.items())):
        (folder / name).mkdir(parents=True)
        for image in range(number + 1):
            side = 20 + 7 * image
            Image.new("RGB", (side, 33), colour).save(folder / name / f"{image}.{('png', 'bmp')[image % 2]}")
        (folder / name / "notes.txt").write_text("no image")
    return folder


def test_classes_and_images_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    counts = decode_images(folder_of_images(tmp_path / "in"), tmp_path / "out.safetensors", 8)
    assert counts == {"cat": 3, "dog": 2, "eel": 1}
    arrays = load_file(tmp_path / "out.safetensors")
    assert arrays["label"].tolist() == [0, 0, 0, 1, 1, 2] and arrays["label"].dtype == np.int64
    assert arrays["image"].shape == (6, 3, 8, 8) and arrays["image"].dtype == np.uint8
    for image, label in zip(arrays["image"], arrays["label"], strict=True):
        assert (image == np.array(list(COLOURS.values())[label], np.uint8).reshape(3, 1, 1)).all()


def test_a_wide_image_keeps_its_middle(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    (tmp_path / "in" / "a").mkdir(parents=True)
    Image.fromarray(wide).save(tmp_path / "in" / "a" / "wide.png")
    decode_images(tmp_path / "in", tmp_path / "out.safetensors", 8)
    assert load_file(tmp_path / "out.safetensors")["image"][0].tolist() == wide[:, 8:16].transpose(2, 0, 1).tolist()


def test_refuses_folders_without_images_and_images_without_pixels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="want a folder with a sub-folder per class"):
        decode_images(tmp_path / "none", tmp_path / "out", 8)
    (tmp_path / "in" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match="has no sub-folder with images"):
        decode_images(tmp_path / "in", tmp_path / "out", 8)
    (tmp_path / "in" / "a" / "x.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"cannot decode .*x\.png"):
        decode_images(tmp_path / "in", tmp_path / "out", 8)
    assert not (tmp_path / "out").exists()
