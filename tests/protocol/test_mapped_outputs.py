"""A wrong row of a job that maps is found and paid for like a wrong weight of one that trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.job import JobFolder, store_traced
from engine.trace import trace_job
from engine.train import train
from protocol.play import local_dispute
from protocol.players.dishonest import flips_one_bit, node_of_weight, train_altered
from tests.engine.small_jobs import BACKEND
from tests.engine.test_outputs import mapping_job


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    return store_traced(tmp_path_factory.mktemp("mapping") / "job", trace_job(mapping_job()), BACKEND)


@pytest.mark.parametrize("name", ["output.logits", "output.class"])
@pytest.mark.parametrize("step", [0, 5])
def test_a_flipped_bit_of_a_row_is_found_and_slashed(job: JobFolder, tmp_path: Path, name: str, step: int) -> None:
    node = node_of_weight(job.program, name)
    flip = flips_one_bit(step, node)
    train(job, tmp_path / "honest", BACKEND)
    train_altered(job, tmp_path / "wrong", flip, BACKEND, checkpoint_every=1)
    transcript = local_dispute(job, tmp_path / "wrong", tmp_path / "honest", backend=BACKEND, alter_a=flip)
    (game,) = transcript.games
    assert game.wrong == ("solver",) and game.referee.startswith(f"node %{node} = ")
    assert f"step {step}" in [level.name for level in game.levels]
