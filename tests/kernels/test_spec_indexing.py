"""What the definition gives for indexing, and for random bits and the order of samples."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.spec import run
from kernels.spec.random import philox, sample_index

NAN = float("nan")


def f32(values: object) -> np.ndarray:
    return np.array(values, np.float32)


def test_rows_of_one_id_add_up_exactly_before_they_reach_the_base() -> None:
    base, ids = f32([[1], [10]]), np.array([0, 0, 0, 1])
    rows = f32([[2.0**-24], [2.0**-24], [2.0**-25], [5]])
    assert run("add_rows", [base, ids, rows], {}).tolist() == [[1 + 2.0**-23], [15]]


@pytest.mark.parametrize(
    ("count", "bits"), [(3, 45), (32767, 45), (65535, 45), (65536, 44), (2**17 - 1, 44), (2**17, 43)]
)
def test_the_scale_of_a_source_leaves_room_for_its_number_of_rows(count: int, bits: int) -> None:
    """1 = 1/2 * 2^1, so s is one less than min(46, 62 - bitlength(count)); half a unit is lost, a unit is not."""
    for last, total in ((2.0**-bits, 2.0**-bits), (2.0 ** (-bits - 1), 0.0)):
        rows = np.zeros(count, np.float32)
        rows[[0, 1, count - 1]] = 1, -1, last
        assert run("add_rows", [f32([0]), np.zeros(count, np.int64), rows], {}).tolist() == [total]
        assert run("scatter_add", [f32([0]), np.zeros(count, np.int64), rows], {"axis": 0}).tolist() == [total]


def test_a_base_of_minus_zero_becomes_plus_zero() -> None:
    got = run("add_rows", [f32([-0.0]), np.zeros(0, np.int64), f32([])], {})
    assert got.tobytes() == bytes(4)


def test_one_nan_in_the_source_makes_every_output_nan() -> None:
    got = run("scatter_add", [f32([1, 2, 3]), np.array([0, 0]), f32([NAN, 1])], {"axis": 0})
    assert np.isnan(got).all()


def test_scatter_add_puts_elements_at_their_index_along_the_axis() -> None:
    base, index = np.zeros((2, 3), np.float32), np.array([[0, 2], [1, 1]])
    assert run("scatter_add", [base, index, f32([[1, 2], [3, 4]])], {"axis": 1}).tolist() == [[1, 0, 2], [0, 7, 0]]


def test_argsort_is_stable_and_puts_nan_above_everything() -> None:
    x = f32([NAN, 1, -0.0, 0.0, NAN, 1])
    assert run("argsort", [x], {"axis": 0, "descending": False}).tolist() == [2, 3, 1, 5, 0, 4]
    assert run("argsort", [x], {"axis": 0, "descending": True}).tolist() == [0, 4, 1, 5, 2, 3]


def test_argsort_descending_keeps_the_least_integer_last() -> None:
    x = np.array([0, -(2**63), 2**63 - 1])
    assert run("argsort", [x], {"axis": 0, "descending": True}).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("image", "index"),
    [
        ([[1, 2], [3, 3]], 2),
        ([[-0.0, 0.0], [0.0, -0.0]], 0),
        ([[1, NAN], [NAN, 9]], 1),
        ([[-np.inf, -np.inf], [-np.inf, -np.inf]], 0),
    ],
)
def test_max_pool_takes_the_first_nan_else_the_first_largest(image: list[list[float]], index: int) -> None:
    window = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)}
    assert run("max_pool_index", [f32([[image]])], window).tolist() == [[[[index]]]]


def test_padding_never_wins_a_pool() -> None:
    window = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)}
    image = f32([[[[-5, -4, -3], [-2, -1, -9], [-8, -7, -6]]]])
    assert run("max_pool_index", [image], window).tolist() == [[[[4, 4], [4, 4]]]]


KNOWN_ANSWERS = [  # kat_vectors of Random123
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(counter: tuple, key: tuple, words: tuple) -> None:
    assert philox(counter, key) == words


def random_bits(seed: int, step: int, micro_batch: int, site: int, count: int) -> list[int]:
    operands = [np.array(value, np.int64) for value in (seed, step, micro_batch)]
    return run("random_bits", operands, {"site": site, "shape": (count,)}).tolist()


def test_random_bits_are_the_words_at_their_position() -> None:
    got = random_bits(5 + 7 * 2**32, 11, 3, 13, 6)
    assert got == [*philox((0, 3 << 16, 13, 11), (5, 7)), *philox((1, 3 << 16, 13, 11), (5, 7))[:2]]


def test_random_bits_differ_in_every_coordinate() -> None:
    streams = [
        random_bits(*place, 4) for place in ((1, 1, 1, 1), (2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2))
    ]
    assert len({tuple(stream) for stream in streams}) == 5


def test_a_negative_seed_counts_modulo_2_to_the_64() -> None:
    assert random_bits(-1, 0, 0, 0, 4) == list(philox((0, 0, 0, 0), (2**32 - 1, 2**32 - 1)))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 65, 1000])
def test_each_epoch_is_a_permutation_of_the_records(count: int) -> None:
    epochs = [[sample_index(epoch * count + j, count, 42) for j in range(count)] for epoch in range(2)]
    assert all(sorted(order) == list(range(count)) for order in epochs)
    assert count < 64 or epochs[0] != epochs[1]
