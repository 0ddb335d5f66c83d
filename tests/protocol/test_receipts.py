"""The coordinator signs what it takes: a client holds it to its word, and two words for one thing convict it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocol.game.messages import Deposit, Withdraw
from protocol.identity import Identity, Signed
from protocol.players.client import Client
from protocol.service.coordinator import Coordinator
from protocol.service.receipts import Receipt, check_receipt, content_hash, is_equivocation, is_signed, receipt_data
from tests.protocol.toy import DOMAIN, OPERATOR, SUBMITTER, toy_params

KEY = Identity.of_key(bytes([7] * 32))
PARAMS = replace(toy_params(), coordinator=KEY.address)


def service(path: str | Path = "sqlite://") -> Coordinator:
    return Coordinator(path, PARAMS, KEY)


def first_lines(coordinator: Coordinator, amount: int = 5) -> list[Receipt]:
    bank, client = Client(OPERATOR, coordinator), Client(SUBMITTER, coordinator)
    return [bank.send(Deposit(SUBMITTER.address, 100)), client.send(Withdraw(amount))]


def test_every_receipt_is_signed_and_of_the_message() -> None:
    coordinator = service()
    receipts = first_lines(coordinator)
    assert [receipt.sequence for receipt in receipts] == [0, 1]
    assert all(is_signed(receipt, DOMAIN, KEY.address) for receipt in receipts)
    assert all(len(receipt.signature) == 65 for receipt in receipts)


def test_a_restarted_coordinator_gives_the_same_receipt(tmp_path: Path) -> None:
    coordinator = service(tmp_path / "log.sqlite")
    client = Client(OPERATOR, coordinator)
    receipt = client.send(Deposit(SUBMITTER.address, 100))
    coordinator.close()
    assert service(tmp_path / "log.sqlite").submit(client.sent[0]) == receipt


@pytest.mark.parametrize(
    "change",
    [{"sequence": 2}, {"id": bytes(32)}, {"content": bytes(32)}, {"now": 1}, {"chain": bytes(32)}, {"signature": b""}],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_receipt_is_not_the_coordinators(change: dict[str, Any]) -> None:
    receipt = first_lines(service())[1]
    assert not is_signed(replace(receipt, **change), DOMAIN, KEY.address)
    assert not is_signed(receipt, "another service", KEY.address)
    assert not is_signed(receipt, DOMAIN, OPERATOR.address)


class Forgetful(Coordinator):
    """Answers everything with the receipt of the first message."""

    def submit(self, signed: Signed) -> Receipt:
        receipt = super().submit(signed)
        self.first = getattr(self, "first", receipt)
        return self.first


class Unsigning(Coordinator):
    """Takes messages and signs nothing."""

    def _signed(self, receipt: Receipt) -> Receipt:
        return receipt


@pytest.mark.parametrize(("kind", "error"), [(Forgetful, "want one of"), (Unsigning, "is not signed by")])
def test_a_client_takes_no_other_receipt(kind: type[Coordinator], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        first_lines(kind("sqlite://", PARAMS, KEY))


def test_two_receipts_for_one_line_of_the_log_are_proof() -> None:
    """The coordinator shows two clients two logs: whoever compares the receipts can show it to anyone."""
    honest, rewritten = first_lines(service())[1], first_lines(service(), amount=6)[1]
    assert honest.sequence == rewritten.sequence and honest.content != rewritten.content
    assert is_equivocation(honest, rewritten, DOMAIN, KEY.address)
    assert is_equivocation(rewritten, honest, DOMAIN, KEY.address)


def test_two_lines_for_one_message_are_proof() -> None:
    """A log without the line before: the same message stands elsewhere."""
    one, client = service(), Client(OPERATOR, service())
    Client(SUBMITTER, one).coordinator.advance(5)
    bank = Client(OPERATOR, one)
    first = bank.send(Deposit(SUBMITTER.address, 100))
    second = client.coordinator.submit(bank.sent[0])
    assert (first.id, first.content) == (second.id, second.content) and first.now != second.now
    assert is_equivocation(first, second, DOMAIN, KEY.address)


def test_nothing_else_is_proof() -> None:
    """The same receipt twice, two lines of one log, and anything that the coordinator did not sign."""
    first, second = first_lines(service())
    assert not is_equivocation(first, first, DOMAIN, KEY.address)
    assert not is_equivocation(first, second, DOMAIN, KEY.address)
    forged = replace(second, content=bytes(32))
    assert not is_equivocation(second, forged, DOMAIN, KEY.address)
    other_key = replace(forged, signature=OPERATOR.sign_data(receipt_data(forged, DOMAIN)))
    assert not is_equivocation(second, other_key, DOMAIN, KEY.address)


def test_a_coordinator_has_the_key_that_its_params_name() -> None:
    for params, key in ((PARAMS, None), (PARAMS, OPERATOR), (toy_params(), KEY)):
        with pytest.raises(ValueError, match="coordinator: got the key"):
            Coordinator("sqlite://", params, key)


def test_a_receipt_is_checked_against_its_message() -> None:
    coordinator = service()
    client = Client(OPERATOR, coordinator)
    receipt = client.send(Deposit(SUBMITTER.address, 100))
    message = client.sent[0].message
    assert receipt.content == content_hash(message)
    check_receipt(receipt, message, DOMAIN, KEY.address)
    with pytest.raises(ValueError, match="want one of"):
        check_receipt(receipt, replace(message, deadline=message.deadline + 1), DOMAIN, KEY.address)
