"""The tables of csrc/cpu/functions_tables.h: 32 floats each, two registers of AVX-512 (needs mpmath).

python bench/fit_tables.py > csrc/cpu/functions_tables.h
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mpmath import mp, mpf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.fit_functions import TINY, remez

HEADER = """\
// The tables of functions_avx512.h, written by bench/fit_tables.py: an entry for each of 32 parts of the range.
#pragma once

#include <cstdint>

namespace {
"""


def single(x: mpf) -> mpf:
    """The nearest float32."""
    return mpf(float(np.float32(float(x))))


def cube(r: mpf) -> mpf:
    """The weight of an error in what r^3 multiplies; not 0 at 0."""
    return abs(r) ** 3 + TINY


def show(comment: str, name: str, numbers: Sequence[mpf]) -> None:
    """Prints one table as the header holds it."""
    words = [f"{float(single(number)).hex()}f".replace("0000000p", "p") for number in numbers]
    lines = [", ".join(words[i : i + 6]) for i in range(0, len(words), 6)]
    print(f"\n// {comment}\nconstexpr float {name}[] = {{\n    " + ",\n    ".join(lines) + ",\n};")


def exp_tables() -> None:
    """Powers of 2 for e^x."""
    powers = [mpf(2) ** (mpf(i) / 32) for i in range(32)]
    high = [single(power) for power in powers]
    show("2^(i/32), rounded", "POWER", high)
    rests = [mp.log(power / rounded) for power, rounded in zip(powers, high, strict=True)]
    show("ln of 2^(i/32) over its rounded value", "POWER_REST", rests)
    half = mp.log(2) / 64
    cubic = remez(lambda r: (mp.exp(r) - 1 - r - r * r / 2) / r**3, 2, -half, half * mpf("1.001"), cube)[0]
    show("(e^r - 1 - r) / r^2 on |r| <= ln(2)/64", "POWER_POLYNOMIAL", [mpf("0.5"), *cubic])


def log_interval(i: int) -> tuple[mpf, mpf]:
    """The ends of part i of [1, 2)."""
    return 1 + mpf(i) / 32, 1 + mpf(i + 1) / 32


def inverse(i: int) -> mpf:
    """c with few bits, near 1/m on the interval: m c - 1 is small, and so a float without rounding.

    Beside 1, from both sides, c is a power of two: the logarithm of x is then that of m c.
    """
    if i in (0, 31):
        return mpf(1) / (1 + i // 31)
    low, high = log_interval(i)
    best = None
    for bits in range(3, 10):
        c = mp.nint(2 / (low + high) * 2**bits) / 2**bits
        largest = max(abs(low * c - 1), abs(high * c - 1))
        if largest <= mpf(2) ** (1 - bits) and (best is None or largest < best[0]):
            best = largest, c
    assert best is not None, i
    return best[1]


def log_tables() -> None:
    """Inverses and their logarithms for ln x."""
    inverses = [inverse(i) for i in range(32)]
    high = [mp.nint(-mp.log(c) * 2**16) / 2**16 for c in inverses]
    show("c near 1 / m on each part of [1, 2)", "INVERSE", inverses)
    show("-ln c to 2^-16", "INVERSE_LOG", high)
    show("the rest of -ln c", "INVERSE_LOG_REST", [-mp.log(c) - h for c, h in zip(inverses, high, strict=True)])
    reach = max(abs(m * c - 1) for i, c in enumerate(inverses) for m in log_interval(i))
    quartic = remez(lambda r: (mp.log1p(r) - r + r * r / 2) / r**3, 4, -reach, reach * mpf("1.001"), cube)
    show(f"(ln(1 + r) - r + r^2/2) / r^3 on |r| <= {float(reach):.4f}", "INVERSE_POLYNOMIAL", quartic[0])


def erf_columns(count: int) -> list[list[mpf]]:
    """For each power of r, from the lowest on, the 32 coefficients of erf(i/8 + r), of `count` powers."""

    def part(i: int) -> list[mpf]:
        half, centre = mpf(1) / 16, mpf(i) / 8
        if i:
            return remez(lambda r: mp.erf(centre + r), count, -half, half, lambda r: mpf(1))[0]
        limit = 2 / mp.sqrt(mp.pi)
        slope = remez(lambda r: mp.erf(r) / r if r else limit, count - 1, mpf(0), half, lambda r: mpf(1))[0]
        return [mpf(0), *slope]

    return [list(column) for column in zip(*(part(i) for i in range(32)), strict=True)]


def rest(numbers: Sequence[mpf]) -> list[mpf]:
    """What rounding to float32 leaves."""
    return [number - single(number) for number in numbers]


def erf_tables() -> None:
    """Polynomials around the multiples of 1/8 for erf."""
    for power, column in enumerate(erf_columns(7)):
        show(f"erf(i/8 + r) on |r| <= 1/16: r^{power}", f"ERF_{power}", column)
        if power < 2:
            show(f"the rest of r^{power}", f"ERF_{power}_REST", rest(column))


def main() -> None:
    print(HEADER, end="")
    exp_tables()
    log_tables()
    erf_tables()
    print("\n}  // namespace")


if __name__ == "__main__":
    main()
