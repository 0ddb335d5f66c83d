"""Disputes about drawn programs: a lie at any entry, of any bits, ends there with the liar named, in both roles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.job import JobFolder
from protocol.players.trace import ProgramTrace, Take
from protocol.referee.judge import FAULT_ROOT
from tests.adversaries.drawn_jobs import STEPS, drawn_job
from tests.engine.small_jobs import BACKEND
from tests.protocol.scene import real_duel
from tests.protocol.toy import TERMS

PROGRAMS, LONG, LIES = 10, 300, 3
# NaNs of two patterns, -0, the least subnormal, an infinity.
SPECIAL = (0x7FC00000, 0x7FC00001, 0xFFFFFFFF, 0x80000000, 1, 0x7F800000)
Array = np.ndarray


class Lies(ProgramTrace):
    """Commits to other bits of one entry of one step, and to other weights from there on."""

    def __init__(self, job: JobFolder, step: int, entry: int, draw: np.random.Generator) -> None:
        super().__init__(job, None, BACKEND, alter=lambda step, node, result: None)
        item = self.law.table[entry]
        self.entry, self.place, self.draw = entry, (step, (item.kind, item.number, item.operand)), draw
        self.root = draw.bytes(32) if item.type is not None and item.type.size == 0 else None
        self.bent: dict[object, tuple[int, bytes]] = {}

    def _bend(self, array: Array, which: object) -> Array:
        """The array with one element replaced, the same one by the same bits whenever it is asked for."""
        changed = np.array(array, order="C").reshape(array.shape)
        if changed.size:
            flat = changed.reshape(-1).view(np.uint8).reshape(changed.size, array.itemsize)
            if which not in self.bent:
                at = int(self.draw.integers(changed.size))
                self.bent[which] = at, self._other(flat[at].tobytes())
            at, bits = self.bent[which]
            flat[at] = np.frombuffer(bits, np.uint8)
        return changed

    def _other(self, bits: bytes) -> bytes:
        drawn = bits
        while drawn == bits:
            size, kind = len(bits), self.draw.integers(4)
            flipped = int.from_bytes(bits, "little") ^ 1 << int(self.draw.integers(8 * size))
            special = int(self.draw.choice(SPECIAL)) % 2 ** (8 * size)
            drawn = [
                flipped.to_bytes(size, "little"),
                self.draw.bytes(size),
                special.to_bytes(size, "little"),
                bytes(size),
            ][kind]
        return drawn

    def _step(self, step: int, state: dict[str, Array], watch: object) -> dict[str, Array]:
        after = super()._step(step, state, watch)
        return {**after, "w": self._bend(after["w"], step)} if step >= self.place[0] else after

    def _traced(self, step: int, take: Take) -> dict[str, Array] | None:
        def bend(key: tuple[str, int, int], array: Array) -> None:
            take(key, self._bend(array, "entry") if (step, key) == self.place else array)

        return super()._traced(step, bend)

    def entry_roots(self, step: int) -> tuple[bytes, ...]:
        roots = super().entry_roots(step)
        if step != self.place[0] or self.root is None or roots[self.entry] == FAULT_ROOT:
            return roots
        return (*roots[: self.entry], self.root, *roots[self.entry + 1 :])


def disputed(folder: Path, seed: int) -> int:
    """Play lies about a drawn program; the number of games."""
    draw, job = np.random.default_rng(seed), drawn_job(folder, seed)
    honest, games = ProgramTrace(job, None, BACKEND), 0
    sound = [step for step in range(STEPS) if honest.state_root(step + 1) != FAULT_ROOT]
    for _ in range(LIES if sound else 0):
        step, entry = int(draw.choice(sound)), int(draw.integers(honest.law.entries))
        terms, lies = replace(TERMS, arity=int(draw.choice([2, 4, 8, 16, 32]))), int(draw.integers(2**31))
        for liar in (0, 1):
            wrong = Lies(job, step, entry, np.random.default_rng(lies))
            if wrong.state_root(job.job.interval) == honest.state_root(job.job.interval):
                continue  # what follows happened to be the truth again
            game = real_duel(*((wrong, honest) if liar == 0 else (honest, wrong)), terms=terms)
            assert game.wrong == (liar == 0, liar == 1), (seed, liar, step, entry, honest.law.name(entry), game.reason)
            assert game.step == step and game.entry <= entry
            games += 1
    return games


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_lie_about_a_drawn_program_ends_with_the_liar_named(tmp_path: Path, seed: int) -> None:
    disputed(tmp_path / "job", seed)


@pytest.mark.long
def test_lies_about_many_drawn_programs(tmp_path: Path) -> None:
    assert sum(disputed(tmp_path / str(seed), seed) for seed in range(1000, 1000 + LONG)) > LONG
