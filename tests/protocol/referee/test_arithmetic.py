"""The referee's arithmetic on bit patterns gives what the spec, numba and C++ give (D11 to D16, D19)."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from kernels.backends import available, load
from kernels.spec import OPERATORS
from kernels.types import NUMPY_DTYPE, TensorType
from protocol.referee import elementwise
from protocol.referee.fault import Fault
from protocol.referee.integers import wrapped
from protocol.referee.random import random_word, sample_at
from protocol.referee.rounding import product_scale, quantise, scatter_scale, store, sum_scale

BACKENDS = [name for name in ("native", "portable", "spec") if name in available()]
SAMPLE, LONG = 300, 20_000
DTYPES = ("float32", "int64", "int32", "uint32", "bool")
SPECIAL = (0, 0x80000000, 1, 0x80000001, 0x7FFFFF, 0x800000, 0x3F800000, 0xBF800000, 0x7F7FFFFF, 0x7F800000)
SPECIAL = (*SPECIAL, 0xFF800000, 0x7FC00000, 0x4F000000, 0xCF000000, 0x5F000000, 0x4B000001, 0x3F000000, 0x3FC00000)
ONE_OPERAND = ("neg", "abs", "bit_not", "cast", *elementwise.ROUNDINGS, *elementwise.FUNCTIONS)


def dtypes_of(op: str) -> list[str]:
    """The dtypes on which the law defines an operator."""
    found = []
    for dtype in DTYPES:
        types = [TensorType(dtype, (1,))] * (1 if op in ONE_OPERAND else 2)
        try:
            OPERATORS[op].infer(types, {"dtype": "int64"} if op == "cast" else {})
        except ValueError:
            continue
        found.append(dtype)
    return found


CASES = [(op, dtype) for op in elementwise.OPERATORS if op != "select" for dtype in dtypes_of(op)]


def patterns(dtype: str, count: int, seed: int) -> np.ndarray:
    """Bit patterns of every size, special ones first; of floats in a moderate range every other one."""
    chance = np.random.default_rng(seed)
    if dtype == "bool":
        return chance.integers(0, 2, count).astype(bool)
    kind = NUMPY_DTYPE[dtype]
    bits = chance.integers(0, 2**64, count, dtype=np.uint64) >> chance.integers(0, 64, count, dtype=np.uint64)
    if dtype != "float32":
        return np.where(chance.random(count) < 0.5, bits, ~bits).astype(f"u{kind.itemsize}").view(kind)
    words = chance.integers(0, 2**32, count, dtype=np.uint32)
    words[: len(SPECIAL)] = SPECIAL
    words[len(SPECIAL) :: 2] = chance.normal(0, 8, len(words[len(SPECIAL) :: 2])).astype(np.float32).view(np.uint32)
    words[(words & 0x7FFFFFFF) > 0x7F800000] = 0x7FC00000
    return words.view(np.float32)


def ints(array: np.ndarray) -> list[int]:
    return [int(x) for x in np.ascontiguousarray(array).view(f"u{array.itemsize}")]


def same_on(op: str, dtype: str, count: int) -> None:
    seed = zlib.crc32(f"{op} {dtype}".encode())
    operands = [patterns(dtype, count, seed)]
    if op not in ONE_OPERAND:
        operands.append(np.roll(patterns(dtype, count, seed + 1), 7))
        operands[1][: count // 8] = operands[0][: count // 8]  # equal operands, and opposite ones
    if op in ("floor_divide", "remainder"):
        operands[1][operands[1] == 0] = 3
    if dtype == "float32" and len(operands) == 2:
        pairs = np.array([(x, y) for x in SPECIAL for y in SPECIAL], np.uint32).view(np.float32)
        operands = [np.concatenate([x, of_pairs]) for x, of_pairs in zip(operands, pairs.T, strict=True)]
    for target in DTYPES if op == "cast" else ("",):
        attributes = {"dtype": target} if target else {}
        got = [elementwise.value(op, dtype, pair, attributes) for pair in zip(*map(ints, operands), strict=True)]
        for backend in BACKENDS:
            assert got == ints(load(backend).run(op, operands, attributes)), (backend, target)


@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_every_elementwise_operator_equals_the_backends(op: str, dtype: str) -> None:
    same_on(op, dtype, SAMPLE)


@pytest.mark.long
@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_every_elementwise_operator_equals_the_backends_on_many(op: str, dtype: str) -> None:
    same_on(op, dtype, LONG)


def halfway(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs at a tie, or one unit beside it: summands half a unit apart, odd products of 25 bits, subnormal results."""
    chance = np.random.default_rng(seed)
    kind, beside = chance.integers(0, 4, count), chance.integers(-1, 2, count)
    sign = chance.integers(0, 2, (2, count), dtype=np.int64) << 31
    field, fraction = chance.integers(1, 255, count), chance.integers(0, 2**23, count)
    x = field << 23 | fraction
    far = np.maximum(field - 24, 1) << 23  # half a unit of x, where it is not subnormal
    odd = np.clip(field, 60, 190) << 23 | chance.integers(0, 2**12, count) << 11 | 1 << 10
    other = 127 << 23 | chance.integers(0, 2**11, count) << 12 | 1 << 11
    small = (
        np.maximum(103 + 23 - field, 0) << 23 | chance.integers(0, 8, count) << 20
    )  # x * y is about 2^-149 to 2^-126
    raised = np.clip(field + 127, 128, 254) << 23 | chance.integers(0, 4, count) << 21  # so is x / y
    one = np.choose(kind, (x, odd, x, np.clip(field, 1, 120) << 23 | fraction & 0x700000))
    two = np.choose(kind, (far, other, small, raised)) + beside
    words = [(np.maximum(w, 0) | s).astype(np.uint32) for w, s in zip((one, two), sign, strict=True)]
    return words[0].view(np.float32), words[1].view(np.float32)


def same_at_ties(count: int) -> None:
    x, y = halfway(count, 11)
    for op in ("add", "sub", "mul", "div", "eq", "lt", "le", "maximum", "minimum", "sqrt", *elementwise.ROUNDINGS):
        operands = [x] if op in ONE_OPERAND else [x, y]
        got = [elementwise.value(op, "float32", pair, {}) for pair in zip(*map(ints, operands), strict=True)]
        for backend in BACKENDS:
            assert got == ints(load(backend).run(op, operands, {})), (op, backend)
    whole = np.random.default_rng(5).integers(-(2**62), 2**62, count) >> np.random.default_rng(6).integers(0, 62, count)
    half = np.ldexp(whole.astype(np.float32), np.random.default_rng(7).integers(-3, 1, count)).astype(np.float32)
    for op in elementwise.ROUNDINGS:
        got = [elementwise.value(op, "float32", [bits], {}) for bits in ints(half)]
        for backend in BACKENDS:
            assert got == ints(load(backend).run(op, [half], {})), (op, backend)
    tie = (np.abs(whole) | 1) % 2**24 * 2 + 1 << np.random.default_rng(8).integers(
        0, 38, count
    )  # odd, of up to 25 bits
    got = [elementwise.value("cast", "int64", [bits], {"dtype": "float32"}) for bits in ints(tie)]
    for backend in BACKENDS:
        assert got == ints(load(backend).run("cast", [tie], {"dtype": "float32"})), backend


def test_ties_are_rounded_to_even_as_by_the_backends() -> None:
    same_at_ties(1000)


@pytest.mark.long
def test_ties_are_rounded_to_even_as_by_the_backends_on_many() -> None:
    same_at_ties(LONG)


def test_every_elementwise_operator_of_the_law_is_there() -> None:
    of_law = {name for name, operator in OPERATORS.items() if operator.family == "elementwise"}
    assert of_law == set(elementwise.OPERATORS)


def test_a_nan_wins_over_every_special_value() -> None:
    for op in ("maximum", "minimum"):
        for bits in SPECIAL:
            for pair in ((bits, 0x7FC00000), (0x7FC00000, bits)):
                assert elementwise.value(op, "float32", pair, {}) == 0x7FC00000, (op, hex(bits))


def test_an_integer_divided_by_zero_is_a_fault() -> None:
    for op in ("floor_divide", "remainder"):
        for dtype in ("int64", "int32", "uint32"):
            with pytest.raises(Fault):
                elementwise.value(op, dtype, [7, 0], {})


def test_a_selection_is_by_bits() -> None:
    assert elementwise.value("select", "bool", [1, 0x7FC00000, 5], {}) == 0x7FC00000
    assert elementwise.value("select", "bool", [0, 0x7FC00000, 0x80000000], {}) == 0x80000000


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_selection_equals_the_backends(dtype: str) -> None:
    c, x, y = patterns("bool", SAMPLE, 1), patterns(dtype, SAMPLE, 2), patterns(dtype, SAMPLE, 3)
    got = [elementwise.value("select", "bool", three, {}) for three in zip(*map(ints, (c, x, y)), strict=True)]
    for backend in BACKENDS:
        assert got == ints(load(backend).run("select", [c, x, y], {})), backend


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_orders_are_those_of_the_backends(dtype: str) -> None:
    rows = patterns(dtype, 40 * 25, 9).reshape(40, 25)
    chance = np.random.default_rng(4)
    few = rows[0][chance.integers(0, 12, (40, 25))]  # equal elements; of floats both zeros, and NaN in some rows
    zeros = rows[0][chance.integers(0, 2, (40, 25))]  # of floats
    for x in (rows, few, np.ascontiguousarray(few[:, :6]), zeros):
        for backend in BACKENDS:
            run = load(backend).run
            for op in ("amax", "amin"):
                keys = [[elementwise.key(op, dtype, bits) for bits in ints(row)] for row in x]
                best = [ints(row)[of_row.index(max(of_row))] for row, of_row in zip(x, keys, strict=True)]
                assert best == ints(run(op, [x], {"axes": (1,)})), (op, backend)
            if dtype in ("uint32", "bool"):
                continue
            keys = [[elementwise.key("argmax", dtype, bits) for bits in ints(row)] for row in x]
            assert [row.index(max(row)) for row in keys] == ints(run("argmax", [x], {"axis": 1})), backend
            for descending in (False, True):
                order = [sorted(range(len(row)), key=row.__getitem__, reverse=descending) for row in keys]
                got = run("argsort", [x], {"axis": 1, "descending": descending})
                assert order == got.tolist(), (descending, backend)


def test_scales_and_roundings_equal_the_spec() -> None:
    from kernels.spec import rounding as spec

    maxima = [int(x) for x in np.abs(patterns("float32", 2000, 5)).view(np.uint32) if 0 < x < 0x7F800000]
    for maximum in maxima:
        bits = np.array([maximum], np.uint32)
        for qmax in (16383, 8355711, 2097151):
            s = product_scale(maximum, qmax)
            assert s == int(spec.product_scale(bits, qmax)[0])
            assert quantise(maximum, s) == int(spec.quantise(bits.view(np.float32), s)[0]) <= qmax
        assert sum_scale(maximum) == 46 - int(spec.exponents(bits)[0])
        assert scatter_scale(maximum, 2**20) == 62 - 21 - int(spec.exponents(bits)[0])
    chance = np.random.default_rng(3)
    totals = chance.integers(-(2**62), 2**62, 3000) >> chance.integers(0, 62, 3000)
    for total, s in zip(totals, chance.integers(-120, 240, 3000), strict=True):
        want = int(spec.store(np.array([total]), int(s)).view(np.uint32)[0])
        assert store(int(total), int(s)) == want, (total, s)


def test_random_words_and_the_order_of_records_equal_the_spec() -> None:
    from kernels.spec.random import sample_index

    words = load("spec").run("random_bits", [np.array(x, np.int64) for x in (-5, 2**31, 3)], {"site": 9, "shape": [23]})
    assert [random_word(-5, 2**31, 3, 9, element) for element in range(23)] == words.tolist()
    for step, micro_batch in ((2**32, 0), (-1, 0), (0, 2**16), (0, -1)):
        with pytest.raises(Fault):
            random_word(1, step, micro_batch, 0, 0)
    for records in (1, 2, 3, 10, 1000, 2**20 + 7):
        for position in (0, 1, records - 1, records, 12345):
            assert sample_at(77, position, records) == sample_index(position, records, 77)


def test_integers_wrap() -> None:
    assert wrapped("int32", 2**31) == 2**31 and wrapped("int64", -1) == 2**64 - 1 and wrapped("bool", 2) == 0
