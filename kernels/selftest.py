"""Whether this machine computes the law: every conformance case on one backend, against the recorded digest."""

from __future__ import annotations

from dataclasses import dataclass

from kernels.backends import load
from kernels.conformance import GOLDEN, LAW, digest, outcomes


@dataclass(frozen=True, slots=True)
class Report:
    """What a backend made of the conformance cases.

    digest: over all results; the law's own is GOLDEN
    wrong:  the names of the cases that differ from the definition
    about:  the device, and whether the backend's kernels have ever run on one; empty for a CPU's
    """

    law: str
    backend: str
    threads: int
    cases: int
    digest: str
    wrong: tuple[str, ...]
    about: str = ""

    @property
    def passed(self) -> bool:
        """Whether every bit is the law's."""
        return self.digest == GOLDEN

    def __str__(self) -> str:
        verdict = "passed" if self.passed else f"FAILED on {', '.join(self.wrong[:8]) or 'the digest'}"
        passed = f"{self.cases - len(self.wrong)} of {self.cases} cases"
        line = f"{self.law} {self.backend} threads={self.threads}: {passed}, {self.digest}: {verdict}"
        return "\n".join(filter(None, (line, self.about)))


def run(backend: str, threads: int = 1) -> Report:
    """The report of a backend; the definition runs beside it only to name what is wrong."""
    loaded = load(backend)
    results = outcomes(loaded, threads)
    total = digest(results)
    wrong: tuple[str, ...] = ()
    if total != GOLDEN:
        defined = outcomes(load("spec"))
        wrong = tuple(name for name, result in results.items() if result != defined[name])
    about = "" if loaded.about is None else loaded.about()
    return Report(LAW, backend, threads, len(results), total, wrong, about)
