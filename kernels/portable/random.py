"""Philox4x32-10; kernels/spec/random.py defines it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numba import njit

from kernels.portable.threads import parallel
from kernels.spec.operator import Array
from kernels.spec.random import KEY_STEPS, MULTIPLIERS, ROUNDS, check_position, key_of

GRAIN = 1 << 12
WORD = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
M0, M1 = (np.uint64(m) for m in MULTIPLIERS)
W0, W1 = (np.uint64(w) for w in KEY_STEPS)


@njit(nogil=True, cache=True)
def _blocks(start: int, stop: int, counter: Array, key: Array, out: Array) -> None:
    """The words of the blocks [start, stop).

    counter: [3] uint64, words 1 (without the block's high half), 2 and 3
    key:     [2] uint64
    out:     [blocks, 4] uint32
    """
    for block in range(start, stop):
        a, b = np.uint64(block) & WORD, (np.uint64(block) >> HALF) | counter[0]
        c, d = counter[1], counter[2]
        k0, k1 = key[0], key[1]
        for _ in range(ROUNDS):
            product0, product1 = M0 * a, M1 * c
            a, b, c, d = (product1 >> HALF) ^ b ^ k0, product1 & WORD, (product0 >> HALF) ^ d ^ k1, product0 & WORD
            k0, k1 = (k0 + W0) & WORD, (k1 + W1) & WORD
        out[block, 0], out[block, 1], out[block, 2], out[block, 3] = a, b, c, d


def random_bits(seed: Array, step: Array, micro_batch: Array, site: int, shape: Sequence[int], threads: int) -> Array:
    """32 random bits per element."""
    check_position(int(step), int(micro_batch))
    size = prod(shape)
    words = np.empty((-(-size // 4), 4), np.uint32)
    counter = np.array([int(micro_batch) << 16, site, int(step)], np.uint64)
    key = np.array(key_of(int(seed)), np.uint64)
    parallel(threads, len(words), GRAIN, lambda start, stop: _blocks(start, stop, counter, key, words))
    return words.reshape(-1)[:size].reshape(tuple(shape))


OPERATORS = {"random_bits": random_bits}
