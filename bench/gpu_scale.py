"""How much of each check and figure a run of bench/gpu.py does: all of it on a GPU, a little of it for a dry run."""

from __future__ import annotations

from dataclasses import dataclass

from bench.models import llama_full, transformer

GPT2 = transformer.Size(layers=12, heads=12, C=768, vocabulary=50257, B=8, T=1024, dropout=0.0)
TINY_GPT = transformer.Size(layers=1, heads=2, C=16, vocabulary=11, B=2, T=8, dropout=0.0)
TINY_LLAMA = llama_full.Size(layers=1, heads=2, C=16, hidden=24, vocabulary=11, B=2, T=8)


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and budgets.

    case_step:    every so many conformance cases
    programs:     random programs for generated kernels
    chunk:        inputs of a function at a time, of `inputs` in all, within exhaustive_s seconds
    tiled:        M, K, N of the product that every tiling computes
    products:     M = N = K; vectors: elements, of rows of `columns`; hashed: bytes
    rounds:       of batches of batch_s seconds of each competitor; 0: every one is called once
    """

    case_step: int = 1
    programs: int = 12
    chunk: int = 2**26
    inputs: int = 2**32
    exhaustive_s: float = 120.0
    tiled: tuple[int, int, int] = (257, 700, 131)
    products: tuple[int, ...] = (4096, 8192)
    elements: int = 2**26
    columns: int = 1024
    hashed: int = 2**31
    rounds: int = 5
    batch_s: float = 0.05
    gpt: transformer.Size = GPT2
    llama: llama_full.Size = llama_full.LLAMA_1B


DRY = Scale(
    case_step=101,
    programs=1,
    chunk=2**12,
    inputs=2**13,
    tiled=(17, 130, 9),
    products=(48,),
    elements=2**12,
    columns=64,
    hashed=2**13,
    rounds=0,
    batch_s=0.0,
    gpt=TINY_GPT,
    llama=TINY_LLAMA,
)
