"""The kinds of value that a message's fields hold, each read from canonical content and refused for anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.merkle import HASH_SIZE
from protocol.game.params import MAX_INTEGER
from protocol.game.rules import Rule, require

MAX_BYTES = 2**28
MAX_HASHES = 2**20

Hash = bytes
Hashes = tuple[bytes, ...]
Address = str


def _integer(value: Any) -> int:
    require(type(value) is int and 0 <= value <= MAX_INTEGER, Rule.MALFORMED, "want an integer from 0 to 2^63 - 1")
    return int(value)


def _bytes(value: Any) -> bytes:
    require(isinstance(value, bytes) and len(value) <= MAX_BYTES, Rule.MALFORMED, "want bytes")
    return bytes(value)


def _hash(value: Any) -> bytes:
    require(isinstance(value, bytes) and len(value) == HASH_SIZE, Rule.MALFORMED, "want 32 bytes")
    return bytes(value)


def _hashes(value: Any) -> Hashes:
    require(isinstance(value, list) and len(value) <= MAX_HASHES, Rule.MALFORMED, "want a list of hashes")
    return tuple(_hash(item) for item in value)


def _address(value: Any) -> str:
    require(isinstance(value, str) and len(value) == 42 and value.startswith("0x"), Rule.MALFORMED, "want an address")
    require(all(digit in "0123456789abcdef" for digit in value[2:]), Rule.MALFORMED, "want an address in lower case")
    return str(value)


READERS: dict[str, Callable[[Any], Any]] = {
    "int": _integer,
    "bytes": _bytes,
    "Hash": _hash,
    "Hashes": _hashes,
    "Address": _address,
}
