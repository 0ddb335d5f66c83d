"""The suites by name; each gives its cases."""

from __future__ import annotations

from collections.abc import Callable

from bench.case import Case
from bench.suites import commit, dispute, functions, memory, products, step

SUITES: dict[str, Callable[[], list[Case]]] = {
    "products": products.cases,
    "functions": functions.cases,
    "memory": memory.cases,
    "step": step.cases,
    "commit": commit.cases,
    "dispute": dispute.cases,
}
