"""Randomness as a pure function of position: Philox4x32-10, and the order of the samples.

Source: Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels.spec.operator import Array, Attributes, Operator, want
from kernels.types import Fault, TensorType

Types = Sequence[TensorType]
Words = tuple[int, int, int, int]
ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
WORD = 2**32
ORDER_SITE = WORD - 1
FEISTEL_ROUNDS = 8
MAX_WALK = 128


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """The four 32-bit words of Philox4x32-10 at a counter under a key."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b, c, d = (product1 >> 32) ^ b ^ k0, product1 % WORD, (product0 >> 32) ^ d ^ k1, product0 % WORD
        k0, k1 = (k0 + KEY_STEPS[0]) % WORD, (k1 + KEY_STEPS[1]) % WORD
    return a, b, c, d


def key_of(seed: int) -> tuple[int, int]:
    """The two key words of a 64-bit seed; a negative seed counts modulo 2^64."""
    return seed % WORD, (seed // WORD) % WORD


def _random_bits_rule(types: Types, attributes: Attributes) -> TensorType:
    got = " and ".join(map(str, types))
    want(all(t == TensorType("int64", ()) for t in types), "random_bits", got, "seed, step and micro_batch int64[]")
    site = attributes["site"]
    want(0 <= site < ORDER_SITE, "random_bits", f"site {site}", f"0 to {ORDER_SITE - 1}")
    return TensorType("uint32", tuple(attributes["shape"]))


def random_bits(seed: Array, step: Array, micro_batch: Array, site: int, shape: Sequence[int]) -> Array:
    """32 random bits per element, from its position, the call site, the micro-batch, the step and the seed.

    Value:    element e is word e mod 4 of the block b = e div 4, at the counter
              (b mod 2^32, (b div 2^32) | micro_batch << 16, site, step)
    Special:  a step outside [0, 2^32) or a micro-batch outside [0, 2^16) is a fault
    """
    check_position(int(step), int(micro_batch))
    size, key = int(np.prod(shape, dtype=np.int64)), key_of(int(seed))
    words: list[int] = []
    for block in range(-(-size // 4)):
        words += philox((block % WORD, (block // WORD) | int(micro_batch) << 16, site, int(step)), key)
    return np.array(words[:size], dtype=np.uint32).reshape(tuple(shape))


def check_position(step: int, micro_batch: int) -> None:
    """A fault where the step or the micro-batch does not fit its place in the counter."""
    if not 0 <= step < WORD:
        raise Fault("random_bits", 0, f"step {step} is outside [0, 2^32)")
    if not 0 <= micro_batch < 2**16:
        raise Fault("random_bits", 0, f"micro-batch {micro_batch} is outside [0, 2^16)")


def sample_index(position: int, count: int, seed: int) -> int:
    """Which of `count` records the sample at a position of the run is: each epoch is a keyed permutation.

    A balanced Feistel network of 8 rounds, walked until it falls below count, at most 128 times.
    """
    epoch, value = divmod(position, count)
    half = max(1, -(-(count - 1).bit_length() // 2))
    for _ in range(MAX_WALK):
        value = _feistel(value, half, epoch, key_of(seed))
        if value < count:
            return value
    return value % count


def _feistel(value: int, half: int, epoch: int, key: tuple[int, int]) -> int:
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for r in range(FEISTEL_ROUNDS):
        left, right = right, left ^ (philox((right, r, ORDER_SITE, epoch), key)[0] & mask)
    return left << half | right


OPERATORS = (
    Operator(
        "random_bits",
        "random",
        ("seed", "step", "micro_batch"),
        _random_bits_rule,
        random_bits,
        {"site": "int", "shape": "ints"},
        can_fault=True,
    ),
)
