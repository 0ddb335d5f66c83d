"""Prints what a backend makes of every conformance case: python -m kernels.conformance [backend] [threads]."""

from __future__ import annotations

import sys

from kernels.backends import load
from kernels.conformance import digest, outcomes


def main(backend: str = "native", threads: str = "1") -> None:
    """A line per case, and one for all."""
    results = outcomes(load(backend), int(threads))
    for case, result in results.items():
        print(result.hex(), case)
    print(digest(results))


main(*sys.argv[1:])
