"""csrc/cuda/bind.cpp: addresses of tensors on a GPU, started on a stream."""

from collections.abc import Sequence

def devices() -> int: ...
def multiply(
    a: int,
    b: int,
    maxima_a: int,
    maxima_b: int,
    out: int,
    sums: int,
    batch: int,
    M: int,
    N: int,
    P: int,
    terms: int,
    digits: int,
    qmax: int,
    tile: int,
    cluster: int,
    stream: int,
) -> None: ...
def multiply_residues(
    a: int,
    b: int,
    out: int,
    moduli: Sequence[int],
    planes: int,
    M: int,
    N: int,
    P: int,
    tile: int,
    cluster: int,
    stream: int,
) -> None: ...
