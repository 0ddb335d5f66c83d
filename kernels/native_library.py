"""The native library, loaded so that its idle threads sleep instead of spinning."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "OMP_WAIT_POLICY"


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


with _idle_threads_sleep():
    from kernels import _native as library

__all__ = ["library"]
