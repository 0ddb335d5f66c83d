"""What committing costs: the state's root after every step beside steps without, and SHA-256 by itself."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from bench.case import Case, Competitors, backend
from bench.suites.step import MODELS, ours_of, traced
from engine.state import StateHasher

TREE_BYTES = 2**26


def committed_step(name: str, threads: int) -> Competitors:
    """Steps of interval 1, and uncommitted ones on a state of their own."""
    job, batch = traced(MODELS[name], "default"), MODELS[name]()["data"]
    resident, step = ours_of(job, batch, threads)
    _, uncommitted = ours_of(job, batch, threads)
    hasher = StateHasher("native", threads)

    def ours() -> bytes:
        step()
        return hasher.commit(resident.state).root

    return Competitors(ours, {"uncommitted": uncommitted})


def tree(threads: int) -> Competitors:
    """The root over 1 KiB leaves, and OpenSSL over as many streams as there are threads: the machine's plain rate."""
    data = np.random.default_rng(0).bytes(TREE_BYTES)
    parts = [data[i * TREE_BYTES // threads : (i + 1) * TREE_BYTES // threads] for i in range(threads)]
    pool = ThreadPoolExecutor(threads)

    def streams() -> list[bytes]:
        return list(pool.map(lambda part: hashlib.sha256(part).digest(), parts))

    return Competitors(partial(backend().tree_root, data, threads=threads), {"openssl": streams})


def cases() -> list[Case]:
    """The models of the step suite at default width, and the bare tree."""
    steps = [Case(f"{name} interval 1", partial(committed_step, name), 0, "none") for name in MODELS]
    return [Case(f"tree root of {TREE_BYTES} bytes", tree, TREE_BYTES, "bytes"), *steps]
