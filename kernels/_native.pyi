from collections.abc import Sequence

import numpy as np

def run(
    name: str,
    inputs: list[np.ndarray],
    attributes: Sequence[int],
    dtype: int,
    shape: Sequence[int],
    threads: int = 1,
    out: np.ndarray | None = None,
) -> np.ndarray: ...
def run_group(
    inputs: list[np.ndarray],
    outputs: list[np.ndarray],
    code: np.ndarray,
    size: int,
    columns: int = 0,
    threads: int = 1,
) -> None: ...
def operator_index(name: str) -> int: ...
def isa() -> str: ...
def tree_root(buffer: object, leaf_size: int = 1024, threads: int = 1) -> bytes: ...
def subtree_roots(buffer: object, leaf_size: int, leaves_per_subtree: int, threads: int = 1) -> list[bytes]: ...
def many_subtree_roots(
    buffers: list[memoryview], leaf_size: int, leaves_per_subtree: int, threads: int = 1
) -> list[list[bytes]]: ...
def leaf_hashes(buffer: object, leaf_size: int = 1024, threads: int = 1) -> bytes: ...
def root_of_hashes(hashes: bytes) -> bytes: ...
