"""The referee's functions: correctly rounded at the hardest inputs there are, in 256 bits and bounded loops."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import gmpy2
import pytest

import protocol.referee
from kernels.exact.functions import BITS as EXACT
from protocol.referee import elementwise, functions_exp, functions_log, functions_trig
from protocol.referee.fixed_point import ERROR, FRACTION, Number
from protocol.referee.functions import FUNCTIONS
from protocol.referee.integers import BITS, wrapped
from protocol.referee.random import random_word, sample_at
from protocol.referee.rounding import product_scale, quantise, scatter_scale, store, sum_scale
from tests.kernels.mpfr import value
from tests.protocol.referee.test_arithmetic import CASES, ONE_OPERAND, ints, patterns
from tests.protocol.referee.word import Overflow, Word

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "tests" / "vectors" / "functions"
REFEREE = Path(protocol.referee.__file__).parent
ARITHMETIC = (
    "elementwise fixed_point float32 functions functions_exp functions_log functions_trig integers random rounding"
)
SAMPLE, LONG = 400, 40_000
# Every sign and exponent with significands at both ends and in the middle: zeros, subnormals, powers of two, infinity.
CORNERS = [
    sign << 31 | field << 23 | fraction
    for sign in (0, 1)
    for field in range(256)
    for fraction in (0, 1, 0x400000, 0x7FFFFF)
    if field < 255 or fraction in (0, 0x400000)
]
CORNERS = [0x7FC00000 if bits == 0xFFC00000 else bits for bits in CORNERS]


def hard_cases(name: str) -> list[tuple[int, int]]:
    """The 200 inputs nearest to a tie among all 2^32, and their values by MPFR (bench/exhaustive_functions.py)."""
    lines = (VECTORS / f"{name}.txt").read_text().splitlines()
    return [(int(x, 16), int(y, 16)) for x, y in map(str.split, lines)]


def inputs(name: str, count: int) -> list[int]:
    """Random patterns, half of them anywhere and half from 2^-30 to 2^20."""
    chance = random.Random(name)
    anywhere = [chance.getrandbits(32) for _ in range(count)]
    moderate = [chance.randrange(97 << 23, 147 << 23) | chance.getrandbits(1) << 31 for _ in range(count)]
    return [0x7FC00000 if bits & 0x7FFFFFFF > 0x7F800000 else bits for bits in anywhere + moderate]


def test_the_functions_are_those_of_the_law() -> None:
    assert list(FUNCTIONS) == list(EXACT)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_hardest_inputs_are_correctly_rounded(name: str) -> None:
    cases = hard_cases(name)
    assert len(cases) == 200
    for x, y in cases:
        assert FUNCTIONS[name](x) == y, hex(x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_second_way_gives_the_definition(name: str) -> None:
    for x in inputs(name, SAMPLE) + CORNERS[:: 1 if name == "exp" else 3]:
        assert FUNCTIONS[name](x) == EXACT[name](x), hex(x)


@pytest.mark.long
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_second_way_gives_the_definition_on_many(name: str) -> None:
    for x in inputs(name, LONG) + CORNERS:
        assert FUNCTIONS[name](x) == EXACT[name](x), hex(x)


def worst_error(name: str, patterns: list[int], monkeypatch: pytest.MonkeyPatch) -> float:
    """How far the enclosed numbers lie from the function's values by MPFR, in units that ERROR counts."""
    enclosed: list[tuple[int, int, int]] = []

    def rounded(n: int, e: int) -> int:
        enclosed.append((abs(n), e, 1))
        return 0

    def times(x: Number, ratio: int) -> int:
        enclosed.append((x.m * ratio, x.e - FRACTION, x.m))
        return 0

    for module in (functions_exp, functions_log, functions_trig):
        monkeypatch.setattr(module, "rounded", rounded)
        if hasattr(module, "times"):
            monkeypatch.setattr(module, "times", times)
    worst = 0.0
    for x in patterns:
        enclosed.clear()
        FUNCTIONS[name](x)
        exact = value(name, x) if enclosed else None
        for n, e, unit in enclosed:
            with gmpy2.context(precision=500, emin=-(10**9), emax=10**9):
                worst = max(worst, float(abs(abs(exact) * gmpy2.exp2(gmpy2.mpz(-e)) - n) / unit))
    return worst


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("sqrt", "rsqrt")])
def test_every_error_is_a_small_part_of_its_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = inputs(name, SAMPLE) + CORNERS[::3] + [x for x, _ in hard_cases(name)]
    assert 1 < worst_error(name, patterns, monkeypatch) < ERROR // 16


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_fits_256_bits(name: str) -> None:
    for x in CORNERS + [x for x, _ in hard_cases(name)]:
        FUNCTIONS[name](Word(x))


@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_an_elementwise_operator_fits_256_bits(op: str, dtype: str) -> None:
    if dtype == "float32":
        operands = [CORNERS, CORNERS[::-7] + CORNERS]
    else:
        operands = [ints(patterns(dtype, 400, 1)), [max(y, 1) for y in ints(patterns(dtype, 400, 2))]]
    for pair in zip(*operands[: 1 if op in ONE_OPERAND else 2], strict=False):
        for target in BITS if op == "cast" else ("",):
            elementwise.value(op, dtype, [Word(bits) for bits in pair], {"dtype": target} if target else {})


def test_scales_and_roundings_fit_256_bits() -> None:
    for maximum in CORNERS[1:1020]:
        if 0 < maximum < 0x7F800000:
            for s in (product_scale(Word(maximum), 8355711), sum_scale(Word(maximum)), scatter_scale(Word(maximum), 9)):
                assert store(quantise(Word(maximum), s), s) <= 0x7F800000
    for total in (1, 2**24 + 1, 2**62 - 1, -(2**63)):
        for s in range(-150, 350, 7):
            store(Word(total), s)


def test_random_words_and_the_order_of_records_fit_256_bits() -> None:
    assert random_word(Word(-(2**63)), Word(2**32 - 1), Word(2**16 - 1), 2**32 - 2, Word(2**40 - 1)) < 2**32
    for records in (1, 3, 2**40):
        assert 0 <= sample_at(Word(2**63 - 1), Word(2**32 - 1) * Word(records), Word(records)) < records


def test_a_word_refuses_what_a_contract_cannot_hold() -> None:
    for wrong in (lambda x: x << 255, lambda x: 1 << x * 300, lambda x: (x << 254) + (1 << 254), lambda x: x / 2):
        with pytest.raises(Overflow):
            wrong(Word(1))
    assert divmod(Word(-7), 2) == (-4, 1) and wrapped("int32", Word(-1)) == 2**32 - 1


@pytest.mark.parametrize("module", ARITHMETIC.split())
def test_the_arithmetic_loops_a_bounded_number_of_times_and_stands_alone(module: str) -> None:
    tree = ast.parse((REFEREE / f"{module}.py").read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        assert not isinstance(node, ast.While), module
        if isinstance(node, ast.ImportFrom):
            package = str(node.module).split(".")
            assert package[0] in ("__future__", "collections", "typing") or package[:2] == ["protocol", "referee"], (
                module
            )
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        called = {n.func.id for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert function.name not in called & names, f"{module}.{function.name} calls itself"
