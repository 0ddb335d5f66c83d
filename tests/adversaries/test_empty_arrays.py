"""Arrays without elements have a root and may fault like others: no liar gains by a place where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.canonical import to_canonical
from engine.job import JobFolder
from engine.merkle import EMPTY_ROOT, root_of
from engine.program import Program
from protocol.game.types import Game
from protocol.law import law_of
from protocol.players.trace import ProgramTrace
from protocol.referee.judge import FAULT_ROOT
from protocol.simulation.toy import digest
from tests.engine.small_jobs import BACKEND, Builder, small_job
from tests.protocol.scene import real_duel

FAR = 2**40


def program(fault: str) -> Program:
    """A step of which some values have no element; `fault` names the operator among them that has no value."""
    build = Builder()
    counter = build.input("counter", "state", "int64")
    table = build.input("table", "state", "float32", 3, 0)
    ids = build.input("ids", "batch", "int64", 2)
    step, seed = build.input("step", "step", "int64"), build.input("seed", "seed", "int64")
    far = build.constant([FAR, 0], "int64")
    taken = build.node("take_rows", table, far if fault == "take_rows" else ids)
    build.node("add_rows", table, far if fault == "add_rows" else ids, taken)
    late = build.node("add", step, build.constant(FAR if fault == "random_bits" else 0, "int64"))
    build.node("random_bits", seed, late, build.constant(0, "int64"), site=3, shape=(2, 0))
    build.output("counter", "state", build.node("add", counter, build.constant(1, "int64")))
    build.output("table", "state", build.node("exp", table))
    return build.program()


def job_of(folder: Path, fault: str = "") -> JobFolder:
    return small_job(
        folder,
        program=program(fault),
        start_state={"counter": np.array(5), "table": np.zeros((3, 0), np.float32)},
        data_fields={"ids": np.arange(6).reshape(6) % 3},
        schedule={},
        steps=2,
        batch_size=2,
        interval=1,
    )


class ClaimsARoot(ProgramTrace):
    """Where the law gives no value, it commits to any root, and goes on from there."""

    def state_root(self, step: int) -> bytes:
        return _some(super().state_root(step), b"state", step)

    def entry_roots(self, step: int) -> tuple[bytes, ...]:
        found = super().entry_roots(step)
        roots = [_some(root, b"entry", number) for number, root in enumerate(found[:-1])]
        return (*roots, self.state_root(step + 1))


def _some(root: bytes, what: bytes, number: int) -> bytes:
    return digest(what, number) if root == FAULT_ROOT else root


class BendsARoot(ProgramTrace):
    """Commits to another root of one entry of step 0, and to another state after it."""

    def __init__(self, job: JobFolder, entry: int, root: bytes) -> None:
        super().__init__(job, None, BACKEND)
        self.bent = entry, root

    def state_root(self, step: int) -> bytes:
        return super().state_root(step) if step == 0 else digest(b"after", step)

    def entry_roots(self, step: int) -> tuple[bytes, ...]:
        roots, (entry, root) = super().entry_roots(step), self.bent
        return (*roots[:entry], root, *roots[entry + 1 : -1], self.state_root(step + 1))


def named(liar: ProgramTrace, honest: ProgramTrace) -> list[Game]:
    """The games in which the liar solves and objects; it is the only one proven wrong in both."""
    games = [real_duel(liar, honest), real_duel(honest, liar)]
    assert [game.wrong for game in games] == [(True, False), (False, True)], [game.reason for game in games]
    return games


@pytest.mark.parametrize("root", [digest(b"any"), FAULT_ROOT], ids=["any root", "no value"])
def test_another_root_of_an_array_without_elements_loses(tmp_path: Path, root: bytes) -> None:
    job = job_of(tmp_path / "job")
    honest = ProgramTrace(job, None, BACKEND)
    empty = [entry for entry, found in enumerate(honest.entry_roots(0)) if found == EMPTY_ROOT]
    assert len(empty) == 4
    for entry in empty:
        for game in named(BendsARoot(job, entry, root), honest):
            assert (game.step, game.entry) == (0, entry)


@pytest.mark.parametrize("op", ["take_rows", "add_rows", "random_bits"])
def test_a_fault_that_no_element_shows_is_proven(tmp_path: Path, op: str) -> None:
    """An index out of range whose row has no element, a step that is too large where no word is drawn."""
    job = job_of(tmp_path / "job", op)
    honest = ProgramTrace(job, None, BACKEND)
    assert honest.state_root(1) == FAULT_ROOT
    for game in named(ClaimsARoot(job, None, BACKEND), honest):
        assert honest.law.node(game.entry).op == op and game.reason != "silence"


def test_a_data_set_without_records_is_refused(tmp_path: Path) -> None:
    """No position has a record then, and the referee could not say which one a batch holds."""
    trace = ProgramTrace(job_of(tmp_path / "job"), None, BACKEND)
    fields = tuple(trace.law.fields.values())
    none = [replace(field, shape=(0, *field.shape[1:]), root=EMPTY_ROOT) for field in fields]
    job = replace(trace.folder.job, records=0, data=root_of([field.hash for field in none]))
    with pytest.raises(ValueError, match="no field that loads as batch input 'ids'"):
        law_of(job.to_bytes(), trace.program_bytes, to_canonical([field.to_list() for field in none]))
