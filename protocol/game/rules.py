"""Every reason for which a message is refused. Refusing leaves the state as it was; tests hold one case for each."""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """A rule of the game, and what it demands."""

    # any message
    MALFORMED = "a message is canonical CBOR with exactly the fields of its kind, each within its bounds"
    SIGNATURE = "a message is signed by its sender, over this domain, with a low s"
    TIME_FORWARD = "time never runs backwards"
    MESSAGE_DEADLINE = "a message arrives no later than the deadline it names"
    MOVE_NUMBER = "messages of one sender are numbered 0, 1, 2, ... in the accounts, jobs and claims, and in each game"
    ID_REUSED = "a message id is used for one content only"
    SCOPE = "a message names the job and the game that it is about, and no other"
    # money
    OPERATOR_ONLY = "only the operator moves money in from outside and shows the beacon"
    AMOUNT = "an amount is an integer from 1 to 2^63 - 1"
    FUNDS = "nobody spends more than the account holds; what is locked is not in the account"
    SAME_ACCOUNT = "a transfer has two different accounts"
    RESERVE_NEW = "a reservation's id is used once"
    RESERVE_OPEN = "a reservation is resolved once"
    RESERVE_COVERS = "no more is paid from a reservation than it holds"
    # jobs
    TERMS = "the terms of a job are within their bounds"
    JOB_CONTENT = "the job, its program and the fields of its data set are valid and belong together"
    JOB_EXISTS = "the job exists"
    JOB_POSTED = "bids are placed and accepted while the job is posted"
    JOB_RUNNING = "claims are made while the job is running"
    BID_PRICE = "a bid is no higher than the posted price"
    BID_INTERVAL = "a bid names the interval of the job, or where that is auto one within the bounds of the job"
    BID_ONCE = "a solver bids once, and not for its own job"
    BID_EXISTS = "the accepted bid exists"
    SUBMITTER_ONLY = "only the submitter accepts a bid"
    SOLVER_ONLY = "only the job's solver claims"
    # claims
    CLAIM_RANGE = "a claim goes on where the last one ended, by whole intervals, within a segment and a message"
    CLAIM_WINDOW = "no more claims than agreed wait for their challenge period at once"
    CLAIM_SEALED = "roots are revealed after they were committed, one commitment at a time"
    CLAIM_REVEAL = "the revealed roots and salt are those of the commitment"
    CLAIM_LEAVES = (
        "a claim holds one root per committed interval, from where the last one ended; no value only at its end"
    )
    CLAIM_EXISTS = "the claim exists"
    CLAIM_OPEN = "a claim is challenged within its challenge period"
    CHALLENGE_SELF = "a solver does not challenge its own claim"
    CHALLENGE_ONCE = "one challenger has one open commitment per claim, and one game per interval of it"
    CHALLENGE_SEALED = "a challenge is revealed after it was committed"
    CHALLENGE_REVEAL = "the revealed challenge and salt are those of the commitment"
    CHALLENGE_INDEX = "a challenge names an interval of the claim"
    CHALLENGE_DIFFERS = "a challenger's root differs from the claim's"
    # attestations
    ATTESTERS = "a job without slots has no attesters, and one that ended takes no more"
    ATTEST_SELF = "a solver does not attest its own claims"
    POOL_FROZEN = "the pool of attesters does not change between a claim's commitment and its draw"
    TICKET_OWNER = "a ticket is given back by its owner"
    TICKET_FREE = "a ticket that was drawn is not given back before its slot is decided"
    BEACON_ANCHOR = "a beacon is anchored once, before the first claim is committed"
    BEACON_LINK = "each link of a beacon hashes to the one before it"
    DRAW_ONCE = "attesters are drawn once for a committed claim, within the attestation period"
    SLOT = "only who was drawn attests"
    ATTEST_PERIOD = "attestations are committed before the claim's roots are shown, and shown within their period"
    ATTEST_ONCE = "an attestation is committed once, and shown once"
    ATTEST_REVEAL = "the revealed attestation and salt are those of the commitment"
    CLAIM_EARLY = "roots are shown when every drawn attester has committed, or its time is over"
    CHALLENGE_EARLY = "a challenge is shown when every attestation is, or its time is over"
    # disputes
    GAME_EXISTS = "the game exists"
    GAME_OPEN = "a finished game takes no further move"
    PARTY = "only a party enters a level and parts its sum; what proves itself names one of the two parties"
    STAGE = "a move is of the kind that the game waits for"
    MOVE_ONCE = "a party's move is made once a round"
    ROOT_ONCE = "a party has one root per claim and path, in all games"
    VALUE = "on entering a level a party shows the value of its own leaf above"
    START = "the agreed start is the leaf before the first difference"
    FIRST_LEAF = "the first leaf of a level is the agreed start"
    LAST_LEAF = "the last leaf of a level is the party's own value above"
    ROW_LENGTH = "a row has the number of children that the size and the arity give"
    ROW = "a row hashes to the node that it unfolds; in an element its integers add up to it"
    SUM = "the integer of an element rounds to the value that the party claims"
    LEAF = "a shown leaf has its length and hashes to the node that it is"
    WITNESS = "a witness is canonical and opens exactly what the referee reads, in what both parties agree on"


class Refused(Exception):
    """A message broke a rule; nothing changed."""

    def __init__(self, rule: Rule, detail: str = "") -> None:
        super().__init__(f"{rule.name}: {rule.value}" + (f" ({detail})" if detail else ""))
        self.rule = rule


def require(condition: object, rule: Rule, detail: str = "") -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise Refused(rule, detail)
