"""Who has a key and a coordinator: signs, numbers its messages, and says whatever is its to say."""

from __future__ import annotations

from protocol.game.messages import NOTHING, Body, Message
from protocol.game.params import Terms
from protocol.identity import Identity, Signed
from protocol.service.coordinator import Coordinator
from protocol.service.receipts import Receipt, check_receipt

MESSAGE_PERIOD_S = 600
REACTION_S = 30


class Client:
    """A key and a view of the coordinator. It keeps nothing that it could not compute again.

    reaction_s: the time that it may need for one message; it stakes nothing in a job that gives it less
    """

    reaction_s = REACTION_S

    def __init__(self, identity: Identity, coordinator: Coordinator) -> None:
        self.identity, self.coordinator = identity, coordinator
        self.sent: list[Signed] = []

    @property
    def address(self) -> str:
        return self.identity.address

    def send(self, body: Body, job: bytes = NOTHING, game: bytes = NOTHING) -> Receipt:
        """Sign and submit the next message."""
        move = self.coordinator.state.next_move(self.address, game)
        deadline = self.coordinator.now + MESSAGE_PERIOD_S
        signed = self.identity.sign(
            Message(self.address, job, game, move, deadline, body), self.coordinator.params.domain
        )
        receipt = self.coordinator.submit(signed)
        params = self.coordinator.params
        if params.coordinator:
            check_receipt(receipt, signed.message, params.domain, params.coordinator)
        self.sent.append(signed)
        return receipt

    def act(self, now: int) -> list[Receipt]:
        """Make every message that is this client's to make now."""
        self.coordinator.advance(now)
        receipts: list[Receipt] = []
        while made := self.next_messages():
            receipts += made
        return receipts

    def next_messages(self) -> list[Receipt]:
        """The next messages, none where nothing is to be done."""
        return []

    def has_time(self, terms: Terms) -> bool:
        """Whether every period of a job in which silence costs a bond is long enough."""
        periods = [terms.reveal_period_s, terms.move_period_s, terms.claim_period_s]
        periods += [terms.attestation_period_s] if terms.attesters else []
        return min(periods) >= self.reaction_s

    def salt(self, *about: bytes | int) -> bytes:
        """A secret that this key gives again for the same thing, so that nothing is lost in a restart."""
        return self.identity.secret(b"".join(x if isinstance(x, bytes) else x.to_bytes(8, "big") for x in about))
