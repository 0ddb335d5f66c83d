"""Every operator's definition says what it computes under the headings of the law, and docs/numerics.md names it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from kernels import spec
from kernels.spec.function_labels import LABELS
from kernels.spec.operator import Operator
from kernels.types import TensorType

NUMERICS = (Path(__file__).parents[2] / "docs" / "numerics.md").read_text()
HEADINGS = ("Value", "Scale", "Rounding", "Special", "Gradient")
ARITHMETIC = {"add", "sub", "mul", "div", "cast", *LABELS}
# Moves elements by their bits: no value is special to them.
MOVES = {"reshape", "permute", "broadcast", "slice", "concat", "pad", "iota", "select"}
BITWISE = {"bit_and", "bit_or", "bit_xor", "bit_not"}
WITHOUT_FLOATS = {*BITWISE, "floor_divide", "remainder", "shift_left", "shift_right"}
TO_OTHER_TYPES = {"eq", "lt", "le", "argmax", "argsort", "max_pool_index", "iota", "random_bits"}
OPERATORS = list(spec.OPERATORS.values())
EVERY = pytest.mark.parametrize("operator", OPERATORS, ids=[operator.name for operator in OPERATORS])


def labels(operator: Operator) -> dict[str, str]:
    """The headings of an operator's definition, with what stands behind each."""
    return dict(re.findall(rf"^ *({'|'.join(HEADINGS)}): +(\S.*)$", operator.value.__doc__ or "", re.MULTILINE))


@EVERY
def test_every_definition_begins_with_a_sentence_and_has_a_value(operator: Operator) -> None:
    first = (operator.value.__doc__ or "").split("\n")[0]
    assert first.endswith(".") and "Value" in labels(operator)


@EVERY
def test_the_headings_stand_in_one_order(operator: Operator) -> None:
    found = list(labels(operator))
    assert found == [heading for heading in HEADINGS if heading in found]


@EVERY
def test_an_operator_has_a_scale_exactly_where_it_quantises(operator: Operator) -> None:
    assert ("Scale" in labels(operator)) == (operator.scale_groups is not None)


@EVERY
def test_an_operator_has_a_rounding_exactly_where_it_rounds(operator: Operator) -> None:
    rounds = operator.scale_groups is not None or operator.name in ARITHMETIC
    assert ("Rounding" in labels(operator)) == rounds


@EVERY
def test_an_operator_names_its_special_values_exactly_where_it_has_some(operator: Operator) -> None:
    assert ("Special" in labels(operator)) == (operator.name not in MOVES | BITWISE)


@EVERY
def test_an_operator_that_can_fault_says_so(operator: Operator) -> None:
    assert operator.can_fault == ("fault" in labels(operator).get("Special", ""))


@EVERY
def test_an_operator_has_a_gradient_exactly_where_floats_become_floats(operator: Operator) -> None:
    assert ("Gradient" in labels(operator)) == (operator.name not in WITHOUT_FLOATS | TO_OTHER_TYPES)
    assert "<-" in labels(operator).get("Gradient", "<-") or operator.name in ("maximum", "minimum")


@pytest.mark.parametrize("name", sorted(WITHOUT_FLOATS))
def test_an_operator_without_a_gradient_takes_no_float32(name: str) -> None:
    x = TensorType("float32", (1,))
    with pytest.raises(ValueError, match=f"{name}: got float32"):
        spec.infer(name, [x] * len(spec.OPERATORS[name].operands), {})


def number(text: str) -> np.ndarray:
    return np.array(float(text.replace("NaN", "nan")), np.float32)


@pytest.mark.parametrize("name", LABELS)
def test_the_special_values_of_the_functions_are_as_labelled(name: str) -> None:
    rows = re.findall(rf"{name}\((\S+)\) = (NaN|[-+]?(?:inf|[\d.]+))", LABELS[name].special)
    assert len(rows) == LABELS[name].special.count("=") >= 3
    for argument, value in rows:
        assert spec.run(name, [number(argument)], {}).tobytes() == number(value).tobytes(), argument


def test_the_document_names_every_operator_of_the_law() -> None:
    law = NUMERICS.split("## Operators")[1].split("## Composites")[0].split("## Scales")[0]
    rows = " ".join(row.split("|")[1] for row in law.split("\n") if row.startswith("| `"))
    called = re.findall(r"`(\w+)\(", law)  # a product or random_bits, with its operands and attributes
    named = {*re.findall(r"\w+", rows), *called}
    assert not set(spec.OPERATORS) - named


def test_the_document_gives_the_scale_groups_of_exactly_the_operators_that_quantise() -> None:
    table = NUMERICS.split("## Scales as part of the trace")[1].split("## ")[0]
    rows = [line.split("|")[1] for line in table.split("\n") if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"\w+", row)}
    assert named == {operator.name for operator in OPERATORS if operator.scale_groups is not None}
