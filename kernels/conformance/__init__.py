"""One table of cases for every operator, and what a backend makes of them: any two backends must make the same.

`python -m kernels.conformance native 2` prints each case's digest, and last the digest over all.
"""

from __future__ import annotations

import hashlib
from functools import cache

from kernels.backends import Backend
from kernels.conformance import arrangement, elementwise, indexing, product, reduction
from kernels.conformance.case import Case, outcome

__all__ = ["GOLDEN", "LAW", "Case", "cases", "digest", "outcome", "outcomes"]

LAW = "isobit-law-1"
GOLDEN = "869c3459f1084eb0a039604f9137485fa14c7d6ef797555db590f309b5ac1ff2"


@cache
def cases() -> tuple[Case, ...]:
    """The cases of every operator, in a fixed order and from fixed seeds."""
    families = (arrangement, elementwise, reduction, product, indexing)
    return tuple(case for family in families for case in family.cases())


def outcomes(backend: Backend, threads: int = 1) -> dict[str, bytes]:
    """The digest of each case's result, by the case's name."""
    return {case.name: outcome(case, backend, threads) for case in cases()}


def digest(results: dict[str, bytes]) -> str:
    """One digest over the law's version, the names and the results."""
    state = hashlib.sha256(LAW.encode())
    for name, result in results.items():
        state.update(name.encode())
        state.update(result)
    return state.hexdigest()
