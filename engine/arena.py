"""One piece of memory for all values of a step: values that are never alive together share their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernels.memory import ALIGNMENT


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes that a value needs from the call that writes it to the last that reads it, both included."""

    size: int
    first: int
    last: int


def aligned(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def places_of(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """The offset of each block and the bytes of all: the largest first, each in the lowest gap that it fits in."""
    count = len(blocks)
    first, last = (np.array([getattr(b, name) for b in blocks], np.int64) for name in ("first", "last"))
    begin, end = np.zeros(count, np.int64), np.zeros(count, np.int64)
    placed = np.zeros(count, bool)
    for i in sorted(range(count), key=lambda i: -blocks[i].size):
        beside = np.flatnonzero(placed & (first <= last[i]) & (last >= first[i]))
        begin[i] = _lowest_gap(begin[beside], end[beside], aligned(blocks[i].size))
        end[i] = begin[i] + aligned(blocks[i].size)
        placed[i] = True
    return begin.tolist(), int(end.max(initial=0))


def _lowest_gap(begin: np.ndarray, end: np.ndarray, size: int) -> int:
    """The lowest offset with `size` free bytes among occupied ranges."""
    order = np.argsort(begin)
    occupied = np.maximum.accumulate(end[order])
    before = np.concatenate(([0], occupied))
    after = np.append(begin[order], np.iinfo(np.int64).max)
    return int(before[np.flatnonzero(after - before >= size)[0]])
