"""Every backend gives the bytes of the definition for every conformance case, on every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kernels import spec
from kernels.backends import NAMES, Backend, load, missing
from kernels.conformance import GOLDEN, LAW, cases, digest, outcomes
from kernels.float_mode import is_ieee
from kernels.selftest import run as selftest
from kernels.spec.operator import WIDTHS, Array, Attributes
from kernels.types import DTYPES, Fault, type_of
from tests.kernels.float_environment import hostile_mode

VECTOR = Path(__file__).parents[1] / "vectors" / "conformance.sha256"
QUANTISING = {"sum", "cumsum", "matmul", "conv", "conv_grad_input", "conv_grad_weight", "add_rows", "scatter_add"}
FAST = [name for name in NAMES if name != "spec"]


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    return outcomes(load("spec"))


def backend_of(name: str) -> Backend:
    if missing(name):
        pytest.skip(f"wants a machine with the backend {name}: {missing(name)}")
    return load(name)


def differing(got: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    return [name for name in expected if got.get(name) != expected[name]]


def test_the_definition_gives_the_recorded_digest(expected: dict[str, bytes]) -> None:
    assert f"{digest(expected)}  {LAW}" == VECTOR.read_text().strip()
    assert digest(expected) == GOLDEN


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", FAST)
def test_every_backend_equals_the_definition(name: str, threads: int, expected: dict[str, bytes]) -> None:
    assert differing(outcomes(backend_of(name), threads), expected) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_callers_float_mode_changes_no_bit(name: str, expected: dict[str, bytes]) -> None:
    backend = backend_of(name)
    cases()
    with hostile_mode():
        assert not is_ieee()
        got = outcomes(backend, threads=2)
        restored = is_ieee()
    assert differing(got, expected) == []
    assert not restored, "the caller's own mode must be given back"


@pytest.mark.parametrize("isa", ["plain", "avx2", "avx512", "amx", "neon"])
def test_every_instruction_set_equals_the_definition(isa: str, expected: dict[str, bytes]) -> None:
    backend_of("native")
    command = [sys.executable, "-m", "kernels.conformance", "native", "2"]
    environment = {**os.environ, "ISOBIT_ISA": isa}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if finished.returncode and "ISOBIT_ISA" in finished.stderr:
        pytest.skip(f"wants a machine with {isa}")
    lines = [line.split(" ", 1) for line in finished.stdout.splitlines()[:-1]]
    assert differing({name: bytes.fromhex(result) for result, name in lines}, expected) == [], finished.stderr


def test_every_operator_has_a_case() -> None:
    assert {case.op for case in cases()} == set(spec.OPERATORS)


def test_every_case_keeps_the_shape_rule() -> None:
    for case in cases():
        result = spec.infer(case.op, [type_of(x) for x in case.inputs], case.attributes)
        if case.fault is None:
            assert type_of(load("spec").run(case.op, case.inputs, case.attributes)) == result, case.name


def test_every_attribute_value_has_a_case() -> None:
    for operator in spec.OPERATORS.values():
        of_operator = [case for case in cases() if case.op == operator.name]
        for name, kind in operator.attributes.items():
            seen = {case.attributes[name] for case in of_operator if kind in ("dtype", "width", "flag")}
            values: dict[str, set[str | bool]] = {"width": set(WIDTHS), "flag": {True, False}}
            wanted = values.get(kind, set())
            assert wanted <= seen, f"{operator.name}: {name}"
    assert {case.attributes["dtype"] for case in cases() if case.op == "cast"} == set(DTYPES)


def test_the_operators_that_quantise_have_scales() -> None:
    assert {name for name, operator in spec.OPERATORS.items() if operator.scale_groups} == QUANTISING


FAULTING = [case for case in cases() if case.fault is not None]


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_names_its_operator_and_lowest_element(name: str) -> None:
    backend = backend_of(name)
    for case in FAULTING:
        with pytest.raises(Fault) as caught:
            backend.run(case.op, case.inputs, case.attributes, threads=3)
        assert (caught.value.operator, caught.value.element) == (case.op, case.fault), case.name


def test_every_operator_that_can_fault_has_a_case_that_does() -> None:
    assert {case.op for case in FAULTING} == {name for name, op in spec.OPERATORS.items() if op.can_fault}


def test_the_selftest_names_a_wrong_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    right = load("spec")

    def flips_one_bit(op: str, inputs: list[Array], attributes: Attributes, threads: int = 1) -> Array:
        result = right.run(op, inputs, attributes)
        if op == "amax" and result.shape == (3,) and result.dtype == "float32":
            result.view("uint32")[2] ^= 1
        return result

    assert selftest("spec").passed
    monkeypatch.setattr(
        "kernels.selftest.load", lambda name: replace(right, run=flips_one_bit) if name == "wrong" else right
    )
    report = selftest("wrong")
    assert not report.passed
    assert report.wrong and all(name.startswith("amax: ") for name in report.wrong)


def test_cases_have_names_of_their_own() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len(set(names))
