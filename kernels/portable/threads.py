"""Work split over threads, each of them in IEEE mode."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from kernels.float_mode import ieee_mode

Body = Callable[[int, int], object]
PARTS_PER_THREAD = 4


def parallel(threads: int, count: int, grain: int, body: Body) -> None:
    """body(start, stop) over the ranges that cover [0, count), none of them smaller than grain but the last.

    body releases the GIL in what takes long (numba with nogil, NumPy) and writes to places of its own range only.
    """
    parts = max(1, min(threads * PARTS_PER_THREAD if threads > 1 else 1, count // max(grain, 1)))
    bounds = [count * part // parts for part in range(parts + 1)]
    if parts == 1:
        _in_ieee_mode(body, 0, count)
    else:
        list(_pool(threads).map(lambda part: _in_ieee_mode(body, bounds[part], bounds[part + 1]), range(parts)))


def _in_ieee_mode(body: Body, start: int, stop: int) -> None:
    with ieee_mode():
        body(start, stop)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="portable")
