"""SHA-256 trees over tensors on the device (RFC 6962); only roots travel.

The same hashes as kernels/hashing.py: SHA-256(0x00 || leaf) of each 1 KiB, SHA-256(0x01 || left || right) above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import numpy as np
import torch
import triton

from kernels import hashing
from kernels.hashing import HASH_SIZE, LEAF_SIZE
from kernels.triton import streams
from kernels.triton.launch import INTERPRETED, OPTIONS, device
from kernels.triton.sha256 import leaf_kernel, node_kernel
from kernels.triton.sha256_constants import ROUND_WORDS

LANES = 4096 if INTERPRETED else 128


@cache
def round_words() -> torch.Tensor:
    """The 64 constants of the rounds on the device."""
    return on_device(np.array(ROUND_WORDS, np.uint32).view(np.int32)).view(torch.uint32)


def many_roots(
    arrays: Sequence[torch.Tensor | np.ndarray], leaves_per_subtree: int, threads: int = 1
) -> list[list[bytes]]:
    """Per array, the roots over each run of that many leaves; tensors together, what is on the host there."""
    return begin_roots(arrays, leaves_per_subtree, threads)()


def begin_roots(
    arrays: Sequence[torch.Tensor | np.ndarray], leaves_per_subtree: int, threads: int = 1
) -> Callable[[], list[list[bytes]]]:
    """The same, begun beside what the device computes: the function that it gives waits for the roots.

    Until then the tensors are read: `streams.join` before they are overwritten.
    """
    tensors = [x for x in arrays if isinstance(x, torch.Tensor)]
    finish = tensor_roots(tensors, leaves_per_subtree)
    on_host = {
        i: hashing.subtree_roots(x, leaves_per_subtree) for i, x in enumerate(arrays) if isinstance(x, np.ndarray)
    }

    def roots() -> list[list[bytes]]:
        on_device = iter(finish())
        return [on_host[i] if i in on_host else next(on_device) for i in range(len(arrays))]

    return roots


def tensor_roots(tensors: Sequence[torch.Tensor], leaves_per_subtree: int) -> Callable[[], list[list[bytes]]]:
    """A function that gives, per tensor, the roots over each run of leaves of its bytes, in row-major order."""
    sizes = tuple(x.numel() * x.element_size() for x in tensors)
    subtrees = [_subtrees(-(-size // LEAF_SIZE), leaves_per_subtree) for size in sizes]
    with streams.beside():
        plain = [x.contiguous() for x in tensors]
        level = leaf_hashes(tuple(x.data_ptr() for x in plain), sizes)
        for left, right in levels(tuple(size for sizes in subtrees for size in sizes)):
            above = torch.empty((len(left), 8), dtype=torch.int32, device=device())
            grid = (triton.cdiv(len(left), LANES),)
            node_kernel[grid](
                level, left, right, above.view(torch.uint32), len(left), round_words(), L=LANES, **OPTIONS
            )
            level = above.view(torch.uint32)
        words = streams.fetch(level.view(torch.int32))

    def roots() -> list[list[bytes]]:
        joined = words().numpy().astype(">i4").tobytes()
        parts = iter(joined[start : start + HASH_SIZE] for start in range(0, len(joined), HASH_SIZE))
        return [[next(parts) for _ in sizes] for sizes in subtrees]

    return roots


def _subtrees(count: int, most: int) -> list[int]:
    """The leaves of each subtree: so many, the last with what is left."""
    return [most] * (count // most) + [count % most] * (count % most > 0)


def leaf_hashes(starts: tuple[int, ...], sizes: tuple[int, ...]) -> torch.Tensor:
    """[leaves, 8] uint32: the words of every leaf's hash, of memory at these addresses."""
    addresses, lengths = leaf_table(starts, sizes)
    out = torch.empty((len(lengths), 8), dtype=torch.int32, device=device()).view(torch.uint32)
    if len(lengths):
        grid = (triton.cdiv(len(lengths), LANES),)
        leaf_kernel[grid](addresses, lengths, out, len(lengths), 8, round_words(), L=LANES, **OPTIONS)
    return out


def on_device(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).to(device())


@lru_cache(maxsize=2)
def leaf_table(starts: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """The address and the length of each leaf; a run's state keeps its places, so it is made once."""
    addresses, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for start, size in zip(starts, sizes, strict=True):
        if start % 4:
            raise ValueError(f"leaf hashes: got a tensor at address {start:#x}, want a multiple of 4")
        offsets = np.arange(0, size, LEAF_SIZE)
        addresses.append(start + offsets)
        lengths.append(np.minimum(LEAF_SIZE, size - offsets).astype(np.int32))
    return on_device(np.concatenate(addresses)), on_device(np.concatenate(lengths))


@lru_cache(maxsize=4)
def levels(subtrees: tuple[int, ...]) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """For each level above the leaves, the left and right node below each node; -1: the left one rises as it is."""
    found, sizes = [], np.array(subtrees, np.int64)
    while sizes.max(initial=0) > 1:
        above = (sizes + 1) // 2
        first, start = np.repeat(np.cumsum(sizes) - sizes, above), np.repeat(np.cumsum(above) - above, above)
        place = 2 * (np.arange(above.sum()) - start)
        right = np.where(place + 1 < np.repeat(sizes, above), first + place + 1, -1)
        found.append((on_device((first + place).astype(np.int32)), on_device(right.astype(np.int32))))
        sizes = above
    return tuple(found)
