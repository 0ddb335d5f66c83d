"""The coordinator's log: once means once, a crash loses and doubles nothing, and the log alone gives the state."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from protocol.game.ledger import OUTSIDE
from protocol.game.messages import Deposit, Withdraw
from protocol.game.rules import Refused
from protocol.identity import Identity, signed_from_bytes
from protocol.service.coordinator import Coordinator
from protocol.service.database import Database
from tests.protocol.scene import FUNDS, PARTIES, Scene, duel
from tests.protocol.toy import OPERATOR, SOLVER, SUBMITTER, TERMS, VERIFIER, ToyLaw, ToyTrace, digest, toy_params

LAW = ToyLaw(4, 2, 5)
LIE = {(1, 2): digest(b"lie")}


def story(scene: Scene) -> None:
    """A dispute from the first deposit to the last payment, with a withdrawal."""
    duel(scene, ToyTrace(LAW, LIE), ToyTrace(LAW))
    scene.send(SUBMITTER, Withdraw(17))
    scene.after(5000)


def test_the_log_alone_gives_the_same_state(tmp_path: Path) -> None:
    scene = Scene(path=tmp_path / "log.sqlite")
    story(scene)
    want, now = scene.coordinator.state_hash(), scene.now
    scene.coordinator.close()
    again = Scene(path=tmp_path / "log.sqlite")
    again.coordinator.advance(now)
    assert again.coordinator.state_hash() == want
    assert again.coordinator.ledger.total == 10**9


def test_two_coordinators_with_one_log_have_one_hash() -> None:
    hashes = set()
    for _ in range(2):
        scene = Scene()
        story(scene)
        hashes.add(scene.coordinator.state_hash())
    assert len(hashes) == 1


def test_the_same_message_twice_has_the_effect_of_once(tmp_path: Path) -> None:
    scene = Scene(path=tmp_path / "log.sqlite")
    signed = scene.signed(SUBMITTER, Withdraw(5))
    first = scene.coordinator.submit(signed)
    assert scene.coordinator.submit(signed) == first
    scene.coordinator.close()
    again = Scene(path=tmp_path / "log.sqlite")
    assert again.coordinator.submit(signed) == first
    assert again.balance(SUBMITTER) == FUNDS - 5


def test_a_second_signature_of_a_message_is_not_a_second_message() -> None:
    scene = Scene(signing=True)
    signed = scene.signed(SUBMITTER, Withdraw(5))
    receipt = scene.coordinator.submit(signed)
    assert scene.coordinator.submit(signed_from_bytes(signed.to_bytes())) == receipt
    assert scene.balance(SUBMITTER) == FUNDS - 5


def test_a_refused_message_leaves_no_trace(tmp_path: Path) -> None:
    scene = Scene(path=tmp_path / "log.sqlite")
    before = list(scene.coordinator._database.records())
    with pytest.raises(Refused):
        scene.send(SUBMITTER, Withdraw(FUNDS + 1))
    assert list(scene.coordinator._database.records()) == before


def test_the_journal_adds_up_to_the_balances(tmp_path: Path) -> None:
    scene = Scene(path=tmp_path / "log.sqlite")
    story(scene)
    books: Counter[str] = Counter({OUTSIDE: 10**9})
    for line in scene.coordinator._database.journal():
        assert line.amount > 0 and line.debit != line.credit
        books[line.debit] -= line.amount
        books[line.credit] += line.amount
    stored = scene.coordinator._database.balances()
    assert stored == dict(scene.coordinator.ledger.balances)
    assert {name: amount for name, amount in books.items() if amount} == {k: v for k, v in stored.items() if v}


@pytest.mark.parametrize("table", ["log", "journal", "meta"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid"])
def test_nothing_written_is_changed(tmp_path: Path, table: str, change: str) -> None:
    scene = Scene(path=tmp_path / "log.sqlite")
    scene.coordinator.close()
    with (
        sqlite3.connect(tmp_path / "log.sqlite") as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(change.format(table))
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET now = now + 1 WHERE sequence = 2",
        "DELETE FROM log WHERE sequence = 2",
        "UPDATE log SET record = (SELECT record FROM log WHERE sequence = 1) WHERE sequence = 2",
        "UPDATE balances SET balance = balance + 1",
    ],
)
def test_an_altered_database_is_not_opened(tmp_path: Path, statement: str) -> None:
    scene = Scene(path=tmp_path / "log.sqlite")
    scene.coordinator.close()
    connection = sqlite3.connect(tmp_path / "log.sqlite")
    for table in ("log", "journal"):
        for action in ("update", "delete"):
            connection.execute(f"DROP TRIGGER {table}_no_{action}")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises((ValueError, Refused)):
        Scene(path=tmp_path / "log.sqlite")


def test_a_second_coordinator_on_one_database_is_refused(tmp_path: Path) -> None:
    scene = Scene(path=tmp_path / "log.sqlite")
    with pytest.raises(ValueError, match="is another coordinator using it"):
        Coordinator(tmp_path / "log.sqlite", toy_params())
    scene.send(SUBMITTER, Withdraw(5))


def test_a_database_of_other_params_is_refused(tmp_path: Path) -> None:
    Scene(path=tmp_path / "log.sqlite").coordinator.close()
    with pytest.raises(ValueError, match="was written with"):
        Coordinator(tmp_path / "log.sqlite", toy_params(supply=5))


def test_a_clock_that_steps_back_is_waited_for() -> None:
    scene = Scene()
    scene.coordinator.advance(1000)
    scene.coordinator.advance(10)
    assert scene.now == 1000


def test_quiet_time_is_not_logged() -> None:
    scene = Scene()
    before = len(list(scene.coordinator._database.records()))
    for _ in range(50):
        scene.after(10)
    assert len(list(scene.coordinator._database.records())) == before


# crashes


def killed_at(statement: int, act: Callable[[Path], None], path: Path) -> bool:
    """Run a scene in a child that is killed before its which-th SQL statement; whether it came so far."""
    child = os.fork()
    if child == 0:
        left = [statement]

        def count_down(*_: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        prepare = Database._prepare

        def counted(self: Database, params_hash: str) -> None:
            for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
                event.listen(self._engine, name, count_down)
            prepare(self, params_hash)

        Database._prepare = counted  # type: ignore[method-assign]
        try:
            act(path)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def small_story(path: Path) -> None:
    """Deposits, a job, a bid, claims, and time that decides; begun again, it goes on from wherever it stopped."""
    scene = Scene(path=path)
    coordinator = scene.coordinator
    messages = [
        (OPERATOR, Deposit(VERIFIER.address, 7)),
        (SUBMITTER, Withdraw(3)),
    ]
    for who, body in messages:
        if coordinator.state.next_move(who.address, bytes(32)) == (len(PARTIES) if who is OPERATOR else 0):
            scene.send(who, body)
    if not coordinator.state.jobs:
        scene.post(LAW)
    scene.play(scene.solver(ToyTrace(LAW)))
    scene.coordinator.advance(TERMS.bid_period_s * 10)
    scene.play(scene.solver(ToyTrace(LAW)))
    scene.coordinator.advance(TERMS.bid_period_s * 100)
    coordinator.close()


def outcome(path: Path) -> tuple[dict[str, int], list[str]]:
    scene = Scene(path=path)
    scene.coordinator.advance(10**6)
    assert scene.coordinator.ledger.total == 10**9
    assert scene.coordinator._database.balances() == dict(scene.coordinator.ledger.balances)
    statuses = [job.status.value for job in scene.state.jobs.values()]
    scene.coordinator.close()
    return dict(scene.coordinator.ledger.balances), statuses


def statements(tmp_path: Path) -> int:
    """The number of points at which the story can be killed."""
    high = 1
    while killed_at(high, small_story, tmp_path / f"count{high}.sqlite"):
        high *= 2
    return high


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.long)])
def test_killed_between_any_two_statements_it_goes_on_to_the_same_end(tmp_path: Path, every: int) -> None:
    small_story(tmp_path / "whole.sqlite")
    want = outcome(tmp_path / "whole.sqlite")
    assert want[1] == ["done"]
    points = statements(tmp_path)
    assert points > 100
    killed = 0
    for number in range(0, points, every):
        path = tmp_path / f"killed{number}.sqlite"
        killed += killed_at(number, small_story, path)
        small_story(path)  # the clients try again: what was not taken is sent once more
        assert outcome(path) == want, f"killed before statement {number}"
    assert killed * every > 100


# identity


def test_a_keystore_file_gives_the_key_back(tmp_path: Path) -> None:
    SOLVER.save(tmp_path / "key.json", "correct horse")
    assert Identity.load(tmp_path / "key.json", "correct horse").address == SOLVER.address
    assert (tmp_path / "key.json").stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError):
        Identity.load(tmp_path / "key.json", "wrong")
    with pytest.raises(FileExistsError):
        SOLVER.save(tmp_path / "key.json", "other")


def test_a_key_signs_for_itself_only() -> None:
    scene = Scene()
    message = scene.signed(SUBMITTER, Withdraw(5)).message
    with pytest.raises(ValueError, match="this key is"):
        SOLVER.sign(message, "isobit toy")
