"""What the Python side takes for granted about the native module: a digest of the sources that say what it offers."""

from __future__ import annotations

import hashlib
from pathlib import Path

PATTERNS = ("bind*", "isobit.h", "operators.h")


def interface(csrc: Path) -> str:
    """The digest of the binding's sources. setup.py writes it into the module, which is of no use to any other."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in PATTERNS for path in csrc.glob(pattern)):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
