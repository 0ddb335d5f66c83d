"""Who speaks: a secp256k1 key, and signatures over EIP-712 typed messages that bind everything a message means."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from engine.canonical import from_canonical, to_canonical
from engine.files import read_file
from protocol.game.messages import Message, message_from_bytes
from protocol.game.rules import Refused, Rule, require

SIGNATURE_SIZE = 65
MOST_OF_A_KEYSTORE, MOST_WORK = 2**16, 2**22
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
TYPES = {
    "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}],
    "Message": [
        {"name": "sender", "type": "address"},
        {"name": "job", "type": "bytes32"},
        {"name": "game", "type": "bytes32"},
        {"name": "move", "type": "uint64"},
        {"name": "deadline", "type": "uint64"},
        {"name": "kind", "type": "string"},
        {"name": "body", "type": "bytes32"},
    ],
}


@dataclass(frozen=True, slots=True)
class Signed:
    """A message with its sender's signature. On the wire: canonical CBOR of [message bytes, signature]."""

    message: Message
    signature: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return to_canonical([self.message.to_bytes(), self.signature])


def signed_from_bytes(data: bytes) -> Signed:
    """The signed message of canonical bytes; refused for anything else. The signature is not checked here."""
    try:
        content = from_canonical(data, "signed message")
    except ValueError as error:
        raise Refused(Rule.MALFORMED, str(error)) from None
    require(isinstance(content, list) and len(content) == 2, Rule.MALFORMED, "want [message, signature]")
    require(all(isinstance(item, bytes) for item in content), Rule.MALFORMED, "want [message, signature]")
    return Signed(message_from_bytes(content[0]), content[1])


def typed_data(message: Message, domain: str) -> dict[str, Any]:
    """What a wallet shows and signs (EIP-712). body: the hash of the canonical bytes of kind and content."""
    return {
        "types": TYPES,
        "primaryType": "Message",
        "domain": domain_of(domain),
        "message": {
            "sender": message.sender,
            "job": message.job,
            "game": message.game,
            "move": message.move,
            "deadline": message.deadline,
            "kind": message.kind,
            "body": message.body_hash,
        },
    }


def domain_of(name: str) -> dict[str, str]:
    """The EIP-712 domain of a service."""
    return {"name": name, "version": "1"}


def _signable(data: dict[str, Any]) -> SignableMessage:
    return encode_typed_data(full_message=data)


class Identity:
    """A key that signs."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = str(account.address).lower()

    @classmethod
    def create(cls) -> Identity:
        """A new key from the system's randomness."""
        return cls(Account.create())

    @classmethod
    def of_key(cls, key: bytes) -> Identity:
        """The identity of a 32-byte secret."""
        return cls(Account.from_key(key))

    @classmethod
    def load(cls, path: str | Path, password: str) -> Identity:
        """The identity of a keystore file; a ValueError for a wrong password, and for a file that is none."""
        data = read_file(Path(path), "key", MOST_OF_A_KEYSTORE)
        try:
            content = json.loads(data)
            _require_little_work(content["crypto"]["kdfparams"])
            return cls.of_key(bytes(Account.decrypt(content, password)))
        except Exception as error:  # the library raises whatever a wrong field leads to
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"key: {path} is no keystore file of this password: {reason:.200}") from None

    def save(self, path: str | Path, password: str) -> None:
        """Write a keystore file (Web3 Secret Storage, scrypt) that only the owner may read; an existing one stays."""
        content = json.dumps(Account.encrypt(self._account.key, password))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)

    def secret(self, about: bytes) -> bytes:
        """32 bytes that only this key can compute: the salt of a commitment, the same again after a restart."""
        return hmac.new(bytes(self._account.key), b"isobit salt" + about, hashlib.sha256).digest()

    def sign(self, message: Message, domain: str) -> Signed:
        """The message with this key's signature."""
        if message.sender != self.address:
            raise ValueError(f"sign: the message is from {message.sender}, this key is {self.address}")
        return Signed(message, self.sign_data(typed_data(message, domain)))

    def sign_data(self, data: dict[str, Any]) -> bytes:
        """This key's signature of typed data (EIP-712)."""
        return bytes(self._account.sign_message(_signable(data)).signature)


def _require_little_work(parameters: dict[str, int]) -> None:
    """A file says itself how long its password takes to try, and how much memory; ours asks for n * r of 2^21."""
    named = {name: parameters[name] for name in ("n", "r", "p", "c", "dklen") if name in parameters}
    scrypt = named.get("n", 1) * named.get("r", 1) * named.get("p", 1)
    if scrypt > MOST_WORK or named.get("c", 1) > MOST_WORK or named.get("dklen", 32) != 32:
        raise ValueError(f"got {named}, want a key of 32 bytes and n * r * p, or c, of {MOST_WORK} or less")


def require_signature(signed: Signed, domain: str) -> None:
    """Refuse unless the sender signed this message over this domain, with the lower of the two possible s."""
    try:
        signer = signer_of(typed_data(signed.message, domain), signed.signature)
    except ValueError as error:
        raise Refused(Rule.SIGNATURE, str(error)) from None
    require(signer == signed.message.sender, Rule.SIGNATURE, "another signer")


def signer_of(data: dict[str, Any], signature: bytes) -> str:
    """Who signed typed data; a ValueError for a signature that is not in the one form that is taken."""
    if len(signature) != SIGNATURE_SIZE or signature[64] not in (27, 28):
        raise ValueError("form")
    if not 0 < int.from_bytes(signature[32:64], "big") <= HALF_ORDER:
        raise ValueError("high s")
    try:
        return str(Account.recover_message(_signable(data), signature=signature)).lower()
    except (BadSignature, ValidationError) as error:
        raise ValueError(str(error)) from None
