"""Rules of money: amounts, accounts, reservations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.game import ledger
from protocol.game.ledger import OUTSIDE, Ledger
from protocol.game.messages import Deposit, Withdraw
from protocol.game.rules import Rule
from tests.protocol.rules.playing import posted, refuses
from tests.protocol.scene import FUNDS, Scene
from tests.protocol.toy import SUBMITTER, TERMS


def test_refuses_operator_only(scene: Scene) -> None:
    refuses(Rule.OPERATOR_ONLY, lambda: scene.send(SUBMITTER, Deposit(SUBMITTER.address, 5)), scene)


def test_refuses_amount(scene: Scene) -> None:
    refuses(Rule.AMOUNT, lambda: scene.send(SUBMITTER, Withdraw(0)), scene)
    books = ledger.opened(100)
    for amount in (0, -1, 2**63, True):
        refuses(Rule.AMOUNT, lambda amount=amount: ledger.transfer(books, OUTSIDE, "a", amount, ""))
        refuses(Rule.AMOUNT, lambda amount=amount: ledger.reserve(books, "key", OUTSIDE, amount))


def test_refuses_funds(scene: Scene) -> None:
    refuses(Rule.FUNDS, lambda: scene.send(SUBMITTER, Withdraw(FUNDS + 1)), scene)
    posted(scene)
    refuses(Rule.FUNDS, lambda: scene.send(SUBMITTER, Withdraw(FUNDS - TERMS.price + 1)), scene)
    scene.send(SUBMITTER, Withdraw(FUNDS - TERMS.price))
    refuses(Rule.FUNDS, lambda: posted(scene), scene)


def test_refuses_same_account() -> None:
    refuses(Rule.SAME_ACCOUNT, lambda: ledger.transfer(ledger.opened(100), OUTSIDE, OUTSIDE, 1, ""))


def test_refuses_reserve_new() -> None:
    books = ledger.reserve(ledger.opened(100), "key", OUTSIDE, 5)
    refuses(Rule.RESERVE_NEW, lambda: ledger.reserve(books, "key", OUTSIDE, 5))
    refuses(Rule.RESERVE_NEW, lambda: ledger.reserve(ledger.close(books, "key"), "key", OUTSIDE, 5))


@pytest.mark.parametrize("end", [ledger.close, lambda books, key: ledger.slash(books, key, "winner")])
def test_refuses_reserve_open(end: Callable[[Ledger, str], Ledger]) -> None:
    books = ledger.reserve(ledger.opened(100), "key", OUTSIDE, 5)
    for again in (
        lambda: ledger.close(end(books, "key"), "key"),
        lambda: ledger.slash(end(books, "key"), "key", None),
        lambda: ledger.pay(end(books, "key"), "key", "a", 0, ""),
        lambda: ledger.close(books, "other"),
    ):
        refuses(Rule.RESERVE_OPEN, again)


def test_refuses_reserve_covers() -> None:
    books = ledger.reserve(ledger.opened(100), "key", OUTSIDE, 5)
    refuses(Rule.RESERVE_COVERS, lambda: ledger.pay(books, "key", "a", 6, ""))
    refuses(Rule.RESERVE_COVERS, lambda: ledger.pay(books, "key", "a", -1, ""))
