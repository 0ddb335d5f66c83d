"""The coordinator: takes signed messages in order, applies the rules, keeps the log from which everything follows."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from engine.canonical import to_canonical
from protocol.game.ledger import Ledger
from protocol.game.messages import Message
from protocol.game.params import Params
from protocol.game.rules import Rule, require
from protocol.game.transition import advance, apply
from protocol.game.types import State, first_state, state_hash
from protocol.identity import Identity, Signed, require_signature, signed_from_bytes
from protocol.service.database import FIRST_CHAIN, Database, Record, next_chain
from protocol.service.receipts import Receipt, content_hash, receipt_data


class Coordinator:
    """One log and the state that follows from it. Time is told to it by `advance`; it reads no clock.

    identity: the key of `params.coordinator`, which signs receipts; none where params name no coordinator
    """

    def __init__(self, database: str | Path, params: Params, identity: Identity | None = None) -> None:
        address = "" if identity is None else identity.address
        if params.coordinator != address:
            raise ValueError(f"coordinator: got the key of {address!r}, want {params.coordinator!r}")
        self.params, self._identity = params, identity
        self._database = Database(database, _params_hash(params))
        self._receipts: dict[bytes, tuple[Receipt, bytes]] = {}
        self._state, self._sequence, self._chain = first_state(params), 0, FIRST_CHAIN
        try:
            self._replay()
        except BaseException:
            self._database.close()
            raise

    @property
    def state(self) -> State:
        """The public state, at the last line of the log or later."""
        return self._state

    @property
    def ledger(self) -> Ledger:
        return self._state.ledger

    @property
    def now(self) -> int:
        return self._state.now

    def balance(self, account: str) -> int:
        """What an account may spend."""
        return self.ledger.balance(account)

    def state_hash(self) -> bytes:
        """The hash of the whole state."""
        return state_hash(self._state)

    def advance(self, now: int) -> None:
        """Let time pass. A clock that stepped back is waited for; what falls due becomes a line of the log."""
        if now <= self.now:
            return
        before, after = self._state, advance(self._state, now, self.params)
        quiet = replace(after, now=before.now, ledger=replace(after.ledger, journal=()))
        if quiet != replace(before, ledger=replace(before.ledger, journal=())):
            self._append(None, b"", after, now)
        self._state = after

    def submit(self, signed: Signed) -> Receipt:
        """Take a message: its receipt, the same again for the same message; or Refused, and nothing changed."""
        record = signed.to_bytes()
        signed = signed_from_bytes(record)
        message = signed.message
        self.check_signature(signed)
        if message.id in self._receipts:
            receipt, content = self._receipts[message.id]
            require(content == message.to_bytes(), Rule.ID_REUSED)
            return self._signed(receipt)
        after = apply(self._state, message, self.now, self.params)
        receipt = self._append(message, record, after, self.now)
        self._state = after
        return self._signed(receipt)

    def _signed(self, receipt: Receipt) -> Receipt:
        """The receipt with the coordinator's signature, which follows from key and content: the same again."""
        if self._identity is None:
            return receipt
        return replace(receipt, signature=self._identity.sign_data(receipt_data(receipt, self.params.domain)))

    def check_signature(self, signed: Signed) -> None:
        """Refuse a message that its sender did not sign."""
        require_signature(signed, self.params.domain)

    def _append(self, message: Message | None, record: bytes, after: State, now: int) -> Receipt:
        chain = next_chain(self._chain, self._sequence, now, record)
        key = message.id if message is not None else None
        line = Record(self._sequence, now, key, record, chain)
        self._database.append(line, after.ledger.journal, _changed(self.ledger, after.ledger))
        return self._taken(line, message)

    def _taken(self, line: Record, message: Message | None) -> Receipt:
        self._sequence, self._chain = line.sequence + 1, line.chain
        content = b"" if message is None else content_hash(message)
        receipt = Receipt(line.sequence, line.id or b"", content, line.now, line.chain)
        if message is not None:
            self._receipts[message.id] = receipt, message.to_bytes()
        return receipt

    def _replay(self) -> None:
        """The state from the log alone; a ValueError where log, chain and balances disagree."""
        for line in self._database.records():
            chain = next_chain(self._chain, self._sequence, line.now, line.record)
            if (line.sequence, line.chain) != (self._sequence, chain):
                raise ValueError(f"coordinator: line {line.sequence} of the log was altered")
            message = signed_from_bytes(line.record).message if line.record else None
            self._state = advance(self._state, line.now, self.params)
            if message is not None:
                self._state = apply(self._state, message, line.now, self.params)
            self._taken(line, message)
        stored = self._database.balances()
        if stored and stored != dict(self.ledger.balances):
            raise ValueError("coordinator: the stored balances are not those of the log")

    def close(self) -> None:
        """Release the database."""
        self._database.close()


def _changed(before: Ledger, after: Ledger) -> dict[str, int]:
    balances = after.balances.items()
    return {account: balance for account, balance in balances if before.balances.get(account) != balance}


def _params_hash(params: Params) -> str:
    limits = [params.domain, params.operator, params.supply]
    return hashlib.sha256(to_canonical(limits)).hexdigest()
