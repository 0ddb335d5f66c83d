"""Native matrix products and convolutions equal the law in integers, on every instruction set and thread count."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kernels import spec
from kernels.backends import missing

ROOT = Path(__file__).parents[2]
X86 = platform.machine().lower() in ("x86_64", "amd64")
NAN = np.uint32(0x7FC00000).view(np.float32)
WIDTHS = ("narrow", "wide")
# Around the sizes of tiles (16, 14, 6, 4 rows; 32, 16, 8 columns), of vectors and of the chunks of K (508 to 2048).
SHAPES = (
    *((1, 1, 1), (1, 8, 1), (3, 5, 7), (2, 0, 3), (0, 4, 3), (3, 4, 0), (14, 16, 32), (15, 17, 33), (13, 9, 31)),
    *((8, 700, 40), (40, 700, 8), (2, 131, 99), (99, 131, 3), (1, 64, 65), (29, 128, 65), (5, 257, 3), (64, 64, 64)),
    *((1, 300, 129), (129, 300, 1), (200, 40, 1), (17, 509, 40), (30, 1025, 66), (7, 35, 600), (18, 2113, 49)),
)
# Where the sums of tiles change their form: rounded from two float32 (to 4032), one int32 a digit (to 43008 wide and
# 129024 narrow), int64 beyond.
STRETCHES = (4032, 4033, 43008, 43009, 86100, 129024, 129025)
LONG = (65536, 131071, 131072, 262145, 1048577)
# Results that no cache holds, in whole lines and not, and several blocks of panels in several chunks of K.
LARGE = ((529, 70, 512), (300, 127, 890), (230, 4200, 210), (40, 2100, 2100))
# N, C, H, W, O, (R, S), stride, padding, dilation, groups
WINDOWS = (
    (2, 3, 8, 8, 4, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (1, 4, 7, 9, 6, (3, 3), (2, 2), (1, 1), (1, 1), 2),
    (2, 6, 10, 11, 6, (3, 3), (1, 1), (1, 1), (1, 1), 6),
    (1, 3, 36, 37, 3, (3, 3), (1, 1), (1, 1), (1, 1), 3),
    (2, 8, 17, 19, 12, (5, 4), (2, 2), (2, 1), (1, 1), 4),
    (2, 5, 9, 9, 7, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (1, 3, 23, 23, 8, (7, 7), (2, 2), (3, 3), (1, 1), 1),
    (2, 4, 12, 10, 6, (3, 2), (2, 3), (2, 1), (2, 1), 2),
    (2, 33, 7, 7, 35, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    (1, 2, 40, 70, 3, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 3, 6, 6, 4, (3, 3), (9, 9), (2, 2), (1, 1), 1),
    (1, 4, 3, 3, 4, (3, 3), (1, 1), (5, 5), (2, 2), 4),
    (1, 1, 2, 2, 1, (1, 1), (3000, 1), (4000, 0), (1, 1), 1),
    (0, 3, 6, 6, 4, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 0, 4, 4, 3, (2, 2), (1, 1), (0, 0), (1, 1), 1),
    # Several panels of channels, more than 64 places of a filter, chunks of K, a plane without padding, steps of 3.
    (3, 34, 6, 5, 70, (3, 3), (2, 2), (1, 1), (1, 1), 2),
    (1, 9, 12, 13, 34, (9, 9), (1, 1), (4, 4), (1, 1), 1),
    (24, 3, 16, 17, 20, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (1, 18, 33, 70, 5, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 17, 11, 34, 3, (2, 3), (3, 3), (0, 2), (2, 1), 1),
    (16, 70, 2, 2, 40, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    # Filters of one place: channels past 64, groups, more rows than a block holds, 256 pixels and a few.
    (1, 67, 15, 19, 20, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 20, 8, 9, 36, (1, 1), (1, 1), (0, 0), (1, 1), 2),
    (1, 9, 8, 8, 230, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 20, 33, 35, 36, (1, 1), (2, 2), (0, 0), (1, 1), 2),
    (1, 9, 40, 31, 18, (1, 1), (3, 2), (0, 0), (1, 1), 1),
    # Small groups: lines of several taps and rows of blocks as far apart, rows in phases, one long row, filters whose
    # sums are spilled and that are cut into chunks, blocks of outputs, odd channels, widths around a vector's.
    (2, 3, 29, 17, 3, (3, 3), (1, 1), (2, 2), (2, 2), 3),
    (1, 2, 37, 9, 2, (4, 2), (1, 1), (0, 3), (3, 1), 2),
    (1, 4, 23, 50, 4, (5, 5), (2, 3), (4, 2), (1, 2), 4),
    (2, 3, 1, 71, 3, (1, 7), (1, 1), (0, 3), (1, 2), 3),
    (1, 2, 1, 60, 2, (1, 4), (1, 2), (0, 3), (1, 1), 2),
    (2, 2, 20, 33, 2, (7, 7), (1, 1), (3, 3), (1, 1), 2),
    (1, 2, 26, 18, 2, (13, 11), (1, 1), (6, 5), (1, 1), 2),
    (1, 16, 9, 21, 14, (5, 5), (1, 1), (2, 2), (1, 1), 2),
    (2, 6, 12, 15, 14, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    (1, 3, 13, 16, 9, (2, 5), (3, 1), (0, 4), (1, 1), 3),
    (1, 20, 7, 10, 32, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    # Strides of more than 64 phases, worth a product each.
    (2, 3, 90, 81, 180, (9, 10), (9, 10), (0, 1), (1, 1), 1),
    (2, 2, 99, 90, 180, (9, 9), (9, 9), (0, 0), (1, 1), 2),
    # Padding wider than the filter.
    (2, 17, 3, 4, 20, (2, 1), (1, 1), (9, 7), (1, 1), 1),
)
# The filters' gradient over several stretches of int32, and where the gradient is larger than the image and multiplied
# portion by portion: some samples each, rows of a sample, two groups.
PORTIONS = (
    (2, 3, 150, 150, 5, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (24, 2, 20, 20, 90, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (1, 3, 100, 100, 250, (7, 7), (2, 2), (3, 3), (1, 1), 1),
    (3, 20, 56, 50, 140, (1, 1), (1, 1), (0, 0), (1, 1), 2),
)


def data(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """A float32 array of the named kind."""
    x = rng.standard_normal(shape).astype(np.float32)
    signs = np.where(rng.random(shape) < 0.5, np.float32(-1), np.float32(1))
    kinds = {
        "normal": x,
        "largest integers": np.full(shape, 16383 / 16384, np.float32),
        "rounds past the largest": signs * np.float32(1.9999999),
        "lowest wide digits": np.full(shape, -126 * 65536 - 128 * 256 - 128, np.float32),
        "lowest narrow digits": np.full(shape, -63 * 256 - 128, np.float32),
        "subnormal": x * np.float32(1e-42),
        "spread": np.ldexp(x, rng.integers(-140, 120, shape)),
        "overflow": signs * np.float32(3.4028235e38),
        "ties": rng.integers(-64, 65, shape) / 2,
        "positive": rng.random(shape),
        "zeros": np.where(np.arange(x.size).reshape(shape) < x.size // 2, 0, x),
        "outlier": np.where(np.arange(x.size).reshape(shape) == x.size // 3, 1e6, x),
        "not finite": np.select(
            [v == np.arange(x.size).reshape(shape) for v in (0, x.size // 2)], [np.nan, -np.inf], x
        ),
    }
    return np.asarray(kinds[kind], np.float32)


KINDS: tuple[str, ...] = (
    "normal",
    "largest integers",
    "rounds past the largest",
    "subnormal",
    "spread",
    "overflow",
    "ties",
    "positive",
)
KINDS += ("zeros", "outlier", "not finite", "lowest wide digits", "lowest narrow digits")


def scales(maximum: float, limit: int) -> int:
    """The largest s with rne(maximum * 2^s) <= limit, by trying."""
    s = limit.bit_length() - np.frexp(maximum)[1] + 1
    while np.rint(np.ldexp(maximum, s)) > limit:
        s -= 1
    return int(s)


def quantised(lines: np.ndarray, limit: int) -> tuple[np.ndarray, list[int], np.ndarray]:
    """The integers of each row, its scale, and whether it is finite."""
    wide = lines.astype(np.float64)
    finite = np.asarray(np.isfinite(wide).all(axis=1))
    wide = np.where(finite[:, None], wide, 0)
    s = [scales(row.max(), limit) if row.any() else 0 for row in np.abs(wide)]
    return np.rint(np.ldexp(wide, np.array(s, int).reshape(-1, 1))).astype(np.int64), s, finite


def product(a: np.ndarray, b: np.ndarray, width: str) -> np.ndarray:
    """The law's matmul of two matrices, rounded in Python's integers."""
    limit = 16383 if width == "narrow" else 8355711 if a.shape[1] <= 131071 else 2097151
    (qa, s, finite_a), (qb, t, finite_b) = quantised(a, limit), quantised(b.T, limit)
    out = np.full((a.shape[0], b.shape[1]), NAN, np.float32)
    sums = qa @ qb.T
    for i in np.flatnonzero(finite_a):
        for j in np.flatnonzero(finite_b):
            out[i, j] = stored(int(sums[i, j]), s[i] + t[j])
    return out


def stored(total: int, scale: int) -> np.float32:
    drop = max(abs(total).bit_length() - 24, 0)
    kept, rest = divmod(abs(total), 1 << drop)
    kept += 2 * rest + (kept & 1) > 1 << drop
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(np.ldexp(np.copysign(float(kept << drop), total), -scale))


def layouts(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The operands row-major, transposed, and with gaps in both axes."""
    yield a, b
    yield np.ascontiguousarray(a.T).T, np.ascontiguousarray(b.T).T
    gaps = np.zeros((3 * a.shape[0], 2 * a.shape[1]), np.float32)
    gaps[::3, ::2] = a
    yield gaps[::3, ::2], b


def same(got: np.ndarray, want: np.ndarray, *what: object) -> None:
    assert got.shape == want.shape and got.tobytes() == want.astype(np.float32).tobytes(), what


def check_matmul() -> None:
    from kernels import _native

    rng = np.random.default_rng(1)
    for shape in SHAPES:
        for kind in KINDS if max(shape) < 400 else ("normal", "rounds past the largest", "positive"):
            a, b = data(rng, shape[:2], kind), data(rng, shape[1:], kind)
            for width in (0, 1):
                want = product(a, b, WIDTHS[width])
                for threads, operands in ((t, pair) for t in (1, 3) for pair in layouts(a, b)):
                    got = _native.run("matmul", list(operands), [width], 0, want.shape, threads)
                    same(got, want, shape, kind, WIDTHS[width], threads)


def check_long() -> None:
    from kernels import _native

    rng = np.random.default_rng(2)
    for K in LONG:
        for kind in ("largest integers", "rounds past the largest", "normal"):
            a, b = data(rng, (3, K), kind), data(rng, (K, 2), kind)
            for width in (0, 1):
                same(_native.run("matmul", [a, b], [width], 0, (3, 2), 2), product(a, b, WIDTHS[width]), K, kind, width)


def check_large() -> None:
    from kernels import _native

    rng = np.random.default_rng(6)
    for shape in LARGE:
        a, b = data(rng, shape[:2], "normal"), data(rng, shape[1:], "normal")
        for width in (0, 1):
            (qa, s, _), (qb, t, _) = (quantised(x, (16383, 8355711)[width]) for x in (a, b.T))
            sums = qa @ qb.T
            assert np.abs(sums).max() < 2**53  # so that float64 holds them
            want = np.ldexp(sums.astype(np.float32), -np.add.outer(s, t)).astype(np.float32)
            for threads, operands in ((t, pair) for t in (1, 3, 9) for pair in layouts(a, b)):
                got = _native.run("matmul", list(operands), [width], 0, want.shape, threads)
                same(got, want, shape, WIDTHS[width], threads)


def check_stretches() -> None:
    from kernels import _native

    rng = np.random.default_rng(5)
    for K in STRETCHES:
        for kind in ("largest integers", "rounds past the largest", "lowest wide digits", "normal", "spread"):
            a, b = data(rng, (17, K), kind), data(rng, (9, K), kind).T
            for width in (0, 1):
                got = _native.run("matmul", [a, b], [width], 0, (17, 9), 2)
                same(got, product(a, b, WIDTHS[width]), K, kind, width)


def check_batched() -> None:
    from kernels import _native

    rng = np.random.default_rng(3)
    for batch in ((2, 3), (9,), (0, 2)):
        a, b = data(rng, (*batch, 20, 40), "normal"), data(rng, (*batch, 35, 40), "normal").swapaxes(-1, -2)
        repeated = np.broadcast_to(data(rng, (40, 35), "normal"), (*batch, 40, 35))
        for y in (b, repeated):
            for width in (0, 1):
                got = _native.run("matmul", [a, y], [width], 0, (*batch, 20, 35), 2)
                for entry in np.ndindex(*batch):
                    same(got[entry], product(a[entry], y[entry], WIDTHS[width]), batch, entry, width)


def check_conv() -> None:
    from kernels import _native

    rng = np.random.default_rng(4)
    for n, c, h, w, o, size, stride, padding, dilation, groups in WINDOWS:
        window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        for kind in ("normal", "rounds past the largest", "spread", "not finite"):
            x, filters = data(rng, (n, c, h, w), kind), data(rng, (o, c // groups, *size), kind)
            for width in (0, 1):
                attributes = {**window, "width": WIDTHS[width]}
                values = [2, *stride, 2, *padding, 2, *dilation, groups, width]
                y = spec.run("conv", [x, filters], attributes)
                g = data(rng, y.shape, kind)
                channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
                dx = spec.run("conv_grad_input", [g, filters], {"size": (h, w), **attributes})
                dw = spec.run("conv_grad_weight", [g, x], {"size": size, **attributes})
                for name, inputs, first, want in (
                    ("conv", [x, filters], [], y),
                    ("conv", [channels_last, filters], [], y),
                    ("conv_grad_input", [g, filters], [2, h, w], dx),
                    ("conv_grad_weight", [g, channels_last], [2, *size], dw),
                ):
                    for threads in (1, 3):
                        got = _native.run(name, inputs, [*first, *values], 0, want.shape, threads)
                        same(got, want, name, (n, c, h, w, o, size), window, kind, width)


def check_portions() -> None:
    from kernels import _native

    rng = np.random.default_rng(5)
    for n, c, h, w, o, size, stride, padding, dilation, groups in PORTIONS:
        window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        places = [(h, w)[i] + 2 * padding[i] - dilation[i] * (size[i] - 1) - 1 for i in (0, 1)]
        x, g = (
            data(rng, (n, c, h, w), "spread"),
            data(rng, (n, o, *(places[i] // stride[i] + 1 for i in (0, 1))), "spread"),
        )
        for width in (0, 1):
            want = spec.run("conv_grad_weight", [g, x], {"size": size, **window, "width": WIDTHS[width]})
            values = [2, *size, 2, *stride, 2, *padding, 2, *dilation, groups, width]
            for threads in (1, 3):
                got = _native.run("conv_grad_weight", [g, x], values, 0, want.shape, threads)
                same(got, want, (n, c, h, w, o, size), window, width, threads)


@pytest.mark.skipif(bool(missing("native")), reason="a machine with the native module would multiply")
@pytest.mark.parametrize("isa", ["plain", "avx2", "avx512", "amx"] if X86 else ["neon"])
@pytest.mark.parametrize("what", ["matmul", "long", "large", "stretches", "batched", "conv", "portions"])
def test_products_equal_the_law(what: str, isa: str) -> None:
    run_held_to(isa, f"from tests.kernels.test_products import check_{what} as check; check()")


def run_held_to(isa: str, code: str) -> None:
    """Runs the code in a process that is held to an instruction set; skips where this machine has it not."""
    from kernels import _native

    if X86 and isa != "plain" and isa not in supported(_native.isa()):
        pytest.skip(f"a processor with {isa} would multiply")
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "ISOBIT_ISA": isa}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def supported(best: str) -> tuple[str, ...]:
    """The instruction sets of a processor whose best one is named."""
    order = ("plain", "avx2", "avx512", "amx")
    return order[: order.index(best) + 1]


@pytest.mark.skipif(bool(missing("native")), reason="a machine with the native module would multiply")
def test_the_test_sees_one_wrong_bit() -> None:
    a = np.array([[1.5]], np.float32)
    want = product(a, a, "wide")
    same(want, np.array([[2.25]], np.float32))
    with pytest.raises(AssertionError):
        same(np.nextafter(want, np.float32(3)), want)
