"""The functions of the law: correctly rounded in the spec, and the same bits on every backend and instruction set."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gmpy2
import numpy as np
import pytest

from kernels.backends import load, missing
from kernels.exact import fixed_point
from kernels.exact.functions import BITS
from kernels.float_mode import ieee_mode
from kernels.spec.functions import FUNCTIONS as SPEC
from tests.kernels.mpfr import NAMES, nearest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "functions"
SIGN = 0x80000000
MAGNITUDES = [
    *(0x00000000, 0x00000001, 0x00000002, 0x00400000, 0x007FFFFF, 0x00800000, 0x00800001),  # around zero
    *(0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF),  # the largest, infinity, NaN
    *(0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3EFFFFFF, 0x3F000000, 0x40000000, 0x40490FDB, 0x40490FDA),  # 1, 1/2, 2, pi
    *(0x42B17217, 0x42B17218, 0x42CFF1B4, 0x42CFF1B5, 0x42CE8ED0, 0x42D00000),  # where exp overflows and vanishes
    *(0x42FFFFFF, 0x43000000, 0x43150000, 0x43160000, 0x43170000, 0x43180000),  # 128 and about 150, for exp2
    *(0x41102CB3, 0x41102CB4, 0x41200000, 0x407A0000, 0x407B0000, 0x40800000, 0x41900000),  # tanh, erf, sigmoid reach 1
    *(
        0x33800000,
        0x33FFFFFF,
        0x34000000,
        0x34400000,
        0x38FFFFFF,
        0x39000000,
        0x39800000,
        0x3A000000,
    ),  # 2^-24 ... 2^-11
    *(0x4A7FFFFF, 0x4A800000, 0x4A800001, 0x4B7FFFFF, 0x4B800000, 0x5F000000, 0x61A3DB46),  # long reductions by pi
    *(0x41200000, 0x42C80000, 0x447A0000, 0x461C4000, 0x47C35000, 0x501502F9),  # powers of ten
]
SPECIAL = np.array([*MAGNITUDES, *(bits | SIGN for bits in MAGNITUDES)], dtype=np.uint32)


def patterns(seed: int, count: int) -> np.ndarray:
    """Random bit patterns: half of all of them, half of magnitudes from 2^-30 to 2^20."""
    generator = np.random.default_rng(seed)
    anywhere = generator.integers(0, 2**32, count // 2, dtype=np.uint32)
    moderate = generator.integers(97 << 23, 147 << 23, count // 2, dtype=np.uint32)
    return np.concatenate([anywhere, moderate | (anywhere & np.uint32(SIGN))])


def hard_cases(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The inputs nearest to a tie among all 2^32, and their values by MPFR (bench/exhaustive_functions.py)."""
    lines = (VECTORS / f"{name}.txt").read_text().splitlines()
    rows = np.array([[int(word, 16) for word in line.split()] for line in lines], np.uint32)
    return rows[:, 0], rows[:, 1]


def value(backend: str, name: str, bits: np.ndarray) -> np.ndarray:
    """The function on a backend, by bits."""
    x = bits.view(np.float32)
    if backend == "spec":
        return SPEC[name](x).view(np.uint32)
    return load(backend).run(name, [x], {}).view(np.uint32)


def by_mpfr(name: str, bits: np.ndarray) -> np.ndarray:
    return np.array([nearest(name, int(pattern)) for pattern in bits], dtype=np.uint32)


@pytest.fixture(params=["spec", "portable", "native"])
def backend(request: pytest.FixtureRequest) -> str:
    if missing(request.param):
        pytest.skip(missing(request.param))
    return str(request.param)


@pytest.mark.parametrize("name", NAMES)
def test_special_inputs_are_correctly_rounded(backend: str, name: str) -> None:
    np.testing.assert_array_equal(value(backend, name, SPECIAL), by_mpfr(name, SPECIAL))


@pytest.mark.parametrize("name", NAMES)
def test_random_inputs_are_correctly_rounded(backend: str, name: str) -> None:
    bits = patterns(NAMES.index(name), 20_000)
    np.testing.assert_array_equal(value(backend, name, bits), by_mpfr(name, bits))


@pytest.mark.parametrize("name", NAMES)
def test_the_inputs_nearest_to_a_tie_are_correctly_rounded(backend: str, name: str) -> None:
    bits, wanted = hard_cases(name)
    assert len(bits) >= 100
    np.testing.assert_array_equal(value(backend, name, bits), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_values_are_those_of_mpfr(name: str) -> None:
    bits, wanted = hard_cases(name)
    np.testing.assert_array_equal(by_mpfr(name, bits), wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["portable", "native"])
def test_a_result_does_not_depend_on_its_place_in_a_run(backend: str, name: str) -> None:
    if missing(backend):
        pytest.skip(missing(backend))
    bits = np.concatenate([patterns(99, 600), SPECIAL])
    whole = value(backend, name, bits)
    for start, stop in ((0, 1), (1, 18), (3, 260), (255, 257), (17, len(bits))):
        np.testing.assert_array_equal(value(backend, name, bits[start:stop].copy()), whole[start:stop])


def digest(name: str, run: Callable[[str, np.ndarray], np.ndarray]) -> str:
    bits = np.concatenate([patterns(7, 200_000), SPECIAL, hard_cases(name)[0]])
    return hashlib.sha256(run(name, bits).tobytes()).hexdigest()


def digests(backend: str) -> Iterator[str]:
    for name in NAMES:
        yield f"{name} {digest(name, lambda name, bits: value(backend, name, bits))}"


@pytest.mark.parametrize("isa", ["plain", "avx2", "avx512", "neon"])
def test_every_instruction_set_gives_the_bits_of_portable(isa: str) -> None:
    if missing("native"):
        pytest.skip(missing("native"))
    command = [
        sys.executable,
        "-c",
        "from tests.kernels.test_functions import digests; print(*digests('native'), sep='\\n')",
    ]
    environment = {**os.environ, "ISOBIT_ISA": isa}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    if finished.returncode and "ISOBIT_ISA" in finished.stderr:
        pytest.skip(f"wants a machine with {isa}")
    assert finished.stdout.splitlines() == list(digests("portable")), finished.stderr


def test_arrays_of_every_shape_and_stride_are_mapped() -> None:
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4)
    for view in (x[:, ::2], x.T, x[0, 0, 0], x[:0], np.broadcast_to(x[:1], (5, 3, 4))):
        want = SPEC["exp"](np.ascontiguousarray(view).reshape(-1)).reshape(view.shape)
        assert SPEC["exp"](view).tobytes() == want.tobytes()


def test_odd_functions_keep_the_sign_of_zero_and_of_their_argument(backend: str) -> None:
    bits = patterns(5, 4000) & np.uint32(SIGN - 1)
    bits = np.concatenate([[np.uint32(0)], bits[bits <= 0x7F800000]]).astype(np.uint32)
    for name in ("sin", "tanh", "erf"):
        positive, negative = value(backend, name, bits), value(backend, name, bits | np.uint32(SIGN))
        regular = positive != 0x7FC00000
        np.testing.assert_array_equal(positive[regular] ^ np.uint32(SIGN), negative[regular])


def test_the_definition_holds_no_float() -> None:
    for path in ("kernels/exact/fixed_point.py", "kernels/exact/functions.py"):
        source = (ROOT / path).read_text().split("def elementwise")[0]
        for node in ast.walk(ast.parse(source)):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{path}:{node.lineno}"
            assert not isinstance(node, ast.Div), path


def test_the_constants_of_the_definition_are_pi_and_ln_2() -> None:
    with gmpy2.context(precision=800):
        scale = gmpy2.mpfr(2) ** fixed_point.CONSTANT_BITS
        assert fixed_point.PI == int(gmpy2.floor(gmpy2.const_pi() * scale))
        assert fixed_point.LN2 == int(gmpy2.floor(gmpy2.const_log2() * scale))


def test_the_definition_takes_and_gives_bit_patterns() -> None:
    assert list(BITS) == NAMES
    assert BITS["exp"](0x3F800000) == 0x402DF854
    assert BITS["log"](0x00000000) == 0xFF800000
    assert BITS["sqrt"](0xBF800000) == 0x7FC00000


def header_constants() -> dict[str, list[float] | dict[int, int]]:
    """The constants of the C++ header: doubles and words as lists, ties as a dictionary."""
    text = (ROOT / "csrc" / "cpu" / "functions_coefficients.h").read_text()
    constants: dict[str, list[float] | dict[int, int]] = {}
    for kind, name, body in re.findall(r"constexpr (\w+) (\w+)(?:\[\])* = (\{.*?\}|[^;{]*);", text, re.DOTALL):
        if kind == "isobit_tie":
            constants[name] = {int(x, 16): int(step) for x, step in re.findall(r"\{(0x\w+), (-?1)\}", body)}
        else:
            constants[name] = [float.fromhex(word) for word in re.findall(r"-?0x[0-9a-f.]+(?:p[+-]?\d+)?", body)]
    return constants


def test_portable_and_native_hold_the_same_constants() -> None:
    if missing("portable"):
        pytest.skip(missing("portable"))
    from kernels.portable import functions_exp, functions_log, functions_trig

    constants = header_constants()
    assert len(constants) >= 18
    for name, wanted in constants.items():
        holders = [module for module in (functions_exp, functions_log, functions_trig) if hasattr(module, name)]
        assert holders and wanted, name
        for module in holders:
            held = getattr(module, name)
            got = held if isinstance(held, dict) else [float(number) for number in np.ravel(held)]
            assert got == wanted, f"{module.__name__}.{name}"


def test_portable_may_write_over_its_input() -> None:
    if missing("portable"):
        pytest.skip(missing("portable"))
    from kernels.portable.functions import FUNCTIONS

    bits = patterns(3, 2000)
    with ieee_mode():
        for name in NAMES:
            x, out = bits.copy().view(np.float32), np.empty(len(bits), np.float32)
            FUNCTIONS[name](x, out)
            FUNCTIONS[name](x, x)
            assert x.tobytes() == out.tobytes(), name


@pytest.mark.exhaustive
@pytest.mark.parametrize("isa", ["avx512", "avx2", "plain"])
def test_all_bit_patterns_are_correctly_rounded(isa: str) -> None:
    command = [sys.executable, "bench/exhaustive_functions.py", "--isa", isa]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 0, finished.stdout + finished.stderr
