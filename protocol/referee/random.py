"""Philox4x32-10: the random word of an element, and which record stands at a position of the run."""

from __future__ import annotations

from protocol.referee.fault import Fault

WORD = 2**32
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS, FEISTEL_ROUNDS, MAX_WALK = 10, 8, 128
ORDER_SITE = WORD - 1


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """The four words of a counter (Salmon et al., SC 2011)."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(ROUNDS):
        one, other = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = other // WORD ^ b ^ k, other % WORD, one // WORD ^ d ^ m, one % WORD
        k, m = (k + KEY_STEPS[0]) % WORD, (m + KEY_STEPS[1]) % WORD
    return a, b, c, d


def key_of(seed: int) -> tuple[int, int]:
    """The key of a seed."""
    return seed % WORD, seed // WORD % WORD


def random_word(seed: int, step: int, micro_batch: int, site: int, element: int) -> int:
    """The random word of an element (row-major) at a call site. Fault where step or micro-batch leave their places."""
    if not 0 <= step < WORD or not 0 <= micro_batch < 2**16:
        raise Fault(f"random_bits: got step {step} and micro-batch {micro_batch}, want below 2^32 and 2^16")
    block = element // 4
    counter = block % WORD, block // WORD | micro_batch << 16, site, step
    return philox(counter, key_of(seed))[element % 4]


def sample_at(seed: int, position: int, records: int) -> int:
    """The record at a position of the run: each epoch is a keyed bijection, a Feistel network walked until it fits."""
    epoch, value = divmod(position, records)
    half, key = max(1, ((records - 1).bit_length() + 1) // 2), key_of(seed)
    for _ in range(MAX_WALK):
        left, right = value >> half, value & (1 << half) - 1
        for number in range(FEISTEL_ROUNDS):
            word = philox((right, number, ORDER_SITE, epoch), key)[0]
            left, right = right, left ^ word & (1 << half) - 1
        value = left << half | right
        if value < records:
            return value
    return value % records
