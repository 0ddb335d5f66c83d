"""The IEEE floating-point mode of the calling thread, for backends whose code cannot set it itself."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

ENVIRONMENT_SIZE = 256  # more than any C library's fenv_t
LIBRARIES = {"darwin": ("libSystem.dylib",), "win32": ("ucrtbase.dll",)}
LEAST_NORMAL = 2.2250738585072014e-308
HALF_ULP = 2.0**-53


@contextmanager
def ieee_mode() -> Iterator[None]:
    """Round to nearest even and keep subnormals in this thread, whatever the caller had set, and give that back after.

    A RuntimeError where the mode cannot be set.
    """
    library = _libm()
    saved = ctypes.create_string_buffer(ENVIRONMENT_SIZE)
    if library.fegetenv(saved) or library.fesetenv(_default_environment()):
        raise RuntimeError("float mode: the C library could not set the IEEE default environment")
    try:
        if not is_ieee():
            raise RuntimeError("float mode: subnormals or rounding to nearest are lost after fesetenv(FE_DFL_ENV)")
        yield
    finally:
        library.fesetenv(saved)


def is_ieee() -> bool:
    """Whether this thread keeps subnormals, as operands and as results, and rounds to nearest even."""
    least = float(LEAST_NORMAL)
    one = float(1)
    subnormal = least / 2
    keeps = subnormal > 0 and subnormal * 2 == least
    return keeps and one + HALF_ULP == one and one + 3 * HALF_ULP == one + 4 * HALF_ULP and one - HALF_ULP < one


@cache
def _libm() -> ctypes.CDLL:
    for name in LIBRARIES.get(sys.platform, ("libm.so.6", "libm.so", "libc.so")):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.fegetenv.argtypes = library.fesetenv.argtypes = (ctypes.c_void_p,)
        return library
    raise RuntimeError("float mode: no C mathematics library with fegetenv was found")


@cache
def _default_environment() -> ctypes.c_void_p:
    """FE_DFL_ENV: glibc and musl define it as the address -1, macOS as an object of that name."""
    if sys.platform == "darwin":
        return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(_libm(), "_FE_DFL_ENV")))
    return ctypes.c_void_p(-1)
