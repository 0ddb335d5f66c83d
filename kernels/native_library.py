"""The native library, loaded so that its idle threads sleep instead of spinning; one of other sources is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kernels.native_sources import digest_of

VARIABLE = "OMP_WAIT_POLICY"
SOURCES = Path(__file__).parents[1] / "csrc"


@contextmanager
def _idle_threads_sleep() -> Iterator[None]:
    """The OpenMP runtime reads its policy once, when it is loaded.

    Its default, spinning, made a training step thirty times slower on a machine whose cores had other work too.
    """
    before = os.environ.get(VARIABLE)
    os.environ.setdefault(VARIABLE, "passive")
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]


def require_current(module: Any, csrc: Path = SOURCES) -> None:
    """An ImportError unless the module was built from the sources beside it. An installed package has none."""
    built = getattr(module, "sources", "")
    if (csrc / "bind.cpp").exists() and built != digest_of(csrc):
        raise ImportError(
            f"{module.__file__} was built from other sources than {csrc}:"
            " build it again with `python setup.py build_ext --inplace`"
        )


with _idle_threads_sleep():
    from kernels import _native as library

require_current(library)
__all__ = ["library"]
