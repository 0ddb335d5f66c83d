"""The tables of kernels/triton/functions_tables.py: 32 floats each, one line of a GPU's cache (needs mpmath).

python bench/fit_pairs.py > kernels/triton/functions_tables.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mpmath import mp, mpf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.fit_functions import TINY, remez
from bench.fit_tables import erf_columns, inverse, log_intervals, rest, single

HEADER = '''\
"""The tables and polynomials of functions_pairs.py, written by bench/fit_pairs.py.

A table has an entry for each of 32 parts of a range; what its rounding to float32 left is in the one ending in _REST.
"""

from __future__ import annotations

from kernels.triton.coefficients import doubles

TABLES: dict[str, tuple[float, ...]] = {}
'''
PAIRED = 4  # coefficients of erf that are pairs: what r^4 multiplies is small enough


def words(numbers: Sequence[mpf]) -> str:
    """Hexadecimal float32, seven a line."""
    texts = [float(single(number)).hex().replace("0000000p", "p") for number in numbers]
    return "\n".join("    " + " ".join(texts[i : i + 7]) for i in range(0, len(texts), 7))


def show_table(comment: str, name: str, numbers: Sequence[mpf]) -> None:
    print(f'\n# {comment}\nTABLES["{name}"] = doubles(\n    """\n{words(numbers)}\n    """\n).value')


def show_constants(comment: str, name: str, numbers: Sequence[mpf]) -> None:
    print(f'\n# {comment}\n{name} = doubles(\n    """\n{words(numbers)}\n    """\n)')


def quartic(r: mpf) -> mpf:
    """The weight of an error in what r^4 multiplies; not 0 at 0."""
    return r**4 + TINY


def grid(x: mpf, bits: int) -> mpf:
    """The multiple of 2^-bits nearest to x."""
    return mpf(mp.nint(x * 2**bits)) / 2**bits


def exp_constants() -> None:
    powers = [mpf(2) ** (mpf(i) / 8) for i in range(8)]
    show_constants("2^(i/8), rounded", "POWER", powers)
    show_constants("ln of 2^(i/8) over its rounded value", "POWER_REST", [mp.log(p / single(p)) for p in powers])
    half = mp.log(2) / 16
    high = grid(mp.log(2), 21)
    show_constants(
        "ln 2 to 2^-21, so that 11 bits times it lose nothing, and the rest", "LN2", [high, mp.log(2) - high]
    )
    sixth = mpf(1) / 6
    show_constants("1/6 and the rest", "SIXTH", [sixth, sixth - single(sixth)])
    fit = remez(lambda r: (mp.exp(r) - 1 - r - r * r / 2 - r**3 / 6) / r**4, 4, -half, half * mpf("1.001"), quartic)[0]
    show_constants("(e^r - 1 - r - r^2/2 - r^3/6) / r^4 on |r| <= ln(2)/16", "POWER_POLYNOMIAL", fit)


def log_tables() -> None:
    intervals = log_intervals(32)
    inverses = [inverse(*interval) for interval in intervals]
    logs = [-mp.log(c) for c in inverses]
    high = [grid(log, 16) for log in logs]
    low = [log - h for log, h in zip(logs, high, strict=True)]
    coarse = grid(mp.log(2), 16)
    fine = grid(mp.log(2) - coarse, 36)
    show_table("c near 1 / m on each part of [1, 2)", "INVERSE", inverses)
    show_table("-ln c to 2^-16", "INVERSE_LOG", high)
    low[31], tiny = fine, rest(low)
    tiny[31] = mp.log(2) - coarse - fine  # as LN2_PARTS has it: beside 1 they cancel
    show_table("the rest of -ln c", "INVERSE_LOG_REST", low)
    show_table("the rest of that", "INVERSE_LOG_TINY", tiny)
    parts = [coarse, fine, mp.log(2) - coarse - fine]
    show_constants("ln 2 to 2^-16, then to 2^-36 (8 bits times either lose nothing), and the rest", "LN2_PARTS", parts)
    reach = max(abs(m * c - 1) for c, ends in zip(inverses, intervals, strict=True) for m in ends)
    third = mpf(1) / 3
    show_constants("1/3 and the rest", "THIRD", [third, third - single(third)])
    high_end = reach * mpf("1.001")
    fit = remez(lambda r: (mp.log1p(r) - r + r * r / 2 - r**3 * third) / r**4, 5, -reach, high_end, quartic)[0]
    show_constants(f"(ln(1 + r) - r + r^2/2 - r^3/3) / r^4 on |r| <= {float(reach):.4f}", "INVERSE_POLYNOMIAL", fit)


def tanh_constants() -> None:
    terms = mp.taylor(mp.tanh, 0, 11)[5::2]
    show_constants("tanh a = a - a^3/3 + a^5 (these, times powers of a^2)", "TANH_POLYNOMIAL", terms)


def erf_tables() -> None:
    for power, column in enumerate(erf_columns(9)):
        show_table(f"erf(i/8 + r) on |r| <= 1/16: r^{power}", f"ERF_{power}", column)
        if power < PAIRED:
            show_table(f"the rest of r^{power}", f"ERF_{power}_REST", rest(column))


def main() -> None:
    print(HEADER, end="")
    exp_constants()
    log_tables()
    tanh_constants()
    erf_tables()
    print("\n# Where each table starts in what kernels are given (elementwise.py): the first 32 words are 1/pi's.")
    print("PLACES = {name: 32 * place for place, name in enumerate(TABLES, 1)}")


if __name__ == "__main__":
    main()
