"""Money: accounts, transfers between two accounts, and reservations that are resolved once. Nothing is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from protocol.game.rules import Rule, require

OUTSIDE, TREASURY = "outside", "treasury"
MAX_AMOUNT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Transfer:
    """One line of the journal: both sides of it in one row, so the books always balance."""

    debit: str
    credit: str
    amount: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money taken out of an account for one purpose; it ends in payments and the return of the rest."""

    owner: str
    amount: int
    open: bool = True


@dataclass(frozen=True)
class Ledger:
    """Balances and reservations. journal: the transfers made by the last message only; the database keeps them all."""

    balances: Mapping[str, int] = field(default_factory=dict)
    reserved: Mapping[str, Reservation] = field(default_factory=dict)
    journal: tuple[Transfer, ...] = ()

    @property
    def total(self) -> int:
        """All the money there is; constant."""
        return sum(self.balances.values()) + sum(item.amount for item in self.reserved.values())

    def balance(self, account: str) -> int:
        """What an account may spend."""
        return self.balances.get(account, 0)

    def locked(self, account: str) -> int:
        """What an account has in open reservations."""
        return sum(item.amount for item in self.reserved.values() if item.owner == account)


def opened(supply: int) -> Ledger:
    """A ledger in which all money is outside."""
    return Ledger({OUTSIDE: supply})


def transfer(ledger: Ledger, debit: str, credit: str, amount: int, purpose: str) -> Ledger:
    """Move money between two accounts."""
    require(type(amount) is int and 1 <= amount <= MAX_AMOUNT, Rule.AMOUNT)
    require(debit != credit, Rule.SAME_ACCOUNT)
    require(ledger.balance(debit) >= amount, Rule.FUNDS)
    balances = {**ledger.balances, debit: ledger.balance(debit) - amount}
    balances[credit] = balances.get(credit, 0) + amount
    return replace(ledger, balances=balances, journal=(*ledger.journal, Transfer(debit, credit, amount, purpose)))


def reserve(ledger: Ledger, key: str, owner: str, amount: int) -> Ledger:
    """Take money out of an account until the reservation is resolved."""
    require(type(amount) is int and 1 <= amount <= MAX_AMOUNT, Rule.AMOUNT)
    require(key not in ledger.reserved, Rule.RESERVE_NEW)
    require(ledger.balance(owner) >= amount, Rule.FUNDS)
    return replace(
        ledger,
        balances={**ledger.balances, owner: ledger.balance(owner) - amount},
        reserved={**ledger.reserved, key: Reservation(owner, amount)},
        journal=(*ledger.journal, Transfer(owner, key, amount, "reserve")),
    )


def pay(ledger: Ledger, key: str, credit: str, amount: int, purpose: str) -> Ledger:
    """Pay from an open reservation; paying nothing changes nothing."""
    require(key in ledger.reserved and ledger.reserved[key].open, Rule.RESERVE_OPEN)
    held = ledger.reserved[key]
    require(0 <= amount <= held.amount, Rule.RESERVE_COVERS)
    if amount == 0:
        return ledger
    return replace(
        ledger,
        balances={**ledger.balances, credit: ledger.balance(credit) + amount},
        reserved={**ledger.reserved, key: replace(held, amount=held.amount - amount)},
        journal=(*ledger.journal, Transfer(key, credit, amount, purpose)),
    )


def close(ledger: Ledger, key: str, purpose: str = "release") -> Ledger:
    """Return what is left of a reservation to its owner, and end it."""
    require(key in ledger.reserved and ledger.reserved[key].open, Rule.RESERVE_OPEN)
    held = ledger.reserved[key]
    ledger = pay(ledger, key, held.owner, held.amount, purpose)
    return replace(ledger, reserved={**ledger.reserved, key: replace(ledger.reserved[key], open=False)})


def slash(ledger: Ledger, key: str, winner: str | None) -> Ledger:
    """End a reservation against its owner: half, rounded down, to the winner, the rest to the treasury."""
    return slash_among(ledger, key, () if winner is None else (winner,))


def slash_among(ledger: Ledger, key: str, winners: tuple[str, ...]) -> Ledger:
    """End a reservation against its owner: half in equal parts to the winners, the rest to the treasury."""
    require(key in ledger.reserved and ledger.reserved[key].open, Rule.RESERVE_OPEN)
    half = ledger.reserved[key].amount // 2
    for winner in winners:
        ledger = pay(ledger, key, winner, half // len(winners), "slashed: to the winner")
    ledger = pay(ledger, key, TREASURY, ledger.reserved[key].amount, "slashed: to the treasury")
    return close(ledger, key)
