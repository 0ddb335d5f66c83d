"""Every cheat in the training itself, committed on a real job, ends at the kind of leaf that it is about (group N)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.job import JobFolder
from protocol.game.types import ELEMENT, NODE, Game
from protocol.players.trace import ProgramTrace
from tests.engine.small_jobs import BACKEND, BACKENDS, small_job
from tests.protocol.scene import real_duel

Array = np.ndarray
Inputs = dict[str, Array]
STEP = 5


@pytest.fixture(scope="module", params=[1, 4], ids=lambda interval: f"interval {interval}")
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    return small_job(tmp_path_factory.mktemp("job") / "job", interval=request.param)


class OtherInputs:
    """A job folder that gives other inputs in one step."""

    def __init__(self, folder: JobFolder, change: Callable[[Inputs], Inputs]) -> None:
        self._folder, self._change = folder, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._folder, name)

    def step_inputs(self, state: Inputs) -> Inputs:
        values = self._folder.step_inputs(state)
        return self._change(values) if int(state["step"]) == STEP else values


def with_inputs(job: JobFolder, change: Callable[[Inputs], Inputs]) -> ProgramTrace:
    """A run in which one step reads something else; everything after is computed from it."""
    trace = ProgramTrace(job, None, BACKEND, alter=lambda step, node, result: None)
    trace.folder = OtherInputs(job, change)  # type: ignore[assignment]
    return trace


def with_results(job: JobFolder, op: str, change: Callable[[Array], Array], which: int = -1) -> ProgramTrace:
    """A run in which one node of an operator gives something else in one step."""
    nodes = [number for number, node in job.program.numbered_nodes() if node.op == op]

    def alter(step: int, node: int, result: Array) -> None:
        if (step, node) == (STEP, nodes[which]):
            result[...] = change(result.copy())

    return ProgramTrace(job, None, BACKEND, alter=alter)


class Skips(ProgramTrace):
    """Does nothing in one step, and says that it did (N4)."""

    def _step(self, step: int, state: Inputs, watch: Any) -> Inputs:
        after = super()._step(step, state, watch)
        return {**state, "step": after["step"]} if step == STEP else after


class Spoofs(ProgramTrace):
    """Puts in weights from elsewhere after one step (N10)."""

    def _step(self, step: int, state: Inputs, watch: Any) -> Inputs:
        after = super()._step(step, state, watch)
        return {**after, "weight": np.full_like(after["weight"], 0.5)} if step == STEP else after


def no_alter(step: int, node: int, result: Array) -> None:
    """A liar by other means; marks the trace as one."""


def where(trace: ProgramTrace, game: Game) -> str:
    """The kind of place at which a game ended."""
    entry = trace.law.table[game.entry]
    name = trace.law.node(game.entry).op if entry.kind == "node" else entry.kind
    return f"{name} term" if game.level == ELEMENT else name


def ends_at(job: JobFolder, liar: ProgramTrace, *kinds: str) -> Game:
    """The honest side wins in both roles, at a place of one of these kinds."""
    honest = ProgramTrace(job, None, BACKEND)
    for roles in ((liar, honest), (honest, liar)):
        game = real_duel(*roles)
        assert game.wrong == (roles[0] is liar, roles[1] is liar), (game.reason, where(honest, game))
        assert (game.step, where(honest, game)) in [(STEP, kind) for kind in kinds], where(honest, game)
    return game


def test_another_random_stream_ends_at_a_random_word(job: JobFolder) -> None:
    """N1"""
    ends_at(job, with_inputs(job, lambda values: {**values, "seed": values["seed"] + 1}), "random_bits")


@pytest.mark.parametrize("how", [np.zeros_like, lambda ids: ids[::-1].copy(), lambda ids: np.roll(ids, 1)])
def test_another_batch_ends_at_a_loaded_record(job: JobFolder, how: Callable[[Array], Array]) -> None:
    """N2: repeated, in another order, shifted."""
    ends_at(job, with_inputs(job, lambda values: {**values, "ids": how(values["ids"])}), "batch")


def test_another_learning_rate_ends_at_an_optimizer_element(job: JobFolder) -> None:
    """N3"""
    game = ends_at(job, with_inputs(job, lambda values: {**values, "rate": values["rate"] * np.float32(2)}), "mul")
    assert game.level == NODE


def test_a_step_left_out_ends_at_a_slot_of_the_state(job: JobFolder) -> None:
    """N4"""
    ends_at(job, Skips(job, None, BACKEND, alter=no_alter), "state")


def test_weights_put_in_end_at_a_slot_of_the_state(job: JobFolder) -> None:
    """N10, N8: the first step after the jump."""
    ends_at(job, Spoofs(job, None, BACKEND, alter=no_alter), "state")


@pytest.mark.parametrize("bit", [0, 1, 22, 23, 30, 31])
def test_one_bit_of_an_update_ends_at_its_element(job: JobFolder, bit: int) -> None:
    """N5, N6: one unit in the last place, an exponent, a sign."""

    def flip(result: Array) -> Array:
        result.reshape(-1).view(np.uint32)[1] ^= np.uint32(1 << bit)
        return result

    ends_at(job, with_results(job, "sub", flip), "sub")


def test_another_nan_or_a_flushed_number_ends_at_its_element(job: JobFolder) -> None:
    """N6: a NaN of another pattern where a number stands, zero where a small number stands."""
    for bits in (0x7FC00001, 0xFFC00000, 0x00000000, 0x80000000):

        def put(result: Array, bits: int = bits) -> Array:
            result.reshape(-1).view(np.uint32)[0] = bits
            return result

        ends_at(job, with_results(job, "sub", put), "sub")


@pytest.mark.parametrize("which", [0, -1])
def test_a_product_in_low_precision_ends_at_a_term(job: JobFolder, which: int) -> None:
    """N7: results cut to eleven bits, as TF32 operands would leave them; the liar bends a term so that they add up."""

    def cut(result: Array) -> Array:
        return (result.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)

    ends_at(job, with_results(job, "matmul", cut, which), "matmul term", "matmul")


def test_a_gradient_of_part_of_the_batch_ends_in_the_sum(job: JobFolder) -> None:
    """N9: what the scatter adds is scaled up."""
    ends_at(job, with_results(job, "add_rows", lambda result: result * np.float32(1.5)), "add_rows term", "add_rows")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_honest_runs_on_any_machine_are_never_disputed(job: JobFolder, backend: str, threads: int) -> None:
    """N15"""
    one, other = ProgramTrace(job, None, BACKEND), ProgramTrace(job, None, backend, threads)
    with pytest.raises(ValueError, match="not enough values"):
        real_duel(one, other)
