"""Prints what a backend makes of every conformance case."""

from __future__ import annotations

import sys

from kernels.backends import load
from kernels.conformance import digest, outcomes


def main(arguments: list[str]) -> None:
    """[backend, threads]: a line per case and one for all."""
    name, threads = [*arguments, "native", "1"][0], int([*arguments, "native", "1"][1]) if len(arguments) > 1 else 1
    results = outcomes(load(name), threads)
    for case, result in results.items():
        print(result.hex(), case)
    print(digest(results))


main(sys.argv[1:])
