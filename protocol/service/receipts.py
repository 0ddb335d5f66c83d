"""Receipts: what the coordinator says it took, and signs, so that a log of which it rewrote a line convicts it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from protocol.game.messages import Message
from protocol.identity import domain_of, signer_of

TYPES = {
    "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}],
    "Receipt": [
        {"name": "sequence", "type": "uint64"},
        {"name": "id", "type": "bytes32"},
        {"name": "content", "type": "bytes32"},
        {"name": "now", "type": "uint64"},
        {"name": "chain", "type": "bytes32"},
    ],
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the coordinator says it took, as which line of the log, and when. chain: over the log up to this line.

    content:   SHA-256 of the message's canonical bytes
    signature: of the coordinator, empty where it serves its own process only
    """

    sequence: int
    id: bytes
    content: bytes
    now: int
    chain: bytes
    signature: bytes = b""


def content_hash(message: Message) -> bytes:
    """SHA-256 of a message's canonical bytes."""
    return hashlib.sha256(message.to_bytes()).digest()


def receipt_data(receipt: Receipt, domain: str) -> dict[str, Any]:
    """What the coordinator signs (EIP-712)."""
    content = {item["name"]: getattr(receipt, item["name"]) for item in TYPES["Receipt"]}
    return {"types": TYPES, "primaryType": "Receipt", "domain": domain_of(domain), "message": content}


def is_signed(receipt: Receipt, domain: str, coordinator: str) -> bool:
    """Whether this coordinator signed this receipt, over this domain."""
    try:
        return signer_of(receipt_data(receipt, domain), receipt.signature) == coordinator
    except ValueError:
        return False


def check_receipt(receipt: Receipt, message: Message, domain: str, coordinator: str) -> None:
    """A ValueError unless the receipt is the coordinator's, and of this message."""
    if (receipt.id, receipt.content) != (message.id, content_hash(message)):
        raise ValueError(f"receipt: got one of message {receipt.id.hex()}, want one of {message.id.hex()}")
    if not is_signed(receipt, domain, coordinator):
        raise ValueError(f"receipt: line {receipt.sequence} is not signed by {coordinator}")


def is_equivocation(one: Receipt, other: Receipt, domain: str, coordinator: str) -> bool:
    """Whether two receipts prove that one line of the log had two contents, or one message two lines."""
    signed = is_signed(one, domain, coordinator) and is_signed(other, domain, coordinator)
    same = one.sequence == other.sequence or one.id == other.id
    return signed and same and receipt_data(one, domain) != receipt_data(other, domain)
