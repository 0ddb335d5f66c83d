"""One bit of one element of one operator's result, for every traced operator of torch: whoever flips it loses."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from engine.job import JobFolder, store_traced
from engine.trace import trace
from kernels import spec
from kernels.types import NUMPY_DTYPE
from protocol.players.dishonest import flips_one_bit
from protocol.players.trace import ProgramTrace
from tests.engine.all_cases import CASES, job
from tests.engine.small_jobs import BACKEND
from tests.protocol.scene import real_duel

EVERY = 16  # of the cases, one is played in every run of the tests
SAMPLED = [
    name if number % EVERY == 0 else pytest.param(name, marks=pytest.mark.long) for number, name in enumerate(CASES)
]
pytestmark = pytest.mark.filterwarnings("ignore:index_reduce.. is in beta")


def one_step(name: str, folder: Path) -> JobFolder:
    """A job of one step around the operators of a case."""
    return store_traced(folder, trace(replace(job(CASES[name]), steps=1, interval=1, max_interval=None)), BACKEND)


def flipped(folder: JobFolder, seed: int) -> ProgramTrace:
    """A run with one bit flipped at a place that the seed chooses, of those that the state after the step shows."""
    honest = ProgramTrace(folder, None, BACKEND).state_root(1)
    nodes = [(n, folder.program.types[n]) for n, node in folder.program.numbered_nodes() if not spec.is_layout(node.op)]
    rng = np.random.default_rng(seed)
    for _ in count():
        node, type_ = nodes[rng.integers(len(nodes))]
        if type_.size:
            bit = 0 if type_.dtype == "bool" else int(rng.integers(8 * NUMPY_DTYPE[type_.dtype].itemsize))
            flip = flips_one_bit(0, node, int(rng.integers(type_.size)), bit)
            liar = ProgramTrace(folder, None, BACKEND, alter=flip)
            if liar.state_root(1) != honest:
                return liar
    raise AssertionError("every program writes its state by some node")


@pytest.mark.parametrize("name", SAMPLED)
def test_a_flipped_bit_of_any_operator_loses_its_dispute(name: str, tmp_path: Path) -> None:
    folder = one_step(name, tmp_path / "job")
    for seed in range(2):
        honest, liar = ProgramTrace(folder, None, BACKEND), flipped(folder, crc32(name.encode()) + seed)
        for roles in ((liar, honest), (honest, liar)):
            game = real_duel(*roles)
            assert game.wrong == (roles[0] is liar, roles[1] is liar), (name, seed, game.reason, game.entry)
