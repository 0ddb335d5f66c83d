"""One coordinator's rules, a network between it and its parties, and virtual time."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count

from protocol.game.messages import Message
from protocol.game.params import Params
from protocol.game.rules import Refused
from protocol.game.transition import advance, apply
from protocol.game.types import State, first_state, state_hash
from protocol.identity import Signed

Action = Callable[[], None]
Watch = Callable[[State, State], None]


class Party:
    """An address and its secrets. Signatures have tests of their own, and would be most of a simulation's time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = hashlib.sha256(name.encode()).digest()
        self.address = "0x" + self._key[:20].hex()

    def secret(self, about: bytes) -> bytes:
        """32 bytes that only this party can compute."""
        return hmac.new(self._key, about, hashlib.sha256).digest()

    def sign(self, message: Message, domain: str) -> Signed:
        """The message as it is."""
        return Signed(message, b"")


@dataclass(frozen=True, slots=True)
class Network:
    """What happens to messages. loss, doubling: of 1000; delay_s: the most; lag: how many changes a view may be old."""

    loss: int
    doubling: int
    delay_s: int
    lag: int


class World:
    """The state, the log and everything that is on its way. watch: sees every change of state."""

    def __init__(self, params: Params, network: Network, chance: random.Random, watch: Watch) -> None:
        self.params, self.network, self.chance, self._watch = params, network, chance, watch
        self.state = first_state(params)
        self.now = 0
        self.log: list[tuple[int, Message]] = []
        self.sent = self.lost = self.refused = 0
        self._views = [self.state]
        self._taken: dict[bytes, bytes] = {}
        self._queue: list[tuple[int, int, Action]] = []
        self._order = count()

    def at(self, when: int, action: Action) -> None:
        """Let something happen at a time."""
        heappush(self._queue, (when, next(self._order), action))

    def step(self) -> bool:
        """The next thing that happens; whether there was one."""
        if not self._queue:
            return False
        when, _, action = heappop(self._queue)
        self.now = max(self.now, when)
        self._change(advance(self.state, self.now, self.params))
        action()
        return True

    def view(self) -> State:
        """What a party sees: the state as it was a few changes ago."""
        return self._views[-1 - min(self.chance.randint(0, self.network.lag), len(self._views) - 1)]

    def post(self, message: Message) -> None:
        """Put a message on its way: it may be lost, come twice, or overtake others."""
        self.sent += 1
        if self.chance.randrange(1000) < self.network.loss:
            self.lost += 1
            return
        for _ in range(1 + (self.chance.randrange(1000) < self.network.doubling)):
            self.at(self.now + self.chance.randint(0, self.network.delay_s), lambda: self.deliver(message))

    def deliver(self, message: Message) -> None:
        """The coordinator takes a message, once, or refuses it."""
        if message.id in self._taken:
            return
        try:
            after = apply(self.state, message, self.now, self.params)
        except Refused:
            self.refused += 1
            return
        self._taken[message.id] = message.body_hash
        self.log.append((self.now, message))
        self._change(after)

    def _change(self, after: State) -> None:
        before, self.state = self.state, after
        if after is not before:
            self._watch(before, after)
            self._views = [*self._views[-self.network.lag :], after]

    def restart(self) -> None:
        """The coordinator crashes and reads its log again: the state must be the one it had."""
        state = first_state(self.params)
        for when, message in self.log:
            state = apply(state, message, when, self.params)
        state = advance(state, self.now, self.params)
        assert _quiet_hash(state) == _quiet_hash(self.state), "the log alone gives the state"


def _quiet_hash(state: State) -> bytes:
    """The hash of a state without the transfers of its last change."""
    return state_hash(replace(state, ledger=replace(state.ledger, journal=())))


class Wire:
    """A party's end of the network: what it sees of the coordinator, and where it puts its messages."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.params = world.params
        self.state = world.view()

    @property
    def now(self) -> int:
        return self._world.now

    def look(self) -> None:
        """See the coordinator's state again, as it was a little earlier."""
        self.state = self._world.view()

    def balance(self, account: str) -> int:
        """What an account holds, as seen."""
        return self.state.ledger.balance(account)

    def submit(self, signed: Signed) -> None:
        """Send a message; no answer comes back but what the state shows later."""
        self._world.post(signed.message)

    def advance(self, now: int) -> None:
        """Time passes by itself."""
