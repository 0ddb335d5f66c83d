"""Every operator of the law ends in a leaf that the referee judges as the law does (D1 to D17, D21)."""

from __future__ import annotations

import ast
import zlib
from pathlib import Path

import pytest

import protocol.referee
from kernels.conformance import Case, cases
from kernels.spec import OPERATORS, is_layout
from protocol.referee.judge import LEAF_KINDS
from tests.protocol.referee.asking import COPIES, Asked

SAMPLED, LONG = 2, 64
BY_OPERATOR = {op: [case for case in cases() if case.op == op and case.fault is None] for op in OPERATORS}
JUDGED = sorted(op for op in OPERATORS if not is_layout(op))
FORBIDDEN = {"numpy", "math", "numba", "torch", "time", "random", "os"}


def test_every_operator_has_a_leaf_kind() -> None:
    missing = [op for op in JUDGED if op not in LEAF_KINDS and op not in COPIES]
    assert not missing
    assert not set(LEAF_KINDS) - set(OPERATORS) - {"copy", "batch", "state", "scale"}


def judged_case(case: Case, most: int) -> int:
    """Play elements of a case, each side in turn the liar."""
    asked = Asked(case.op, case.inputs, dict(case.attributes))
    if not asked.type.size:
        return 0
    elements = {zlib.crc32(f"{case.name} {number}".encode()) % asked.type.size for number in range(most)}
    for element in elements:
        truth = asked.truth(element)
        top = 1 if asked.type.dtype == "bool" else 1 << zlib.crc32(case.name.encode()) % 31
        for liar in (0, 1):
            verdict = asked.decide(element, truth ^ top, liar)
            assert verdict.wrong == (liar == 0, liar == 1), (case.name, element, truth)
    return len(elements)


@pytest.mark.parametrize("op", JUDGED)
def test_the_referee_names_the_liar_about_any_operator(op: str) -> None:
    step = max(1, len(BY_OPERATOR[op]) // 12)
    assert sum(judged_case(case, SAMPLED) for case in BY_OPERATOR[op][::step]) >= 1


@pytest.mark.long
@pytest.mark.parametrize("op", JUDGED)
def test_the_referee_names_the_liar_in_every_conformance_case(op: str) -> None:
    assert sum(judged_case(case, LONG) for case in BY_OPERATOR[op]) >= 1


REFEREE = sorted(Path(protocol.referee.__file__).parent.glob("*.py"))
EXACT = sorted((Path(protocol.referee.__file__).parents[2] / "kernels" / "exact").glob("*.py"))


@pytest.mark.parametrize("path", REFEREE + EXACT, ids=lambda path: path.stem)
def test_the_referee_knows_no_float_and_no_array(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), path
        assert not isinstance(node, ast.Div), path
        assert not (isinstance(node, ast.Name) and node.id in ("float", "complex")), path
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN, path
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.name for alias in node.names}
            assert node.module.split(".")[0] not in FORBIDDEN or names <= {"isqrt"}, path
