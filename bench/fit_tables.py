"""The tables of csrc/cpu/functions_tables*.h (needs mpmath): 32 floats each, two registers of AVX-512, or 8, one of
AVX2, and for erf on AVX2 rows of 8.

python bench/fit_tables.py avx512 > csrc/cpu/functions_tables.h
python bench/fit_tables.py avx2 > csrc/cpu/functions_tables_avx2.h
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from mpmath import mp, mpf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.fit_functions import TINY, remez

HEADER = """\
// The tables of functions_{isa}.h, written by bench/fit_tables.py: an entry for each of {parts} parts of the range.
#pragma once

#include <cstdint>

namespace {{
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


def exp_tables(parts: int, degree: int) -> None:
    """Powers of 2 for e^x, and the polynomial of e^r behind r^2."""
    powers = [mpf(2) ** (mpf(i) / parts) for i in range(parts)]
    high = [single(power) for power in powers]
    show(f"2^(i/{parts}), rounded", "POWER", high)
    rests = [mp.log(power / rounded) for power, rounded in zip(powers, high, strict=True)]
    show(f"ln of 2^(i/{parts}) over its rounded value", "POWER_REST", rests)
    half = mp.log(2) / (2 * parts)
    series = remez(lambda r: (mp.exp(r) - 1 - r - r * r / 2) / r**3, degree + 1, -half, half * mpf("1.001"), cube)[0]
    show(f"(e^r - 1 - r) / r^2 on |r| <= ln(2)/{2 * parts}", "POWER_POLYNOMIAL", [mpf("0.5"), *series])


def log_intervals(parts: int) -> list[tuple[mpf, mpf]]:
    """The ends of each part: of 32, those of [1, 2); of 8, those of [31/32, 31/16), the first of them around 1."""
    if parts == 32:
        return [(1 + mpf(i) / 32, 1 + mpf(i + 1) / 32) for i in range(32)]
    ends = [mpf(31) / 32, *(mpf(17) / 16 + mpf(i) / 8 for i in range(8))]
    return list(pairwise(ends))


def inverse(low: mpf, high: mpf) -> mpf:
    """c with few bits, near 1/m on the interval: m c - 1 is small, and so a float without rounding.

    Beside 1, from both sides, c is a power of two: the logarithm of x is then that of m c.
    """
    if low <= 1 < high:
        return mpf(1)
    if high == 2:
        return mpf(1) / 2
    best = None
    for bits in range(3, 10):
        c = mp.nint(2 / (low + high) * 2**bits) / 2**bits
        largest = max(abs(low * c - 1), abs(high * c - 1))
        if largest <= mpf(2) ** (1 - bits) and (best is None or largest < best[0]):
            best = largest, c
    assert best is not None, low
    return best[1]


def log_tables(parts: int, degree: int) -> None:
    """Inverses and their logarithms for ln x."""
    intervals = log_intervals(parts)
    inverses = [inverse(*interval) for interval in intervals]
    high = [mp.nint(-mp.log(c) * 2**16) / 2**16 for c in inverses]
    show(
        f"c near 1 / m on each part of [{mp.nstr(intervals[0][0], 6)}, {mp.nstr(intervals[-1][1], 6)})",
        "INVERSE",
        inverses,
    )
    show("-ln c to 2^-16", "INVERSE_LOG", high)
    show("the rest of -ln c", "INVERSE_LOG_REST", [-mp.log(c) - h for c, h in zip(inverses, high, strict=True)])
    reach = max(abs(m * c - 1) for c, ends in zip(inverses, intervals, strict=True) for m in ends)
    series = remez(lambda r: (mp.log1p(r) - r + r * r / 2) / r**3, degree + 1, -reach, reach * mpf("1.001"), cube)
    show(f"(ln(1 + r) - r + r^2/2) / r^3 on |r| <= {float(reach):.4f}", "INVERSE_POLYNOMIAL", series[0])


def erf_columns(count: int, parts: int = 32) -> list[list[mpf]]:
    """For each power of r, from the lowest on, the coefficients of erf(4 i/parts + r), of `count` powers."""

    def part(i: int) -> list[mpf]:
        half, centre = mpf(2) / parts, mpf(4 * i) / parts
        if i:
            return remez(lambda r: mp.erf(centre + r), count, -half, half, lambda r: mpf(1))[0]
        limit = 2 / mp.sqrt(mp.pi)
        slope = remez(lambda r: mp.erf(r) / r if r else limit, count - 1, mpf(0), half, lambda r: mpf(1))[0]
        return [mpf(0), *slope]

    return [list(column) for column in zip(*(part(i) for i in range(parts)), strict=True)]


def rest(numbers: Sequence[mpf]) -> list[mpf]:
    """What rounding to float32 leaves."""
    return [number - single(number) for number in numbers]


def erf_tables() -> None:
    """Polynomials around the multiples of 1/8 for erf."""
    for power, column in enumerate(erf_columns(7)):
        show(f"erf(i/8 + r) on |r| <= 1/16: r^{power}", f"ERF_{power}", column)
        if power < 2:
            show(f"the rest of r^{power}", f"ERF_{power}_REST", rest(column))


def erf_rows() -> None:
    """Polynomials around the multiples of 1/16 for erf, one after another."""
    columns = erf_columns(6, 64)
    columns = [columns[0], rest(columns[0]), columns[1], rest(columns[1]), *columns[2:]]
    print("\n// erf(i/16 + r) on |r| <= 1/32: r^0 and its rest, r^1 and its rest, r^2 to r^5")
    print("alignas(32) constexpr float ERF_ROWS[][8] = {")
    for row in zip(*columns, strict=True):
        print("    {" + ", ".join(f"{float(single(x)).hex()}f".replace("0000000p", "p") for x in row) + "},")
    print("};")


def main() -> None:
    isa = sys.argv[1]
    print(HEADER.format(isa=isa, parts={"avx512": 32, "avx2": 8}[isa]), end="")
    if isa == "avx512":
        exp_tables(32, 1)
        log_tables(32, 3)
        erf_tables()
    else:
        exp_tables(8, 2)
        log_tables(8, 5)
        erf_rows()
    print("\n}  // namespace")


if __name__ == "__main__":
    main()
