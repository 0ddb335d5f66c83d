"""csrc/cuda/bind.cpp: addresses of tensors on a GPU, started on a stream."""

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
    stream: int,
) -> None: ...
