"""Which sources the native module is built from, as one digest: Python and C++ of two versions do not go together."""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDERS = ("", "cpu")
SUFFIXES = (".cpp", ".h")


def digest_of(csrc: Path) -> str:
    """The digest of the sources of the processors' operators. setup.py writes it into the module."""
    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((csrc / folder).iterdir()):
            if path.suffix in SUFFIXES:
                digest.update(f"{folder}/{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
