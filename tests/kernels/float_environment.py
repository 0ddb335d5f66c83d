"""A calling thread in a bad mood: subnormals flushed to zero, rounding upward."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

X86, ARM = ("x86_64", "AMD64"), ("aarch64", "arm64")
# Where the control word lies in glibc's fenv_t, and its bits: flush to zero, operands too, round up.
WORD = dict.fromkeys(X86, (28, 0x8000 | 0x0040 | 0x4000)) | dict.fromkeys(ARM, (0, 1 << 24 | 1 << 22))


@contextmanager
def hostile_mode() -> Iterator[None]:
    """Flush-to-zero, denormals-are-zero and rounding upward in this thread."""
    if platform.machine() not in WORD or platform.libc_ver()[0] != "glibc":
        pytest.skip("wants x86-64 or ARM with glibc, whose floating-point control word can be set")
    offset, flags = WORD[platform.machine()]
    libm = ctypes.CDLL("libm.so.6")
    saved, hostile = ctypes.create_string_buffer(256), ctypes.create_string_buffer(256)
    libm.fegetenv(saved)
    libm.fegetenv(hostile)
    word = ctypes.c_uint32.from_buffer(hostile, offset)
    word.value |= flags
    libm.fesetenv(hostile)
    try:
        yield
    finally:
        libm.fesetenv(saved)
