"""A conformance case, and the digest of what a backend makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernels.backends import Backend
from kernels.conformance.inputs import relaid
from kernels.spec.operator import Array, Attributes
from kernels.types import Fault, type_of


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An operator applied to arrays.

    label: what is special about it; unique within the operator
    fault: the element at which the law has a fault, None where it has a value
    """

    op: str
    label: str
    inputs: tuple[Array, ...]
    attributes: Attributes = field(default_factory=dict)
    fault: int | None = None

    @property
    def name(self) -> str:
        return f"{self.op}: {self.label}"


def outcome(case: Case, backend: Backend, threads: int = 1) -> bytes:
    """SHA-256 over type and bytes of the result, and of the maxima over its scale groups; a fault by its element."""
    state = hashlib.sha256(case.op.encode())
    try:
        arrays = [backend.run(case.op, case.inputs, case.attributes, threads=threads)]
    except Fault as fault:
        state.update(f"fault {fault.operator} {fault.element}".encode())
        return state.digest()
    for array in arrays + backend.group_maxima(case.op, case.inputs, case.attributes, threads=threads):
        state.update(str(type_of(array)).encode())
        state.update(array.tobytes())
    return state.digest()


def with_layouts(case: Case) -> Iterator[Case]:
    """The case, and the same values in other memory layouts."""
    yield case
    kinds = zip(*([*relaid(x)] for x in case.inputs), strict=True)
    for arrays in kinds:
        label = f"{case.label}, {arrays[0][0]}"
        yield Case(case.op, label, tuple(x for _, x in arrays), case.attributes, case.fault)
