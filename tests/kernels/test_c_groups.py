"""Groups of operators through the C ABI: the bytes of their members, and a refusal for every wrong code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from kernels import spec
from kernels.spec.operator import Array
from kernels.types import DTYPES, NUMPY_DTYPE
from tests.kernels.c_abi import Library, library_path

UNARY = ("exp", "neg", "abs", "sqrt", "tanh", "sigmoid", "erf", "floor")
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")
REDUCTIONS = ("sum", "amax", "amin")
NONE, SPREAD = -1, -1
ODD = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-42, 3e38, -3e38], np.float32)
FLOAT, BOOL = DTYPES.index("float32"), DTYPES.index("bool")


@pytest.fixture(scope="module")
def library() -> Library:
    if not library_path().exists():
        pytest.skip("wants a machine with a C++ compiler: setup.py build_ext --inplace makes kernels/libisobit.so")
    return Library(library_path())


class Drawn:
    """A random group over [R, C] elements, and what each of its registers holds by the definitions."""

    unary: tuple[str, ...] = UNARY

    def __init__(self, library: Library, seed: int, shape: tuple[int, int] | None = None) -> None:
        self.library, self.rng = library, np.random.default_rng(seed)
        self.shape = shape or (int(self.rng.integers(1, 40)), int(self.rng.integers(1, 90)))
        self.values = [self.numbers(*shape) for shape in (self.shape, self.shape, self.shape[:1])]
        self.inputs = len(self.values)
        self.steps: list[list[int]] = []
        for _ in range(int(self.rng.integers(3, 12))):
            self.add()

    def numbers(self, *shape: int) -> Array:
        return self.rng.standard_normal(shape).astype(np.float32)

    def pick(self, rank: int, dtype: type = np.float32) -> int:
        fitting = [i for i, x in enumerate(self.values) if x.ndim == rank and x.dtype == dtype]
        return int(self.rng.choice(fitting))

    def add(self) -> None:
        kind, rank = int(self.rng.integers(5)), int(self.rng.integers(1, 3))
        if kind == 0:
            self.step(str(self.rng.choice(self.unary)), self.pick(rank))
        elif kind == 1:
            self.step(str(self.rng.choice(BINARY)), self.pick(rank), self.pick(rank))
        elif kind == 2:
            self.step("lt", self.pick(rank), self.pick(rank))
            self.step("select", len(self.values) - 1, self.pick(rank), self.pick(rank))
        elif kind == 3:
            self.step(str(self.rng.choice(REDUCTIONS)), self.pick(2), axes=(1,))
        else:
            row = self.pick(1)
            spread = np.ascontiguousarray(np.broadcast_to(self.values[row][:, None], self.shape))
            self.append(SPREAD, (row,), spread)

    def step(self, op: str, *operands: int, **attributes: object) -> None:
        value = spec.run(op, [self.values[i] for i in operands], attributes)
        self.append(self.library.c.isobit_operator_index(op.encode()), operands, value)

    def append(self, index: int, operands: tuple[int, ...], value: Array) -> None:
        self.steps.append([index, len(self.values), *operands, *[NONE] * (3 - len(operands))])
        self.values.append(value)

    def code(self, kept: Sequence[int] | None = None) -> list[int]:
        """kept: the registers that become outputs; None for all that are no input"""
        words = [len(self.values)]
        for x in self.values:
            words += [BOOL if x.dtype == np.bool_ else FLOAT, int(x.ndim == 1)]
        words += range(self.inputs, len(self.values)) if kept is None else kept
        return words + [word for step in self.steps for word in step]

    def results(self) -> list[Array]:
        """New memory for every register that is no input."""
        return [np.zeros(x.shape, x.dtype) for x in self.values[self.inputs :]]

    def call(self, code: list[int], outputs: list[Array], threads: int) -> tuple[str, str]:
        rows, columns = self.shape
        inputs = self.values[: self.inputs]
        return self.library.call_group(inputs, outputs, code, rows * columns, columns, threads)


@pytest.mark.parametrize("seed", range(40))
def test_a_group_gives_the_bytes_of_its_members(library: Library, seed: int) -> None:
    drawn = Drawn(library, seed)
    outputs = drawn.results()
    assert drawn.call(drawn.code(), outputs, 1 + seed % 3) == ("ok", "")
    for got, wanted in zip(outputs, drawn.values[drawn.inputs :], strict=True):
        assert got.tobytes() == wanted.tobytes()


class Large(Drawn):
    """Without functions, whose definition is slow."""

    unary = ("neg", "abs", "sqrt", "floor")


@pytest.mark.parametrize("columns", [63, 64, 65, 127, 128, 129, 255, 1023, 1024, 1025, 1100, 2500])
@pytest.mark.parametrize("seed", range(3))
def test_rows_of_every_remainder_give_the_bytes_of_the_members(library: Library, columns: int, seed: int) -> None:
    """Around the elements of a link, of a piece, and of a row that is a piece of its own."""
    drawn = Large(library, seed, (3 + 7 * seed, columns))
    outputs = drawn.results()
    assert drawn.call(drawn.code(), outputs, 1) == ("ok", "")
    for got, wanted in zip(outputs, drawn.values[drawn.inputs :], strict=True):
        assert got.tobytes() == wanted.tobytes()


class Norms(Drawn):
    """Long rows of odd values that are shifted, scaled, squared and reduced again and again; few values leave."""

    unary = ("neg", "abs", "exp", "sqrt")

    def numbers(self, *shape: int) -> Array:
        x = self.rng.standard_normal(shape) * 2.0 ** self.rng.integers(-130, 60) if self.rng.random() < 0.4 else None
        x = self.rng.standard_normal(shape) if x is None else x
        odd = self.rng.random(shape) < self.rng.choice([0.0, 0.0, 0.0005])
        x = np.where(odd, self.rng.choice(ODD, shape), x)
        return (abs(x) if self.rng.random() < 0.2 else x).astype(np.float32)

    def add(self) -> None:
        if self.rng.random() < 0.5:
            return super().add()
        x = self.pick(2)
        for _ in range(int(self.rng.integers(1, 4))):
            choice = self.rng.random()
            if choice < 0.4:
                self.spread(self.pick(1))
                operands = (x, len(self.values) - 1) if self.rng.random() < 0.8 else (len(self.values) - 1, x)
                self.step(str(self.rng.choice(("add", "sub", "mul"))), *operands)
            elif choice < 0.7:
                self.step("mul", x, x)
            else:
                self.step(str(self.rng.choice(("neg", "abs", "exp"))), x)
            x = len(self.values) - 1
        self.step(str(self.rng.choice(REDUCTIONS)), self.pick(2) if self.rng.random() < 0.3 else x, axes=(1,))

    def spread(self, row: int) -> None:
        self.append(SPREAD, (row,), np.ascontiguousarray(np.broadcast_to(self.values[row][:, None], self.shape)))


@pytest.mark.parametrize("columns", [64, 129, 256, 700, 1500, 2304])
@pytest.mark.parametrize("seed", range(8))
def test_sums_whose_scale_is_known_beforehand_give_the_bytes_of_the_members(
    library: Library, columns: int, seed: int
) -> None:
    drawn = Norms(library, 100 * columns + seed, (5, columns))
    drawn.step("sum", drawn.pick(2), axes=(1,))
    every = range(drawn.inputs, len(drawn.values))
    for kept in (list(every), [i for i in every if drawn.values[i].ndim == 1], [len(drawn.values) - 1]):
        outputs = [np.zeros(drawn.values[i].shape, drawn.values[i].dtype) for i in kept]
        assert drawn.call(drawn.code(kept), outputs, 1 + seed % 2) == ("ok", "")
        for number, got in zip(kept, outputs, strict=True):
            assert got.tobytes() == drawn.values[number].tobytes(), number


@pytest.mark.parametrize("columns", [3, 64, 1025, 3000])
def test_rows_of_one_value_that_repeats_everywhere_are_reduced(library: Library, columns: int) -> None:
    one = np.broadcast_to(np.float32(1.5), (7, columns))
    index = [library.c.isobit_operator_index(name.encode()) for name in REDUCTIONS]
    code = [4, FLOAT, 0, *(FLOAT, 1) * 3, 1, 2, 3]
    for place, op in enumerate(index, start=1):
        code += [op, place, 0, NONE, NONE]
    outputs = [np.zeros(7, np.float32) for _ in range(3)]
    assert library.call_group([one], outputs, code, one.size, columns, 1) == ("ok", "")
    assert [list(got) for got in outputs] == [[1.5 * columns] * 7, [1.5] * 7, [1.5] * 7]


@pytest.mark.parametrize("columns", [3, 64, 200, 3000])
def test_a_gather_takes_one_element_of_each_row(library: Library, columns: int) -> None:
    """Of what an operator made of the rows, and of an input; an index outside a row is a fault before anything is
    written."""
    rng = np.random.default_rng(columns)
    x, y = rng.standard_normal((2, 50, columns)).astype(np.float32)
    index = rng.integers(0, columns, 50)
    amax, sub, gather = (library.c.isobit_operator_index(name) for name in (b"amax", b"sub", b"gather"))
    kinds = [FLOAT, 0, FLOAT, 0, DTYPES.index("int64"), 1, FLOAT, 1, *(FLOAT, 0) * 3, FLOAT, 1, FLOAT, 1]
    steps = [amax, 3, 0, NONE, NONE, SPREAD, 4, 3, NONE, NONE, sub, 5, 0, 4, NONE, sub, 6, 5, 1, NONE]
    steps += [gather, 7, 5, 2, NONE, gather, 8, 6, 2, NONE]
    code = [9, *kinds, 7, 8, *steps]
    shifted = x - x.max(1, keepdims=True)
    wanted = [np.take_along_axis(a, index[:, None], 1)[:, 0] for a in (shifted, shifted - y)]
    outputs = [np.zeros(50, np.float32) for _ in range(2)]
    assert library.call_group([x, y, index], outputs, code, x.size, columns, 2) == ("ok", "")
    assert [got.tobytes() for got in outputs] == [want.tobytes() for want in wanted]
    for wrong in (-1, columns):
        index[17], outputs = wrong, [np.full(50, 5, np.float32) for _ in range(2)]
        status, message = library.call_group([x, y, index], outputs, code, x.size, columns, 2)
        assert status == "fault" and f"index {wrong} is outside" in message
        assert all((got == 5).all() for got in outputs)


@pytest.mark.parametrize("seed", range(4))
def test_a_group_over_many_threads_gives_the_bytes_of_one(library: Library, seed: int) -> None:
    drawn = Large(library, seed, (531, 801))
    one, many = drawn.results(), drawn.results()
    assert drawn.call(drawn.code(), one, 1) == drawn.call(drawn.code(), many, 4) == ("ok", "")
    assert [x.tobytes() for x in one] == [x.tobytes() for x in many]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("at", [0, 1])
def test_a_group_may_write_over_an_input(library: Library, at: int, threads: int) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 700, 300)).astype(np.float32)
    add, mul = (library.c.isobit_operator_index(name) for name in (b"add", b"mul"))
    code = [4, *(FLOAT, 0) * 4, 2, 3, add, 2, 0, 1, NONE, mul, 3, 2, at, NONE]
    total, product = x + y, (x + y) * (x, y)[at]
    inputs, other = [x.copy(), y.copy()], np.empty_like(x)
    outputs = [inputs[at], other]
    assert library.call_group(inputs, outputs, code, x.size, 0, threads) == ("ok", "")
    assert outputs[0].tobytes() == total.tobytes() and other.tobytes() == product.tobytes()


@pytest.mark.parametrize("columns", [2, 3, 64, 100, 768, 1025, 2048, 2049])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_vector_beside_every_row_is_read_as_it_repeats(library: Library, columns: int, threads: int) -> None:
    """With a sum of rows and without, two vectors of which one repeats within the other, over several tiles."""
    rng = np.random.default_rng(columns)
    x = rng.standard_normal((120, 12, columns)).astype(np.float32)
    vector, plane = (rng.standard_normal(shape).astype(np.float32) for shape in (columns, (12, columns)))
    add, mul, sums = (library.c.isobit_operator_index(name) for name in (b"add", b"mul", b"sum"))
    for view in (np.broadcast_to(vector, x.shape), np.broadcast_to(plane, x.shape)):
        inputs = [x, np.broadcast_to(vector, x.shape), view]
        wanted = (x + inputs[1]) * view
        steps = [add, 3, 0, 1, NONE, mul, 4, 3, 2, NONE]
        out = np.empty_like(x)
        code = [5, *(FLOAT, 0) * 5, 4, *steps]
        assert library.call_group(inputs, [out], code, x.size, 0, threads) == ("ok", "")
        assert out.tobytes() == wanted.tobytes()
        out, total = np.empty_like(x), np.empty((120, 12), np.float32)
        code = [6, *(FLOAT, 0) * 5, FLOAT, 1, 4, 5, *steps, sums, 5, 4, NONE, NONE]
        assert library.call_group(inputs, [out, total], code, x.size, columns, threads) == ("ok", "")
        assert out.tobytes() == wanted.tobytes()
        assert total.tobytes() == np.ascontiguousarray(spec.run("sum", [wanted], {"axes": (2,)})).tobytes()


def test_a_nan_that_arises_in_a_chain_is_the_laws_wherever_it_is_seen(library: Library) -> None:
    x = np.repeat(np.float32([np.inf, -np.inf, 1, -1, np.nan, 0]), 100)
    y = np.tile(np.float32([np.inf, -np.inf, 2, -0.0, np.nan]), 120)
    for first in ("sub", "mul", "div", "sqrt"):
        arisen = spec.run(first, [x] if first == "sqrt" else [x, y], {})
        for second in ("maximum", "minimum", "neg", "abs", "exp"):
            operands = [arisen] if second in ("neg", "abs", "exp") else [arisen, y]
            wanted = spec.run("add", [spec.run(second, operands, {}), x], {})
            index = [library.c.isobit_operator_index(name.encode()) for name in (first, second, "add")]
            steps = [index[0], 2, 0, NONE if first == "sqrt" else 1, NONE]
            steps += [index[1], 3, 2, 1 if len(operands) == 2 else NONE, NONE, index[2], 4, 3, 0, NONE]
            out = np.empty_like(x)
            assert library.call_group([x, y], [out], [5, *(FLOAT, 0) * 5, 4, *steps], x.size, 0, 1) == ("ok", "")
            assert out.tobytes() == wanted.tobytes(), (first, second)


def test_no_altered_code_crashes(library: Library) -> None:
    rng, seen = np.random.default_rng(3), {"ok": 0, "invalid": 0}
    for seed in range(60):
        drawn = Drawn(library, seed)
        good = drawn.code()
        for _ in range(60):
            code, outputs = list(good), drawn.results()
            at = int(rng.integers(len(code)))
            code[at] = int(rng.choice([-(2**31), -2, -1, 0, 1, 2, 3, 7, 40, 1024, 2**31 - 1]))
            if rng.random() < 0.3:
                code = code[: int(rng.integers(len(code)))]
            if rng.random() < 0.2:
                outputs[int(rng.integers(len(outputs)))] = np.zeros(int(rng.integers(0, 9)), np.float32)
            status, message = drawn.call(code, outputs, 2)
            seen[status] += 1
            assert message.startswith("group: got ") if status == "invalid" else message == "", message
    assert min(seen.values()) > 50, seen


@pytest.mark.parametrize(("size", "columns"), [(0, 0), (-1, 0), (6, 4), (6, -1), (2**62, 2), (6, 2**40)])
def test_a_group_of_another_size_than_its_tensors_is_refused(library: Library, size: int, columns: int) -> None:
    x, out = np.ones((2, 3), np.float32), np.zeros((2, 3), NUMPY_DTYPE["float32"])
    code = [2, FLOAT, 0, FLOAT, 0, 1, library.c.isobit_operator_index(b"neg"), 1, 0, NONE, NONE]
    assert library.call_group([x], [out], code, 6, 0, 1)[0] == "ok" and (out == -1).all()
    assert library.call_group([x], [out], code, size, columns, 1)[0] == "invalid"
