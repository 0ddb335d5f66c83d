"""The order of the samples for many positions at once; `kernels.spec.random.sample_index` defines it for one."""

from __future__ import annotations

import numpy as np

from kernels.spec.random import FEISTEL_ROUNDS, KEY_STEPS, MAX_WALK, MULTIPLIERS, ORDER_SITE, ROUNDS, key_of

Array = np.ndarray
MAX_EPOCHS = 2**32
LOW = np.uint64(2**32 - 1)
HALF = np.uint64(32)


def sample_index(seed: int, position: int, records: int) -> int:
    """The record at one position of the run."""
    return int(sample_indices(seed, np.array([position], np.int64), records)[0])


def sample_indices(seed: int, positions: Array, records: int) -> Array:
    """The records at positions of the run.

    positions: [N] int64, step * batch_size + place in the batch
    returns:   [N] int64 in [0, records)
    """
    epochs, values = np.divmod(positions, records)
    half = np.uint64(max(1, -(-(records - 1).bit_length() // 2)))
    values, epochs = values.astype(np.uint64), epochs.astype(np.uint64)
    outside = np.arange(len(values))
    for _ in range(MAX_WALK):
        values[outside] = _feistel(values[outside], half, epochs[outside], key_of(seed))
        outside = outside[values[outside] >= records]
        if not len(outside):
            break
    return (values % np.uint64(records)).astype(np.int64)


def _feistel(values: Array, half: np.uint64, epochs: Array, key: tuple[int, int]) -> Array:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for r in range(FEISTEL_ROUNDS):
        left, right = right, left ^ (_philox_word(right, r, epochs, key) & mask)
    return left << half | right


def _philox_word(a: Array, r: int, d: Array, key: tuple[int, int]) -> Array:
    """Word 0 of Philox4x32-10 at the counters (a, r, ORDER_SITE, d); every word is a uint64 below 2^32."""
    b, c = np.full_like(a, r), np.full_like(a, ORDER_SITE)
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = a * np.uint64(MULTIPLIERS[0]), c * np.uint64(MULTIPLIERS[1])
        a, b = (product1 >> HALF) ^ b ^ np.uint64(k0), product1 & LOW
        c, d = (product0 >> HALF) ^ d ^ np.uint64(k1), product0 & LOW
        k0, k1 = (k0 + KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + KEY_STEPS[1]) & 0xFFFFFFFF
    return a
