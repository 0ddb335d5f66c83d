"""Philox4x32-10, as kernels/spec/random.py defines it."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
import triton
import triton.language as tl

from kernels.spec.random import KEY_STEPS, MULTIPLIERS, ROUNDS, WORD
from kernels.triton.faults import require
from kernels.triton.launch import OPTIONS

M0, M1, W0, W1 = (tl.constexpr(word) for word in (*MULTIPLIERS, *KEY_STEPS))
COUNT = tl.constexpr(ROUNDS)
LOW = tl.constexpr(0xFFFFFFFF)
BLOCK = 1024


@triton.jit
def philox_kernel(out, words, n, B: tl.constexpr):
    """Four outputs a block; words: [5] int64, the counter's words 1 to 3 and the key."""
    block = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    a, b = block & LOW, (block >> 32) | tl.load(words)
    c, d = tl.load(words + 1) + block * 0, tl.load(words + 2) + block * 0
    k0, k1 = tl.load(words + 3), tl.load(words + 4)
    for _ in range(COUNT):
        product0, product1 = a * M0, c * M1  # modulo 2^64, of which the sign bit is the highest
        a, c = ((product1 >> 32) & LOW) ^ b ^ k0, ((product0 >> 32) & LOW) ^ d ^ k1
        b, d = product1 & LOW, product0 & LOW
        k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
    tl.store(out + 4 * block, a.to(tl.int32), 4 * block < n)
    tl.store(out + 4 * block + 1, b.to(tl.int32), 4 * block + 1 < n)
    tl.store(out + 4 * block + 2, c.to(tl.int32), 4 * block + 2 < n)
    tl.store(out + 4 * block + 3, d.to(tl.int32), 4 * block + 3 < n)


def random_bits(
    seed: torch.Tensor, step: torch.Tensor, micro_batch: torch.Tensor, site: int, shape: Sequence[int]
) -> torch.Tensor:
    """32 random bits per element, from its position, the call site, the micro-batch, the step and the seed."""
    wrong = (step < 0) | (step >= WORD) | (micro_batch < 0) | (micro_batch >= 2**16)
    if not require("random_bits", wrong, lambda _: f"step {int(step)} or micro-batch {int(micro_batch)} is too large"):
        micro_batch, step = micro_batch & 0xFFFF, step & 0xFFFFFFFF
    words = torch.stack(
        [micro_batch << 16, torch.full_like(step, site), step, seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]
    )
    n = prod(shape)
    out = torch.empty(list(shape), dtype=torch.int32, device=seed.device)
    if n:
        grid = (triton.cdiv(triton.cdiv(n, 4), BLOCK),)
        philox_kernel[grid](out, words, n, B=BLOCK, **OPTIONS)
    return out.view(torch.uint32)
