"""Seeded jobs with every kind of liar on a bad network: no promise is broken, and a seed is the same game again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from protocol.cli import main
from protocol.simulation import play as simulation
from protocol.simulation.play import Broken, Table, play_seed
from protocol.simulation.run import Totals, read_totals, simulate
from protocol.simulation.scenario import scenario_of
from protocol.simulation.tactics import TACTICS

SAMPLE, LONG = 1000, 20_000


def test_a_thousand_jobs_keep_every_promise() -> None:
    totals = simulate(10**6, SAMPLE)
    assert totals.broken == {} and totals.seeds == SAMPLE
    assert set(totals.outcomes) >= {"done", "refuted"} and totals.games > SAMPLE and totals.lost > SAMPLE
    assert totals.attestations > SAMPLE // 2 and totals.accusations > SAMPLE // 10


@pytest.mark.long
def test_many_thousand_jobs_keep_every_promise() -> None:
    assert simulate(2 * 10**6, LONG).broken == {}


def test_a_seed_is_the_same_game_again() -> None:
    for seed in range(20):
        assert play_seed(seed) == play_seed(seed)


def test_every_kind_of_party_and_tactic_is_drawn() -> None:
    scenarios = [scenario_of(seed) for seed in range(400)]
    actors = [actor for scenario in scenarios for actor in scenario.verifiers]
    kinds = Counter(actor.kind for actor in actors)
    assert set(kinds) == {"honest", "liar", "frenemy", "freeloader", "accomplice", "dropout"}
    assert min(kinds.values()) > 20
    assert {scenario.solver.kind for scenario in scenarios} == {"honest", "liar", "frenemy", "miscounter"}
    assert {(scenario.terms.attesters > 0, scenario.draws) for scenario in scenarios} >= {(True, True), (True, False)}
    assert {actor.tactic for actor in actors} >= set(TACTICS)
    assert max(len(scenario.verifiers) for scenario in scenarios) > 12
    for scenario in scenarios:
        honest = [actor for actor in scenario.verifiers if actor.honest]
        assert honest or scenario.solver.honest


def test_a_broken_promise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An honest verifier that never answers loses: the simulation says so, with the seed."""
    monkeypatch.setattr(simulation.Verifier, "answer_games", lambda self: [])
    totals = simulate(0, 60)
    assert totals.broken and all("is not named wrong" in what for what in totals.broken.values())
    seed = int(next(iter(totals.broken)))
    with pytest.raises(Broken):
        Table(scenario_of(seed)).play()


def test_runs_add_up_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    assert main(["simulate", "--seed", "5", "--games", "6", "--json", str(file)]) == 0
    assert main(["simulate", "--seed", "0", "--games", "8", "--json", str(file)]) == 0
    whole = Totals()
    for seed in range(11):
        whole.add(play_seed(seed))
    assert read_totals(file) == whole and whole.ranges == [(0, 11)]
    assert "every promise was kept" in capsys.readouterr().out
    file.write_text(json.dumps({"format": "other"}))
    assert main(["simulate", "--games", "1", "--json", str(file)]) == 2
