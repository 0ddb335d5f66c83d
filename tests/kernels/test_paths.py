"""The fast ways of the native library at their edges: division by one value, sums down columns, functions in chains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernels import backends, spec
from kernels.spec.operator import Array
from kernels.types import TensorType
from tests.kernels.c_abi import Library, library_path

pytestmark = pytest.mark.skipif(
    not library_path().exists(), reason="wants a machine with a C++ compiler: setup.py build_ext --inplace"
)
FLOAT, NONE = 0, -1
DIVISORS = [  # bits: ordinary ones, significands near 2, the least and largest exponents that go by a reciprocal
    *(0x3F800000, 0x3F800001, 0x40400000, 0xC0490FDB, 0x3E4CCCCD, 0x4437F000),
    *(0x3FFFFFFF, 0x3FFFFFFE, 0x3FFFFC00, 0x3FFFFBFF, 0xBFFFFBFE, 0x3FFFF800),
    *(0x217FFFFF, 0x21800000, 0x5D7FFBFF, 0x5D800000, 0x00000001, 0x007FFFFF, 0x7F7FFFFF),
    *(0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000),
]


def patterns(count: int, seed: int) -> Array:
    """Floats of every exponent, most of them neither very large nor very small; no other NaN than the law's."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, count, dtype=np.uint32)
    moderate = (bits & 0x807FFFFF) | (rng.integers(66, 189, count).astype(np.uint32) << 23)
    x = np.where(rng.random(count) < 0.99, moderate, bits).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(x), np.float32(np.nan), x)


def near_ties(divisor: np.float32, count: int, seed: int) -> Array:
    """Numbers whose quotient by the divisor lies as near to the middle of two floats as float32 allows."""
    middles = np.random.default_rng(seed).integers(2**23, 2**24, count).astype(np.float64) + 0.5
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return (middles * float(divisor) * 2.0**-23).astype(np.float32)


@pytest.mark.parametrize("bits", DIVISORS)
@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000])
def test_division_by_one_value_is_division(bits: int, count: int) -> None:
    """In a chain (with a negation before it) and as a step of its own."""
    library, divisor = Library(library_path()), np.array([bits], np.uint32).view(np.float32)
    index = library.c.isobit_operator_index
    alone = [3, *(FLOAT, 0) * 3, 2, index(b"div"), 2, 0, 1, NONE]
    chain = [4, *(FLOAT, 0) * 4, 3, index(b"neg"), 2, 0, NONE, NONE, index(b"div"), 3, 2, 1, NONE]
    for seed in range(20):
        x = patterns(count, seed) if seed % 2 else near_ties(divisor[0], count, seed)
        repeated, out = np.broadcast_to(divisor, x.shape), np.empty_like(x)
        for code, value in ((alone, x), (chain, spec.run("neg", [x], {}))):
            assert library.call_group([x, repeated], [out], code, count, 0, 1) == ("ok", "")
            assert out.tobytes() == spec.run("div", [value, repeated], {}).tobytes()


def growing(rows: int, columns: int, by: int, seed: int) -> Array:
    """Columns that start small, some with zeros alone, and whose later rows are larger by `by` exponents."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    x[: rows // 2] *= np.float32(2.0**-by)
    x[: rows // 2, ::5] = 0
    return x


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 127, 129, 300, 1100])
@pytest.mark.parametrize("by", [0, 1, 2, 30])
def test_sums_down_columns_whose_exponent_grows(rows: int, by: int) -> None:
    native = backends.load("native")
    for columns in (2, 15, 16, 17, 40):
        x = growing(rows, columns, by, seed=rows + by)
        for threads in (1, 2):
            assert native.run("sum", [x], {"axes": (0,)}, threads=threads).tobytes() == down(x)


def down(x: Array) -> bytes:
    return np.ascontiguousarray(spec.run("sum", [x], {"axes": (0,)})).tobytes()


def test_sums_down_columns_with_values_that_are_not_finite() -> None:
    native = backends.load("native")
    x = growing(600, 37, 3, seed=1)
    x[1, 0], x[400, 1], x[599, 2], x[5, 3], x[500, 3] = np.inf, -np.inf, np.nan, np.inf, -np.inf
    x[:, 4], x[:, 5], x[:, 6] = 0, -0.0, np.float32(1e-45)
    x[:, 7] = np.float32(3.4e38)
    assert native.run("sum", [x], {"axes": (0,)}, threads=1).tobytes() == down(x)
    y = np.ascontiguousarray(x.reshape(3, 200, 37))
    wanted = np.ascontiguousarray(spec.run("sum", [y], {"axes": (1,)})).tobytes()
    assert native.run("sum", [y], {"axes": (1,)}, threads=2).tobytes() == wanted


FUNCTIONS = ("exp", "log", "erf", "sigmoid", "tanh", "rsqrt", "sqrt")


def arguments(name: str) -> Array:
    """The function's inputs nearest to a tie, every kind of special value, and patterns of all exponents between."""
    lines = (Path(__file__).parents[1] / "vectors" / "functions" / f"{name}.txt").read_text().splitlines()
    hard = np.array([int(line.split()[0], 16) for line in lines], np.uint32).view(np.float32)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, -104, -87.4, 88.8], np.float32)
    drawn = patterns(2001, seed=5)
    return np.concatenate([hard, special, drawn, np.repeat(np.float32([-np.inf, 1]), 40), hard])


def test_a_function_in_a_chain_or_in_place_gives_what_it_gives_alone() -> None:
    """Values that are not certain are settled in a chain at once, in a block when enough of them wait."""
    library = Library(library_path())
    index = library.c.isobit_operator_index
    for name in FUNCTIONS:
        x = arguments(name)
        alone = library.run(name, [x], [], TensorType("float32", x.shape))
        for count in (x.size, x.size - 1, 64, 33, 5):
            code = [3, *(FLOAT, 0) * 3, 2, index(b"neg"), 1, 0, NONE, NONE, index(name.encode()), 2, 1, NONE, NONE]
            out = np.empty(count, np.float32)
            negated = spec.run("neg", [x[:count]], {})
            assert library.call_group([negated], [out], code, count, 0, 1) == ("ok", "")
            assert out.tobytes() == alone[:count].tobytes(), name
            own = x[:count].copy()
            assert library.call(name, [library.tensor(own)], [], library.tensor(own))[0] == "ok"
            assert own.tobytes() == alone[:count].tobytes(), name
